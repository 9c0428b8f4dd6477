"""What a page has of one source: `Ok`, `Stale` or `Missing`, and how it came by it."""

from dataclasses import dataclass
from typing import Literal

from bff.cache.entry import Entry

SourceName = Literal["info", "price", "stock"]
SOURCES: tuple[SourceName, ...] = ("info", "price", "stock")

Reason = Literal[
    "timeout",
    "unavailable",
    "rejected",
    "garbled",
    "not_found",
    "circuit_open",
    "overloaded",
    "shed",
    "revalidating",
]

Via = Literal["cache", "load", "join", "none"]
"""Found in the cache; loaded for this page; another page's load was joined; not asked."""


@dataclass(frozen=True, slots=True)
class Ok:
    """A value within its fresh time, or loaded just now."""

    entry: Entry
    via: Via
    stored: bool = True

    @property
    def state(self) -> str:
        """The state that clients see."""
        return "ok"

    @property
    def reason(self) -> None:
        """Nothing is wrong with it."""
        return None


@dataclass(frozen=True, slots=True)
class Stale:
    """A value past its fresh time, and why there is none fresher."""

    entry: Entry
    reason: Reason
    via: Via

    @property
    def state(self) -> str:
        """The state that clients see."""
        return "stale"


@dataclass(frozen=True, slots=True)
class Missing:
    """No value, and why.

    reason: None where the page was answered before this source had been.
    entry: the 404 as it is remembered, where it is one.
    """

    reason: Reason | None
    via: Via
    entry: Entry | None = None

    @property
    def state(self) -> str:
        """The state that clients see."""
        return "missing"


Part = Ok | Stale | Missing
Parts = dict[SourceName, Part]
