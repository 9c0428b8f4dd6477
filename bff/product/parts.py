"""What a page has of one source: `Ok`, `Stale` or `Missing`, and how it came by it."""

from typing import ClassVar, Literal

import msgspec

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


class Ok(msgspec.Struct, frozen=True, gc=False):
    """A value within its fresh time, or loaded just now."""

    entry: Entry
    via: Via
    stored: bool = True
    state: ClassVar[str] = "ok"
    reason: ClassVar[None] = None


class Stale(msgspec.Struct, frozen=True, gc=False):
    """A value past its fresh time, and why there is none fresher."""

    entry: Entry
    reason: Reason
    via: Via
    state: ClassVar[str] = "stale"


class Missing(msgspec.Struct, frozen=True, gc=False):
    """No value, and why.

    reason: None where the page was answered before this source had been.
    entry: the 404 as it is remembered, where it is one.
    """

    reason: Reason | None
    via: Via
    entry: Entry | None = None
    state: ClassVar[str] = "missing"


Part = Ok | Stale | Missing
Parts = dict[SourceName, Part]
