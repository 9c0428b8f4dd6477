"""What has come of each row, on disk as soon as it is known: a second run goes on where the first stopped.

Its first line says whose it is, each other one tells of a row: that it was accepted, or what came of it. What a crash
has left of a last line is cut off; a row that is lost with it is sent once more, under the same key.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from bff.imports.rows import AnyRow, Outcome
from bff.imports.spans import Spans

SUCCEEDED: Final = "succeeded"
BROKEN: Final = "broken"
"""A row of this state has not ended: the next run sends it again."""

ACCEPTED: Final = "accepted"
"""Not an end either: the next run follows what it became, even where its key is no longer known."""

IDENTITY = frozenset({"digest", "format", "url", "name"})
"""What tells two imports apart: content that was imported is imported no second time, whatever the options."""

_TOLD = {"number": int, "line": int, "state": str}


class Refused(Exception):
    """The file cannot be used; the text says why."""


class Ledger:
    """Rows that have ended. total: how many there are."""

    def __init__(self, path: Path, file: BinaryIO, total: int) -> None:
        self._path = path
        self._file = file
        self._ended = Spans()
        self._accepted: dict[int, str] = {}
        self.total = total
        self.succeeded = 0

    def __repr__(self) -> str:
        return f"<Ledger {self.ended} of {self.total} ended>"

    @classmethod
    def open(cls, path: Path, whose: Mapping[str, Any], total: int) -> Self:
        """Open the file, or make it; raises Refused. whose: what it was begun with, unless that is complete."""
        try:
            file = path.open("a+b")
        except OSError as exc:
            raise Refused(f"{path}: {exc.strerror}") from exc
        try:
            ledger = cls(path, file, total)
            ledger._take(dict(whose))
        except BaseException:
            file.close()
            raise
        return ledger

    @property
    def ended(self) -> int:
        """How many rows have ended."""
        return len(self._ended)

    @property
    def failed(self) -> int:
        """How many of them did not succeed."""
        return self.ended - self.succeeded

    def has(self, number: int) -> bool:
        """Return whether a row has ended."""
        return number in self._ended

    def accepted(self, number: int) -> str | None:
        """Return what a row has become that has not ended, None where it was not accepted yet."""
        return self._accepted.get(number)

    def record_accepted(self, row: AnyRow, change_id: str) -> None:
        """Put on record that a row has become a change; raises Refused where that cannot be written."""
        self._tell({"number": row.number, "line": row.line, "state": ACCEPTED, "id": change_id})

    def record(self, row: AnyRow, outcome: Outcome) -> None:
        """Put on record what came of a row; raises Refused where that cannot be written."""
        told: dict[str, Any] = {"number": row.number, "line": row.line, "state": outcome.state}
        if outcome.state != SUCCEEDED:
            told |= {"sku_id": row.sku_id, "error": outcome.error}
        if outcome.change_id is not None:
            told["id"] = outcome.change_id
        self._tell(told)

    def told(self) -> Iterator[dict[str, Any]]:
        """Give what has come of each row, in that order."""
        seen = Spans()
        for told in self._each():
            if told["state"] == ACCEPTED or (told["state"] == BROKEN and self.has(told["number"])):
                continue
            if seen.add(told["number"]):
                yield told

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take(self, whose: dict[str, Any]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise Refused(f"{self._path}: another import is at work with it") from exc
        self._file.seek(0)
        begun = self._file.readline()
        if not begun:
            self._write(whose)
            return
        former = _parsed(begun)
        if former is None or not isinstance(former.get("total"), int):
            raise Refused(f"{self._path}: is no record of an import; remove it, or name another --report")
        self._cut()
        for told in self._each():
            self._count(told)
        if former != whose:
            self._begin_anew(former, whose)

    def _begin_anew(self, former: dict[str, Any], whose: dict[str, Any]) -> None:
        """Forget an import that is complete, unless it was this one, with options that are of no matter any more."""
        unlike = [name for name in whose if whose[name] != former.get(name)]
        if self.ended < former["total"]:
            raise Refused(
                f"{self._path}: is of an import that has not ended, with another {', '.join(unlike)}; finish that one, "
                "or remove this file"
            )
        if not IDENTITY.isdisjoint(unlike):
            self._file.truncate(0)
            self._ended, self._accepted, self.succeeded = Spans(), {}, 0
            self._write(whose)

    def _cut(self) -> None:
        """Cut off what a crash has left of a line."""
        end = 0
        self._file.seek(0)
        for line in self._file:
            end += len(line) if line.endswith(b"\n") else 0
        self._file.truncate(end)

    def _each(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as file:
            next(file, None)
            yield from filter(None, map(_read, file))

    def _tell(self, told: Mapping[str, Any]) -> None:
        self._write(told)
        self._count(told)

    def _count(self, told: Mapping[str, Any]) -> None:
        number, state = told["number"], told["state"]
        if state == ACCEPTED:
            if not self.has(number) and isinstance(told.get("id"), str):
                self._accepted[number] = told["id"]
        elif state != BROKEN and self._ended.add(number):
            self._accepted.pop(number, None)
            self.succeeded += state == SUCCEEDED

    def _write(self, told: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(told, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as exc:
            raise Refused(f"{self._path}: {exc.strerror}") from exc


def _read(line: bytes) -> dict[str, Any] | None:
    """Return what a line tells of a row, None where it tells nothing."""
    told = _parsed(line)
    if told is None or not all(isinstance(told.get(name), kind) for name, kind in _TOLD.items()):
        return None
    return told


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
