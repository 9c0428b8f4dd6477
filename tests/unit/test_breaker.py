"""The circuit's rules, one by one, and the breaker that judges calls for it."""

import asyncio

import pytest

from bff.resilience.breaker import Breaker, Circuit, Verdict
from bff.resilience.errors import AttemptTimeout, CircuitOpen, DeadlineExceeded, Overloaded
from bff.resilience.stack import Call
from clients.errors import Garbled, Postponed, Rejected, Throttled, Unavailable
from tests.unit.playing import FAILURES, Clockwork, Knobs, Script, Step, fails, now, opened, script, start

SMALL = Knobs(min_attempts=4, probes=3, open_seconds=5.0)


def made(knobs: Knobs = SMALL) -> tuple[Circuit, Clockwork]:
    clock = Clockwork()
    return Circuit(knobs.policy, clock), clock


def judge(circuit: Circuit, *verdicts: Verdict, times: int = 1) -> None:
    for verdict in verdicts * times:
        circuit.settle(circuit.acquire(), verdict)


def refused(circuit: Circuit) -> bool:
    try:
        circuit.acquire()
    except CircuitOpen:
        return True
    return False


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ("bbb", "closed"),  # too few attempts to say anything
        ("bbbb", "open"),
        ("ggbb", "open"),  # the ratio is met
        ("gggb", "closed"),
        ("gggbb", "closed"),
        ("gggbbb", "open"),
        ("nnnnnnnb", "closed"),  # no verdict is no attempt
    ],
)
def test_it_opens_at_the_ratio_of_at_least_so_many_attempts(verdicts: str, state: str) -> None:
    names: dict[str, Verdict] = {"b": "bad", "g": "good", "n": "none"}
    circuit, _ = made()
    judge(circuit, *(names[letter] for letter in verdicts))
    assert circuit.state == state


@pytest.mark.parametrize(("ratio", "failures", "attempts"), [(0.5, 10, 20), (0.55, 11, 20), (0.07, 7, 100)])
def test_the_exact_ratio_is_enough(ratio: float, failures: int, attempts: int) -> None:
    circuit, _ = made(Knobs(failure_ratio=ratio, min_attempts=attempts))
    judge(circuit, "good", times=attempts - failures)
    judge(circuit, "bad", times=failures)
    assert circuit.state == "open"


def test_failures_that_have_left_the_window_do_not_count() -> None:
    circuit, clock = made()
    judge(circuit, "bad", "bad", "bad")
    clock.now = 11.0
    judge(circuit, "bad")
    assert repr(circuit) == "<Circuit closed 1/1>"


def test_while_open_nothing_passes_and_afterwards_only_the_probes_do() -> None:
    circuit, clock = made()
    opened(circuit, 4)
    clock.now = 4.999
    assert refused(circuit)
    clock.now = 5.0
    assert [refused(circuit) for _ in range(5)] == [False, False, False, True, True]
    assert circuit.state == "half_open"


def test_it_closes_when_all_probes_were_good_and_starts_counting_anew() -> None:
    circuit, clock = made()
    opened(circuit, 4)
    clock.now = 5.0
    judge(circuit, "good", "good")
    assert circuit.state == "half_open"
    judge(circuit, "good")
    assert repr(circuit) == "<Circuit closed 0/0>"


def test_one_bad_probe_opens_it_for_the_whole_time_again() -> None:
    circuit, clock = made()
    opened(circuit, 4)
    clock.now = 6.0
    judge(circuit, "good", "bad")
    assert circuit.state == "open"
    clock.now = 10.999
    assert refused(circuit)
    clock.now = 11.0
    assert not refused(circuit)


def test_a_probe_without_a_verdict_gives_its_permit_back() -> None:
    circuit, clock = made()
    opened(circuit, 4)
    clock.now = 5.0
    judge(circuit, "none", times=10)
    assert [refused(circuit) for _ in range(4)] == [False, False, False, True]


def test_half_open_begins_anew_where_its_probes_never_end() -> None:
    circuit, clock = made()
    opened(circuit, 4)
    clock.now = 5.0
    lost = [circuit.acquire() for _ in range(3)]
    clock.now = 9.999
    assert refused(circuit)
    clock.now = 10.0
    judge(circuit, "good", "good", "good")
    for generation in lost:
        circuit.settle(generation, "bad")  # too late to say anything
    assert circuit.state == "closed"


