"""Trying again: few times, only what may do better, within a budget and within the call's time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from bff.resilience.budget import RetryBudget
from bff.resilience.errors import Refused
from bff.resilience.stack import Call, Clock, Next

MAX_PAUSE_SECONDS = 0.05
MIN_SECONDS_LEFT = 0.05


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What is tried again, and how often.

    on: the exceptions after which another try is safe and may do better.
    retry_after: the seconds that an exception's source asked to be left alone.
    """

    attempts: int
    on: tuple[type[Exception], ...]
    retry_after: Callable[[BaseException], float]


class Retry:
    """Tries again by tenacity, which is entered only once a first try has failed (it costs 23 us a call)."""

    def __init__(
        self,
        policy: RetryPolicy,
        budget: RetryBudget,
        clock: Clock,
        uniform: Callable[[float, float], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._clock = clock
        self._uniform = uniform
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"<Retry {self._policy.attempts} {self._budget!r}>"

    async def __call__(self, call: Call, proceed: Next) -> Any:
        """Make the call, again where that is allowed; raise what the last attempt that was made raised."""
        if not call.is_repeat:
            self._budget.ask()
        try:
            return await proceed(call)
        except self._policy.on as exc:
            if not call.leaves_to_guard(exc):
                raise
            return await self._again(call, proceed, exc)

    async def granted(self, call: Call, error: Exception, wanted: int) -> int:
        """Wait as before another try, and return how many of so many repeats of parts of the call may be made."""
        pause = self._uniform(0.0, MAX_PAUSE_SECONDS) + self._policy.retry_after(error)
        if call.deadline - self._clock() - pause < MIN_SECONDS_LEFT:
            return 0
        granted = sum(self._budget.take() for _ in range(wanted))
        if granted:
            await self._sleep(pause)
        return granted

    async def _again(self, call: Call, proceed: Next, error: Exception) -> Any:
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda exc: isinstance(exc, self._policy.on) and call.leaves_to_guard(exc)),
            wait=self._pause,
            stop=lambda state: self._must_stop(state, call),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    if attempt.retry_state.attempt_number == 1:
                        raise error  # the try that brought us here
                    try:
                        return await proceed(call)
                    except self._policy.on as exc:
                        error = exc
                        raise
        except Refused:
            raise error from None  # refused before it was sent: the answer stays the one there was
        raise AssertionError("tenacity ends by a result or by an exception")  # pragma: no cover - for the type checker

    def _pause(self, state: RetryCallState) -> float:
        assert state.outcome is not None
        error = state.outcome.exception()
        assert error is not None
        return self._uniform(0.0, MAX_PAUSE_SECONDS) + self._policy.retry_after(error)

    def _must_stop(self, state: RetryCallState, call: Call) -> bool:
        left = call.deadline - self._clock() - state.upcoming_sleep
        # The budget is asked last: it is used up by asking.
        return state.attempt_number >= self._policy.attempts or left < MIN_SECONDS_LEFT or not self._budget.take()
