"""The circuit against a naive model: full lists of what happened, and the rules as they are written down."""

import copy
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from bff.resilience.breaker import Circuit, Verdict
from bff.resilience.errors import CircuitOpen
from tests.unit.playing import Clockwork, Knobs

KNOBS = Knobs(failure_ratio=0.5, min_attempts=4, window_seconds=10.0, open_seconds=5.0, probes=2)
STEP = 1.0


@dataclass
class Model:
    """What is known by keeping everything.

    verdicts: of calls that began and ended in this closed time, with the window's step in which they ended.
    """

    state: str = "closed"
    era: int = 0
    since: float = 0.0
    verdicts: list[tuple[int, Verdict]] = field(default_factory=list)
    under_way: int = 0
    good: int = 0

    def enter(self, state: str, now: float) -> None:
        self.state, self.era, self.since = state, self.era + 1, now
        self.verdicts, self.under_way, self.good = [], 0, 0

    def lets_through(self, now: float) -> bool:
        if self.state == "closed":
            return True
        full = self.state == "open" or self.under_way + self.good >= KNOBS.probes
        if full and now - self.since >= KNOBS.open_seconds:
            self.enter("half_open", now)
            full = False
        self.under_way += not full
        return not full

    def ended(self, era: int, verdict: Verdict, now: float) -> None:
        if era != self.era:
            return
        if self.state == "closed":
            self.judge(verdict, now)
            return
        self.under_way -= 1
        self.good += verdict == "good"
        if verdict == "bad":
            self.enter("open", now)
        elif self.good == KNOBS.probes:
            self.enter("closed", now)

    def judge(self, verdict: Verdict, now: float) -> None:
        if verdict == "none":
            return
        self.verdicts.append((int(now / STEP), verdict))
        recent = [verdict for step, verdict in self.verdicts if step > int(now / STEP) - 10]
        bad = recent.count("bad")
        if bad and len(recent) >= KNOBS.min_attempts and bad / len(recent) >= KNOBS.failure_ratio:
            self.enter("open", now)


class CircuitAgainstModel(RuleBasedStateMachine):
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clockwork()
        self.circuit = Circuit(KNOBS.policy, self.clock)
        self.model = Model()

    @rule(target=calls, count=st.integers(1, 4))
    def begin(self, count: int) -> object:
        begun = []
        for _ in range(count):
            expected = self.model.lets_through(self.clock.now)
            try:
                begun.append((self.circuit.acquire(), self.model.era))
                passed = True
            except CircuitOpen:
                passed = False
            assert passed == expected, (self.circuit, self.model)
        return multiple(*begun)

    @rule(call=consumes(calls), verdict=st.sampled_from(["good", "bad", "bad", "none"]))
    def end(self, call: tuple[int, int], verdict: Verdict) -> None:
        self.circuit.settle(call[0], verdict)
        self.model.ended(call[1], verdict, self.clock.now)

    @rule(verdicts=st.lists(st.sampled_from(["good", "bad", "bad"]), min_size=1, max_size=6))
    def begin_and_end(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            expected = self.model.lets_through(self.clock.now)
            try:
                generation = self.circuit.acquire()
            except CircuitOpen:
                assert not expected
                continue
            assert expected
            era = self.model.era
            self.circuit.settle(generation, verdict)
            self.model.ended(era, verdict, self.clock.now)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.5, 5.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def they_agree(self) -> None:
        assert self.circuit.state == self.model.state, (self.circuit, self.model)

    @invariant()
    def an_unjudged_circuit_never_stays_shut(self) -> None:
        if self.model.state != "closed" and self.clock.now - self.model.since >= KNOBS.open_seconds:
            copy.deepcopy(self.circuit).acquire()  # on a copy, so that looking changes nothing


def test_the_circuit_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        CircuitAgainstModel,
        settings=settings(max_examples=200, stateful_step_count=40, deadline=None, report_multiple_bugs=False),
    )