def test_probes_that_come_one_at_a_time_close_it_however_seldom_they_come() -> None:
    circuit, clock = made()
    opened(circuit, 4)
    for _ in range(10):
        clock.now += 6.0
        judge(circuit, "good")
    assert circuit.state == "closed"


@pytest.mark.parametrize("verdict", ["good", "bad", "none"])
def test_a_result_from_before_the_last_change_is_ignored(verdict: Verdict) -> None:
    circuit, clock = made()
    early = circuit.acquire()
    opened(circuit, 4)
    circuit.settle(early, verdict)
    assert circuit.state == "open"
    clock.now = 5.0
    probes = [circuit.acquire() for _ in range(3)]
    circuit.settle(early, verdict)
    assert (circuit.state, refused(circuit)) == ("half_open", True)
    for probe in probes:
        circuit.settle(probe, "good")
    circuit.settle(probes[0], verdict)
    circuit.settle(early, verdict)
    assert repr(circuit) == "<Circuit closed 0/0>"


class Judged:
    """A breaker over a script; slow is more than 0.3 s."""

    def __init__(self) -> None:
        clock = asyncio.get_running_loop().time
        self.circuit = Circuit(Knobs(min_attempts=1, failure_ratio=1.0).policy, clock)
        self.breaker = Breaker(self.circuit, 0.3, clock, failures=FAILURES, answers=(Rejected,))

    async def ask(self, upstream: Script, waits: float = 0.0) -> None:
        async def proceed(call: Call) -> object:
            await asyncio.sleep(waits)  # for a slot
            call.began = now()
            return await call.send(1.0)

        await self.breaker(Call(upstream, now() + 9), proceed)


@pytest.mark.parametrize("error", [AttemptTimeout(), Unavailable("x"), Garbled("x"), Throttled("429")])
async def test_failures_are_bad(error: Exception) -> None:
    judged = Judged()
    with pytest.raises(type(error)):
        await judged.ask(script(fails(error)))
    assert repr(judged.breaker) == "<Breaker <Circuit open 0/0>>"


@pytest.mark.parametrize("error", [Rejected("418"), Postponed("408")])
async def test_other_statuses_are_good(error: Exception) -> None:
    judged = Judged()
    with pytest.raises(type(error)):
        await judged.ask(script(fails(error)))
    assert repr(judged.circuit) == "<Circuit closed 0/1>"


@pytest.mark.parametrize("answer", ["a part", None])
async def test_answers_are_good_and_so_is_a_404(answer: str | None) -> None:
    judged = Judged()
    await judged.ask(script(Step(says=answer)))
    assert repr(judged.circuit) == "<Circuit closed 0/1>"


@pytest.mark.parametrize("error", [DeadlineExceeded(), Overloaded("full"), ValueError("bug")])
async def test_what_was_cut_short_or_got_no_slot_is_no_verdict(error: Exception) -> None:
    judged = Judged()
    with pytest.raises(type(error)):
        await judged.ask(script(fails(error)))
    assert repr(judged.circuit) == "<Circuit closed 0/0>"


async def test_a_cancelled_call_is_no_verdict() -> None:
    judged = Judged()
    task = start(judged.ask(script(Step(after=5.0))))
    await asyncio.sleep(1.0)
    task.cancel()
    await asyncio.wait({task})
    assert repr(judged.circuit) == "<Circuit closed 0/0>"


@pytest.mark.parametrize(("seconds", "state"), [(0.3, "closed"), (0.3 + 1e-6, "open")])
async def test_an_answer_slower_than_the_slow_time_is_bad(seconds: float, state: str) -> None:
    judged = Judged()
    await judged.ask(script(Step(after=seconds)))
    assert judged.circuit.state == state


async def test_a_slow_rejection_is_bad_too() -> None:
    judged = Judged()
    with pytest.raises(Rejected):
        await judged.ask(script(fails(Rejected("418"), after=0.4)))
    assert judged.circuit.state == "open"


async def test_waiting_for_a_slot_makes_no_answer_slow() -> None:
    judged = Judged()
    await judged.ask(script(Step(after=0.2)), waits=5.0)
    assert judged.circuit.state == "closed"


async def test_an_open_circuit_asks_nobody() -> None:
    judged, upstream = Judged(), script()
    opened(judged.circuit, 1)
    with pytest.raises(CircuitOpen):
        await judged.ask(upstream)
    assert upstream.calls == []
