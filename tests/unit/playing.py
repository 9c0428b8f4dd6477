"""What the unit ring plays with: a scripted upstream, and a guard put together as `bff.wiring` does."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bff.resilience.breaker import Breaker, BreakerPolicy, Circuit
from bff.resilience.budget import RetryBudget
from bff.resilience.bulkhead import Bulkhead
from bff.resilience.errors import AttemptTimeout
from bff.resilience.observe import Attempt, Observe
from bff.resilience.retry import Retry, RetryPolicy
from bff.resilience.stack import Call, Clock, Next, stack
from bff.resilience.timeout import Timeout
from clients.errors import Garbled, Postponed, Rejected, Throttled, Unavailable, UpstreamError
from tests.virtual import VirtualLoop

T = TypeVar("T")


def in_virtual_time(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one example of a property on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def now() -> float:
    return asyncio.get_running_loop().time()


def start(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.get_running_loop().create_task(coroutine)


async def turns(count: int = 20) -> None:
    """Let everything happen that needs no time to pass."""
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass
class Clockwork:
    """A clock that stands until it is moved."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def moving_clock() -> Clock:
    """Return the loop's clock as a real one is read: a microsecond later at each reading."""
    loop = asyncio.get_running_loop()
    readings = itertools.count()
    return lambda: loop.time() + next(readings) * 1e-6


@dataclass(frozen=True)
class Step:
    """After so many seconds it answers so: with a value, or by raising an error."""

    after: float = 0.0
    says: Any = "answer"


HANGS = Step(after=1e9)


def fails(error: Exception, after: float = 0.0) -> Step:
    return Step(after, error)


@dataclass
class Script:
    """An upstream: the first call takes the first step, later ones the next, and the last one stays.

    calls: when each attempt began; given: the seconds that each was told it had; ended: how many are over.
    """

    steps: list[Step]
    calls: list[float] = field(default_factory=list)
    given: list[float] = field(default_factory=list)
    ended: int = 0

    async def __call__(self, seconds: float) -> Any:
        step = self.steps[min(len(self.calls), len(self.steps) - 1)]
        self.calls.append(now())
        self.given.append(seconds)
        try:
            if step.after:
                await asyncio.sleep(step.after)
            if isinstance(step.says, Exception):
                raise step.says
            return step.says
        finally:
            self.ended += 1


def script(*steps: Step) -> Script:
    return Script(list(steps) or [Step()])


ON = (AttemptTimeout, Unavailable, Postponed, Throttled)
FAILURES = (AttemptTimeout, Unavailable, Garbled, Throttled)


def asked_wait(error: BaseException) -> float:
    return error.retry_after if isinstance(error, UpstreamError) else 0.0


@dataclass
class Knobs:
    """The settings of a guard; those of the contract, where a test says nothing else."""

    attempts: int = 2
    attempt_seconds: float = 0.6
    concurrency: int = 64
    queue: int = 256
    ratio: float = 0.2
    floor: int = 10
    failure_ratio: float = 0.5
    min_attempts: int = 20
    window_seconds: float = 10.0
    slow_seconds: float = 0.6
    open_seconds: float = 5.0
    probes: int = 3
    pause: Callable[[float, float], float] = lambda low, high: low

    @property
    def policy(self) -> BreakerPolicy:
        return BreakerPolicy(
            self.failure_ratio,
            self.min_attempts,
            self.window_seconds,
            self.open_seconds,
            self.probes,
        )


@dataclass
class Played:
    """A whole guard, and what it did."""

    call: Next
    retry: Retry
    circuit: Circuit
    bulkhead: Bulkhead
    budget: RetryBudget
    attempts: list[Attempt]

    async def ask(self, send: Callable[[float], Any], seconds: float = 0.8) -> Any:
        return await self.call(Call(send, now() + seconds))


def play(knobs: Knobs | None = None, clock: Clock | None = None) -> Played:
    """Put a guard together; the same layers in the same order as in production."""
    own = knobs or Knobs()
    clock = clock or asyncio.get_running_loop().time
    circuit = Circuit(own.policy, clock)
    bulkhead = Bulkhead(own.concurrency, own.queue, clock)
    budget = RetryBudget(own.ratio, own.floor, clock)
    attempts: list[Attempt] = []
    retry = Retry(RetryPolicy(own.attempts, ON, asked_wait), budget, clock, own.pause, asyncio.sleep)
    call = stack(
        retry,
        Breaker(circuit, own.slow_seconds, clock, failures=FAILURES, answers=(Rejected,)),
        bulkhead,
        Observe(attempts.append, clock),
        Timeout(own.attempt_seconds, clock),
    )
    return Played(call, retry, circuit, bulkhead, budget, attempts)


def opened(circuit: Circuit, failures: int) -> None:
    """Open a closed circuit by so many failures."""
    for _ in range(failures):
        circuit.settle(circuit.acquire(), "bad")
    assert circuit.state == "open", circuit


async def outcomes(waiting: Iterable[Awaitable[Any]]) -> list[Any]:
    """Wait for all at once, and return the result or the error of each."""
    return await asyncio.gather(*waiting, return_exceptions=True)
