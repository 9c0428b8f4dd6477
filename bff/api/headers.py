"""The headers of a page, as pure functions of its parts."""

import math
import re
from collections.abc import Iterable, Mapping

from bff.product import view
from bff.product.parts import SOURCES, Ok, Part, Parts, SourceName, Stale, Via

Field = tuple[bytes, bytes]
Fields = list[Field]

VARY: Field = (b"vary", b"Accept, Accept-Encoding")
JSON: Field = (b"content-type", b"application/json")
_NO_CACHE: Field = (b"cache-control", b"no-cache")
_NO_STORE: Field = (b"cache-control", b"no-store")
_ALL_HIT = b", ".join(b"bff-%b; hit; ttl=%%d" % name.encode() for name in SOURCES)
_LOADED: dict[tuple[Via, bool], str] = {
    ("load", True): "fwd=miss; fwd-status=200; stored",
    ("load", False): "fwd=miss; fwd-status=200",
    ("join", True): "fwd=miss; collapsed",
    ("join", False): "fwd=miss; collapsed",
}
_ALL_LOADED: Field = (
    b"cache-status",
    b", ".join(b"bff-%b; %b" % (name.encode(), _LOADED["load", True].encode()) for name in SOURCES),
)
_ENTITY_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def cache_control(parts: Parts, now: float, *, viewed: bool) -> Field:
    """Return what caches may do with a page. viewed: every view of it has to reach us."""
    allowed = view.storable(parts)
    if allowed == "never":
        return _NO_STORE
    if viewed or allowed == "revalidate":
        return _NO_CACHE
    return _public(view.fresh_until(parts) - now)


def hot_cache_control(ends: Iterable[float], now: float, *, viewed: bool) -> Field:
    """Return the same for a page whose parts are all fresh, by when each one's fresh time ends."""
    return _NO_CACHE if viewed else _public(min(ends) - now)


def cache_status(parts: Parts, now: float) -> Field:
    """Return how each part was come by (RFC 9211)."""
    for part in parts.values():
        if type(part) is not Ok or part.via != "load" or not part.stored:
            break
    else:
        return _ALL_LOADED
    return b"cache-status", ", ".join([f"bff-{name}; {_member(parts[name], now)}" for name in SOURCES]).encode()


def hot_cache_status(ends: Iterable[float], now: float) -> Field:
    """Return the same for a page whose parts are all fresh."""
    return b"cache-status", _ALL_HIT % tuple([int(end - now) for end in ends])


def server_timing(total: float, waited: Mapping[SourceName, float]) -> Field:
    """Return the milliseconds that the page took and that it waited for each part."""
    return b"server-timing", b"page;dur=%.1f, info;dur=%.1f, price;dur=%.1f, stock;dur=%.1f" % (
        total * 1000,
        waited["info"] * 1000,
        waited["price"] * 1000,
        waited["stock"] * 1000,
    )


def page_timing(total: float) -> Field:
    """Return the milliseconds of a page that was answered whole from memory."""
    return b"server-timing", b"page;dur=%.1f" % (total * 1000)


def matches(sent: Iterable[Field], etag: bytes) -> bool:
    """Return whether a client has the page already (RFC 9110, 13.1.2, weak comparison). sent: the request's headers."""
    tags = [value for name, value in sent if name == b"if-none-match"]
    if not tags:
        return False
    field = b",".join(tags).strip()
    return field == b"*" or etag.removeprefix(b"W/") in _ENTITY_TAG.findall(field)


def _public(seconds: float) -> Field:
    return (b"cache-control", b"public, max-age=%d" % seconds) if seconds >= 1 else _NO_CACHE


def _member(part: Part, now: float) -> str:
    if type(part) is Ok and part.via != "cache":
        return _LOADED[part.via, part.stored]
    if type(part) is Stale:
        return f"fwd=stale; ttl={math.floor(part.entry.fresh_until - now)}; detail={part.reason}"
    if part.via == "none":
        return "fwd=bypass"
    if part.via == "cache" and part.entry is not None:
        hit = f"hit; ttl={math.floor(part.entry.fresh_until - now)}"
        return hit if type(part) is Ok else f"{hit}; detail={part.reason}"
    return f"fwd=miss; detail={part.reason}" if part.reason else "fwd=miss"
