"""A row of a file: what is asked for, or why nothing can be; and what came of it."""

from dataclasses import dataclass
from typing import Literal

State = Literal[
    "succeeded", "compensated", "failed", "cancelled", "timed_out", "malformed", "refused", "unknown", "broken"
]
"""The first five are ends of changes. malformed: never sent; refused: answered 4xx; unknown: accepted, and not there
any more when asked after; broken: answered 500 each time, and left to the next run."""


class FileRefused(Exception):
    """Nothing of a file can be imported; the text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row. number: from 1, of rows; line: from 1, where it begins; body: as `POST /api/v1/changes` takes it."""

    number: int
    line: int
    sku_id: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that cannot be sent."""

    number: int
    line: int
    sku_id: str | None
    why: str


AnyRow = Row | Malformed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a row. change_id: None where it never became a change."""

    state: State
    error: str | None = None
    change_id: str | None = None
