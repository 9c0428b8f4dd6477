"""A page as bytes that were rendered once, for as long as all of its parts are fresh."""

import msgspec

from bff.product import view
from bff.product.parts import SOURCES, Ok, Parts

OVERHEAD_BYTES = 450  # its objects besides the body, as measured


class RenderedPage(msgspec.Struct, frozen=True, gc=False):
    """What of a page's answer stays the same while its parts do.

    ends: when each part's fresh time ends, in the order of the page, by the clock of the entries.
    until: when it has to be looked at again: a part's fresh time ends, or a refresh ahead of that is due.
    epoch: in which all of its parts were come by; see `bff.cache.trust`.
    """

    body: bytes
    length: bytes
    etag: bytes
    ends: tuple[float, ...]
    until: float
    epoch: int

    @property
    def size(self) -> int:
        """How many bytes it costs, about."""
        return OVERHEAD_BYTES + len(self.body)


def render(parts: Parts) -> RenderedPage | None:
    """Return the page where all of its parts came fresh from the cache, else None."""
    entries = []
    for name in SOURCES:
        part = parts[name]
        if type(part) is not Ok or part.via != "cache":
            return None
        entries.append(part.entry)
    epoch = entries[0].epoch
    if any(entry.epoch != epoch for entry in entries):
        return None
    members = view.content(parts)
    body = view.page(parts, members)
    return RenderedPage(
        body,
        b"%d" % len(body),
        view.etag(members).encode(),
        tuple(entry.fresh_until for entry in entries),
        min(min(entry.fresh_until, entry.refresh_at) for entry in entries),
        epoch,
    )
