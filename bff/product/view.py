"""The page as a pure function of its parts: which answer they make, and its bytes."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from bff.product.parts import SOURCES, Missing, Ok, Part, Parts, Reason, SourceName, Stale

_NO_PART = b"null"
_PAGE = b'%b,"meta":{"complete":%b,"sources":{"info":%b,"price":%b,"stock":%b}}}'
_OK = b'{"state":"ok","as_of":"%b","reason":null}'
_ALL_OK = _PAGE % (b"%b", b"true", _OK, _OK, _OK)


@dataclass(frozen=True, slots=True)
class Found:
    """There is a page."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such product."""


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no page, because a source failed that it cannot be without."""

    source: SourceName
    reason: Reason


Verdict = Found | Unknown | Failed
FOUND = Found()


def verdict(parts: Parts, required: frozenset[SourceName]) -> Verdict | None:
    """Return which answer the parts make, None while an outstanding one can still change it.

    A source that is not yet in `parts` is outstanding.
    """
    if not any_missing(parts):
        return FOUND if len(parts) == len(SOURCES) else None
    absent = {name for name, part in parts.items() if isinstance(part, Missing) and part.reason == "not_found"}
    if absent & required or len(absent) == len(SOURCES):
        return Unknown()
    if required <= parts.keys():
        for name in SOURCES:
            part = parts.get(name)
            if name in required and isinstance(part, Missing) and part.reason is not None:
                return Failed(name, part.reason)
    if len(parts) < len(SOURCES):
        return None
    if all(isinstance(part, Missing) for part in parts.values()):
        info = parts["info"]
        assert info.reason is not None, "a part that was waited for has its reason"
        return Failed("info", info.reason)
    return FOUND


def any_missing(parts: Parts) -> bool:
    """Return whether a part is missing; asked thrice a page, so it is spelt out."""
    for part in parts.values():  # noqa: SIM110 - a generator costs more than the loop
        if type(part) is Missing:
            return True
    return False


def complete(parts: Parts) -> bool:
    """Return whether nothing is missing but what does not exist, or stale but what is being asked for."""
    for part in parts.values():  # as above
        if type(part) is not Ok and part.reason != ("revalidating" if type(part) is Stale else "not_found"):
            return False
    return True


def storable(parts: Parts) -> Literal["public", "revalidate", "never"]:
    """Return what a cache may do with the page: keep it, ask each time, or not keep it."""
    if not complete(parts):
        return "never"
    for part in parts.values():
        # A value that was fenced off is good enough for the page that asked before, and not for a cache behind it.
        if not part.stored if type(part) is Ok else type(part) is Stale:
            return "revalidate"
    return "public"


def fresh_until(parts: Parts) -> float:
    """Return when the first part's fresh time ends, by the clock of the entries."""
    return min([part.entry.fresh_until for part in parts.values() if part.entry is not None])


def content(parts: Parts) -> bytes:
    """Return the members of the page that its ETag speaks of, without the closing brace."""
    return b'{"info":%b,"price":%b,"stock":%b' % (_body(parts["info"]), _body(parts["price"]), _body(parts["stock"]))


def page(parts: Parts, members: bytes) -> bytes:
    """Return the whole page, given its `content`."""
    info, price, stock = parts["info"], parts["price"], parts["stock"]
    if type(info) is Ok and type(price) is Ok and type(stock) is Ok:  # nearly every page
        return _ALL_OK % (members, info.entry.as_of, price.entry.as_of, stock.entry.as_of)
    whole = b"true" if complete(parts) else b"false"
    return _PAGE % (members, whole, _source(info), _source(price), _source(stock))


def etag(members: bytes) -> str:
    """Return the weak ETag of a complete page, given its `content`."""
    return f'W/"{blake2b(members, digest_size=16).hexdigest()}"'


def sources(parts: Parts) -> dict[str, dict[str, str | None]]:
    """Return the parts' states as an error shows them."""
    return {
        name: {"state": part.state, "as_of": _as_of(part), "reason": part.reason}
        for name, part in ((name, parts[name]) for name in SOURCES)
    }


def _body(part: Part) -> bytes:
    return _NO_PART if type(part) is Missing or part.entry is None or part.entry.body is None else part.entry.body


def _as_of(part: Part) -> str | None:
    return None if isinstance(part, Missing) else part.entry.as_of.decode()


def _source(part: Part) -> bytes:
    if type(part) is Ok:
        return _OK % part.entry.as_of
    as_of, reason = _as_of(part), part.reason
    return b'{"state":"%b","as_of":%b,"reason":%b}' % (
        part.state.encode(),
        b"null" if as_of is None else b'"%b"' % as_of.encode(),
        b"null" if reason is None else b'"%b"' % reason.encode(),
    )
