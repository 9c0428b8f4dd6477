"""The record of an import: what a second run finds of the first, whatever the end of that was."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.imports import report
from bff.imports.ledger import Ledger, Refused
from bff.imports.rows import Outcome, Row
from bff.imports.spans import Spans

WHOSE: dict[str, Any] = {
    "digest": "d",
    "format": "csv",
    "options": {"priority": 9},
    "url": "http://a",
    "name": "",
    "total": 3,
}
WELL = Outcome("succeeded", None, "id-1")
FAILED = Outcome("failed", "price: no", "id-2")
REFUSED = Outcome("refused", "sku_id must be a SKU")


def row(number: int, sku: str | None = "1001") -> Row:
    return Row(number, number + 1, sku, b"{}")


def opened(folder: Path, **other: Any) -> Ledger:
    whose = WHOSE | other
    return Ledger.open(folder / "state", whose, whose["total"])


@given(numbers=st.lists(st.integers(1, 60)))
def test_spans_are_a_set_of_numbers(numbers: list[int]) -> None:
    spans, known = Spans(), set[int]()
    for number in numbers:
        assert spans.add(number) is (number not in known)
        known.add(number)
    assert len(spans) == len(known)
    assert [number for number in range(62) if number in spans] == sorted(known)
    gaps = sum(1 for number in known if number + 1 not in known)
    assert repr(spans).count("-") == gaps


def test_a_second_run_knows_what_came_of_the_first(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.record(row(2), FAILED)
    first.record(row(1), WELL)
    first.close()
    second = opened(tmp_path)
    assert [second.has(number) for number in (1, 2, 3)] == [True, True, False]
    assert (second.ended, second.succeeded, second.failed, second.total) == (2, 1, 1, 3)
    second.record(row(3, None), REFUSED)
    assert [told["number"] for told in second.told()] == [2, 1, 3]
    second.close()


def test_what_was_accepted_is_followed_by_the_next_run_until_it_has_ended(tmp_path: Path) -> None:
    first = opened(tmp_path)
    for number in (1, 2):
        first.record_accepted(row(number), f"id-{number}")
    first.record(row(1), WELL)
    first.close()
    second = opened(tmp_path)
    assert (second.ended, second.accepted(1), second.accepted(2), second.accepted(3)) == (1, None, "id-2", None)
    assert [told["number"] for told in second.told()] == [1]
    second.record_accepted(row(1), "id-1")
    second.record(row(2), FAILED)
    assert (second.accepted(1), second.accepted(2)) == (None, None)
    assert [told["number"] for told in second.told()] == [1, 2]
    second.close()


def test_whatever_a_crash_leaves_the_next_run_goes_on(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    for number, outcome in enumerate((WELL, FAILED, REFUSED), 1):
        ledger.record(row(number), outcome)
    ledger.close()
    whole = (tmp_path / "state").read_bytes()
    begun = whole.index(b"\n") + 1
    for cut in range(begun, len(whole)):
        (tmp_path / "state").write_bytes(whole[:cut])
        again = opened(tmp_path)
        assert again.ended == whole[begun:cut].count(b"\n")
        for number in range(1, 4):
            if not again.has(number):
                again.record(row(number), (WELL, FAILED, REFUSED)[number - 1])
        again.close()
        assert (tmp_path / "state").read_bytes() == whole


def test_a_line_that_tells_nothing_is_passed_over(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record(row(1), WELL)
    ledger.close()
    with (tmp_path / "state").open("a") as file:
        file.write(
            'nonsense\n[]\n{"number":"2","line":3,"state":"succeeded"}\n{"number":1,"line":2,"state":"failed"}\n'
            '{"number":3,"line":4,"state":"accepted"}\n'
        )
    again = opened(tmp_path)
    assert (again.ended, again.succeeded, again.accepted(3)) == (1, 1, None)
    again.close()


def test_a_row_that_broke_the_service_is_left_to_the_next_run(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.record(row(1), Outcome("broken", "It has been logged."))
    first.record(row(2), WELL)
    assert [told["state"] for told in first.told()] == ["broken", "succeeded"]
    first.close()
    second = opened(tmp_path)
    assert (second.has(1), second.ended) == (False, 1)
    second.record(row(1), FAILED)
    assert [told["state"] for told in second.told()] == ["succeeded", "failed"]
    second.close()


@pytest.mark.parametrize("other", [{"digest": "e"}, {"url": "http://b"}, {"name": "n"}, {"options": {}}])
def test_one_that_has_not_ended_is_mixed_with_no_other(tmp_path: Path, other: dict[str, Any]) -> None:
    ledger = opened(tmp_path)
    ledger.record(row(1), WELL)
    ledger.close()
    with pytest.raises(Refused, match=f"has not ended, with another {next(iter(other))};"):
        opened(tmp_path, **other)
    opened(tmp_path).close()


def test_one_that_is_complete_makes_room_for_another_and_not_for_itself(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    for number in (1, 2, 3):
        ledger.record(row(number), WELL)
    ledger.close()
    for same in ({}, {"options": {"priority": 0}}):
        again = opened(tmp_path, **same)
        assert again.ended == 3
        again.close()
    other = opened(tmp_path, digest="e", total=5)
    assert (other.ended, other.has(1), list(other.told())) == (0, False, [])
    other.close()


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    with pytest.raises(Refused, match="another import is at work"):
        opened(tmp_path)
    ledger.close()
    opened(tmp_path).close()


@pytest.mark.parametrize("text", ["something else\n", "{}\n", "[]\n", '{"digest": "d"}\n', '{"digest":"d","total":3'])
def test_a_file_that_is_no_record_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "state").write_text(text)
    with pytest.raises(Refused, match="is no record of an import"):
        opened(tmp_path)
    assert (tmp_path / "state").read_text() == text


def test_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No such file or directory"):
        opened(tmp_path / "nowhere")


def test_the_report_names_each_row_that_failed_and_the_summary_counts_why(tmp_path: Path) -> None:
    ledger = opened(tmp_path, total=20)
    for number in range(1, 5):
        ledger.record(row(number), WELL)
    for number in range(5, 8):
        ledger.record(row(number), REFUSED)
    ledger.record(row(8), Outcome("failed", "price: \x1b[2Jno", "id-8"))
    for number in range(9, 19):
        ledger.record(row(number, None), Outcome("malformed", f"reason {number}" + "x" * 200))
    ledger.record(row(19), Outcome("broken", "It has been logged."))
    path = tmp_path / "report.jsonl"
    path.write_text("of an earlier run")
    summary = report.write(ledger, path, running=0, replayed=2)
    ledger.close()
    named = [json.loads(line) for line in path.read_text().splitlines()]
    assert named[0] == {"line": 6, "sku_id": "1001", "state": "refused", "error": "sku_id must be a SKU", "id": None}
    assert (len(named), named[3]["error"], named[3]["id"]) == (15, "price: \x1b[2Jno", "id-8")
    assert [file.name for file in tmp_path.iterdir() if "new" in file.name] == []
    lines = list(summary.lines())
    assert lines[0] == "20 rows: 4 succeeded, 15 failed, 0 still running, 1 not sent"
    assert lines[1] == "        3  refused      sku_id must be a SKU"
    assert "        1  failed       price: ?[2Jno" in lines
    assert lines[-3:] == [
        "        3  for other reasons",
        "1 left to the next run of the same command, since the service broke on them",
        "2 had been accepted by an earlier run, and were not written again",
    ]
    assert max(map(len, lines)) < 130
    assert not summary.well


def test_reasons_without_end_take_no_memory_without_end() -> None:
    summary = report.Summary(10_000, 0, 0)
    for number in range(10_000):
        summary.count({"state": "malformed", "error": f"reason {number}"})
    assert summary.failed == 10_000
    assert len(summary.reasons) == report.MOST_REASONS + 1
