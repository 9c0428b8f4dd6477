"""The rule of `make check-consistency`: what a write promises, and which parts break the promise."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.consistency.history import (
    CONFIRMED_SECONDS,
    SETTLE_SECONDS,
    History,
    Outages,
    Promise,
    Shown,
    Verdict,
    judge,
)

KEY = ("price", "1001")
OK = Shown("price", 7, "ok", None)
LATE = Shown("price", 7, "stale", "timeout")
REVALIDATING = Shown("price", 7, "stale", "revalidating")


def version(history: History, sent: float) -> int:
    standing = history.standing(KEY, sent)
    return 0 if standing is None else standing.version


def test_a_write_binds_what_is_sent_after_its_answer_and_nothing_sent_before_or_with_it() -> None:
    history = History()
    history.acknowledged(KEY, 7, at=2.0)
    assert [version(history, sent) for sent in (1.9, 2.0, 2.1)] == [0, 0, 7]


def test_a_write_binds_its_own_part_alone() -> None:
    history = History()
    history.acknowledged(KEY, 7, at=2.0)
    assert history.standing(("stock", "1001"), 3.0) is None
    assert history.standing(("price", "1002"), 3.0) is None


def test_an_older_version_that_is_acknowledged_later_takes_nothing_back() -> None:
    history = History()
    history.acknowledged(KEY, 8, at=2.0)
    history.acknowledged(KEY, 7, at=3.0)
    assert version(history, 4.0) == 8


def test_what_could_not_be_confirmed_binds_later() -> None:
    history = History()
    history.accepted(KEY, 7, at=2.0)
    history.acknowledged(KEY, 6, at=3.0)
    times = (3.1, 2.0 + CONFIRMED_SECONDS, 2.1 + CONFIRMED_SECONDS)
    assert [version(history, sent) for sent in times] == [6, 6, 7]
    assert history.standing(KEY, times[-1]) == Promise(12.0, 7)


WRITES = st.lists(st.tuples(st.booleans(), st.integers(1, 20), st.integers(0, 30)))


@given(WRITES, st.integers(0, 50))
def test_the_highest_of_all_that_was_promised_before_binds(writes: Sequence[tuple[bool, int, int]], sent: int) -> None:
    history = History()
    for acknowledged, written, at in writes:
        (history.acknowledged if acknowledged else history.accepted)(KEY, written, at)
    binding = [
        written for acknowledged, written, at in writes if at + (0 if acknowledged else CONFIRMED_SECONDS) < sent
    ]
    assert version(history, sent) == max(binding, default=0)


@pytest.mark.parametrize(
    ("shown", "promised", "cut_off", "verdict"),
    [
        (OK, None, False, Verdict.CURRENT),
        (OK, 6, False, Verdict.CURRENT),
        (OK, 7, False, Verdict.CURRENT),
        (OK, 8, False, Verdict.OLD),
        (OK, 8, True, Verdict.OLD),
        (REVALIDATING, 8, False, Verdict.OLD),
        (REVALIDATING, 8, True, Verdict.OLD),
        (LATE, 8, False, Verdict.OLD),
        (LATE, 8, True, Verdict.EXCUSED),
        (LATE, 7, True, Verdict.CURRENT),
    ],
)
def test_a_part_is_old_below_what_was_promised_unless_a_pod_that_is_cut_off_says_so(
    *, shown: Shown, promised: int | None, cut_off: bool, verdict: Verdict
) -> None:
    promise = None if promised is None else Promise(1.0, promised)
    assert judge(shown, promise, cut_off=cut_off) is verdict


def test_a_pod_is_cut_off_while_an_outage_stands_and_until_it_may_be_back() -> None:
    outages = Outages()
    assert not outages.touch(0.0, 9.0)
    outages.begin(5.0)
    assert [outages.touch(*span) for span in ((3.0, 4.9), (4.0, 5.0), (6.0, 7.0))] == [False, True, True]
    outages.end(8.0)
    back = 8.0 + SETTLE_SECONDS
    assert [outages.touch(*span) for span in ((4.0, 4.9), (back, back + 1), (back + 0.1, back + 1))] == [
        False,
        True,
        False,
    ]


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10)), max_size=6)


@given(SPANS, st.integers(0, 40))
def test_of_outages_that_overlap_each_counts(spans: Sequence[tuple[int, int]], at: int) -> None:
    outages = Outages()
    marks = [(began, 1) for began, _ in spans] + [(began + length, 0) for began, length in spans]
    for when, begins in sorted(marks):
        (outages.begin if begins else outages.end)(when)
    expected = any(began <= at <= began + length + SETTLE_SECONDS for began, length in spans)
    assert outages.touch(at, at) == expected
