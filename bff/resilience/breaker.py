"""A circuit breaker: by failure ratio and slow answers over a window, with bounded probes.

    closed     lets everything through and judges it; too many failures: open
    open       lets nothing through; after its time: half open
    half open  lets one set of probes through; all good: closed, one bad: open

Every change begins a new generation, and a verdict on a call of an older one is ignored. Half open begins anew
where its probes came to no verdict in the time that open lasts, so it cannot last for ever.
After resilience4j and linkerd2-proxy's failure accrual.
"""

from dataclasses import dataclass
from typing import Any, Literal

from bff.resilience.errors import CircuitOpen
from bff.resilience.stack import Call, Clock, Next
from bff.resilience.window import SlidingWindow

State = Literal["closed", "half_open", "open"]
Verdict = Literal["good", "bad", "none"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a circuit opens, for how long, and how it is tried again. Times are seconds."""

    failure_ratio: float
    min_attempts: int
    window_seconds: float
    open_seconds: float
    probes: int


class Circuit:
    """The state machine; holds no await."""

    def __init__(self, policy: BreakerPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._window = SlidingWindow(policy.window_seconds, clock)  # total: attempts; marked: failures
        self._state: State = "closed"
        self._generation = 0
        self._since = clock()
        self._permits = 0
        self._good = 0

    def __repr__(self) -> str:
        return f"<Circuit {self._state} {self._window.marked}/{self._window.total}>"

    @property
    def state(self) -> State:
        """The state it is in."""
        return self._state

    def acquire(self) -> int:
        """Return the generation that a call now belongs to; raise CircuitOpen where it may not be made."""
        if self._state != "closed":
            # Half open, only where all probes are out and have come to nothing: those that are good count on.
            if self._permits == 0 and self._clock() - self._since >= self._policy.open_seconds:
                self._change("half_open")
            if self._permits == 0:
                raise CircuitOpen
            self._permits -= 1
        return self._generation

    def settle(self, generation: int, verdict: Verdict) -> None:
        """Take in how a call ended; `none` gives its permit back."""
        if generation != self._generation:
            return
        if self._state == "closed":
            self._judge(verdict)
        elif verdict == "none":
            self._permits += 1
        elif verdict == "bad":
            self._change("open")
        else:
            self._good += 1
            if self._good >= self._policy.probes:
                self._change("closed")

    def _judge(self, verdict: Verdict) -> None:
        if verdict == "none":
            return
        self._window.add(total=1, marked=verdict == "bad")
        attempts, failures = self._window.total, self._window.marked
        if failures and attempts >= self._policy.min_attempts and failures / attempts >= self._policy.failure_ratio:
            self._change("open")

    def _change(self, state: State) -> None:
        self._state = state
        self._generation += 1
        self._since = self._clock()
        self._permits = self._policy.probes if state == "half_open" else 0
        self._good = 0
        self._window.clear()


class Breaker:
    """Asks the circuit before a call, and judges the call's last attempt by its own time."""

    def __init__(
        self,
        circuit: Circuit,
        slow_seconds: float,
        clock: Clock,
        *,
        failures: tuple[type[Exception], ...],
        answers: tuple[type[Exception], ...],
    ) -> None:
        self.circuit = circuit
        self._slow_seconds = slow_seconds
        self._clock = clock
        self._failures = failures
        self._answers = answers

    def __repr__(self) -> str:
        return f"<Breaker {self.circuit!r}>"

    async def __call__(self, call: Call, proceed: Next) -> Any:
        """Make the call where the circuit lets it through."""
        generation = self.circuit.acquire()
        verdict: Verdict = "none"  # for whatever is neither an answer nor a failure: no slot, cut short, cancelled
        try:
            result = await proceed(call)
            verdict = self._by_time(call)
        except self._failures:
            verdict = "bad"
            raise
        except self._answers:
            verdict = self._by_time(call)
            raise
        finally:
            self.circuit.settle(generation, verdict)
        return result

    def _by_time(self, call: Call) -> Verdict:
        return "bad" if self._clock() - call.began > self._slow_seconds else "good"
