"""The headers of a page, as pure functions of its parts."""

import math
import re
from collections.abc import Iterable, Mapping

from bff.product import view
from bff.product.parts import SOURCES, Missing, Ok, Part, Parts, SourceName, Stale

VARY = "Accept, Accept-Encoding"
_ENTITY_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def cache_control(parts: Parts, now: float, *, viewed: bool) -> str:
    """Return what caches may do with a page. viewed: every view of it has to reach us."""
    allowed = view.storable(parts)
    if allowed == "never":
        return "no-store"
    seconds = math.floor(view.fresh_until(parts) - now)
    if viewed or allowed == "revalidate" or seconds <= 0:
        return "no-cache"
    return f"public, max-age={seconds}"


def cache_status(parts: Parts, now: float) -> str:
    """Return how each part was come by (RFC 9211)."""
    return ", ".join(f"bff-{name}; {_member(parts[name], now)}" for name in SOURCES)


def server_timing(total: float, waited: Mapping[SourceName, float]) -> str:
    """Return the milliseconds that the page took and that it waited for each part."""
    durations = [("page", total), *((name, waited[name]) for name in SOURCES)]
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in durations)


def matches(if_none_match: Iterable[str], etag: str) -> bool:
    """Return whether a client has the page already (RFC 9110, 13.1.2, weak comparison)."""
    field = ",".join(if_none_match).strip()
    return field == "*" or etag.removeprefix("W/") in _ENTITY_TAG.findall(field)


def _member(part: Part, now: float) -> str:
    if isinstance(part, Stale):
        return f"fwd=stale; ttl={math.floor(part.entry.fresh_until - now)}; detail={part.reason}"
    if part.via == "none":
        return "fwd=bypass"
    if part.via == "cache" and part.entry is not None:
        hit = f"hit; ttl={math.floor(part.entry.fresh_until - now)}"
        return hit if isinstance(part, Ok) else f"{hit}; detail={part.reason}"
    if isinstance(part, Missing):
        return f"fwd=miss; detail={part.reason}" if part.reason else "fwd=miss"
    if part.via == "join":
        return "fwd=miss; collapsed"
    return "fwd=miss; fwd-status=200; stored" if part.stored else "fwd=miss; fwd-status=200"
