"""What `make check-consistency` makes of what it saw."""

from collections import Counter

import pytest

from tests.consistency.client import Answer
from tests.consistency.history import Promise, Shown
from tests.consistency.nemesis import Fault
from tests.consistency.report import described, details, table
from tests.consistency.traffic import Old, Tally
from tests.consistency.trial import FULL, Plan, Result

SHOWN = Shown("price", 7, "stale", "revalidating")
ANSWER = Answer(200, b"HTTP/1.1 200 OK\r\ncache-status: bff-price; hit; ttl=3\r\n\r\n", b"{}")
OLD = Old("pod 1", "sku-1", SHOWN, Promise(5.0, 8), 5.25, 5.5, ANSWER)


def result(name: str, *, old: int, acknowledged: int = 900, bound: int = 1000) -> Result:
    """Return a run of a minute. name: the guard that was off."""
    tally = Tally(pages=12_345, hits=6_000, bound=bound, acknowledged=acknowledged, faults=Counter(stopped=2))
    tally.old.update({SHOWN.how: old} if old else {})
    tally.described.update({("pod 1", ("price", "sku-1"), 7): OLD} if old else {})
    faults = (Fault("long before", 1.0, 2.9), Fault("just before", 1.0, 3.0), Fault("since", 5.4), Fault("after", 5.6))
    return Result(Plan(name, 60.0, 1), 60.0, tally, faults)


@pytest.mark.parametrize(
    ("found", "as_it_should_be"),
    [
        (result(FULL, old=0), True),
        (result(FULL, old=1), False),
        (result("nonce", old=1), True),
        (result("nonce", old=0), False),
        (result(FULL, old=0, acknowledged=0), False),
        (result(FULL, old=0, bound=0), False),
    ],
)
def test_old_values_are_to_be_found_without_a_guard_alone_and_a_run_of_nothing_proves_nothing(
    found: Result, *, as_it_should_be: bool
) -> None:
    assert found.is_as_it_should_be is as_it_should_be


def test_the_table_has_a_line_for_each_run() -> None:
    head, _, full, nonce = table([result(FULL, old=0), result("nonce", old=25)]).splitlines()
    assert [cell.strip() for cell in head.split("|")][0::7] == ["guard off", "old values"]
    assert [cell.strip() for cell in full.split("|")] == ["none", "60", "12,345", "6,000", "1,000", "900", "2", "0"]
    assert [cell.strip() for cell in nonce.split("|")][0::7] == ["nonce", "25"]
    assert len({len(line) for line in (head, full, nonce)}) == 1


def test_an_old_value_is_told_with_what_was_broken_around_it() -> None:
    first, promise, status, *faults = described(result(FULL, old=1)).splitlines()
    assert first == "pod 1 sku-1 price: version 7, stale (revalidating)"
    assert promise.startswith("  version 8 held since its PUT was answered 200; asked 0.250 s after that")
    assert status == "  cache-status: bff-price; hit; ttl=3"
    assert faults == ["  -4.000 to -2.000 s: just before", "  +0.400 to +inf s: since"]


def test_what_was_not_counted_is_told_as_none() -> None:
    lines = details(result(FULL, old=0)).splitlines()
    assert "  other answers to reads: none" in lines
    assert "  faults: stopped: 2" in lines
