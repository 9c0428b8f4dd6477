"""A value as Redis keeps it: a version, when its load began, the same as it is shown, its kind, a sum, its JSON.

Other versions, and whatever else is found under a key, are a miss. When the load began is in milliseconds of the
server's clock, in fifteen digits, which scripts compare as text.
"""

import re
from dataclasses import dataclass
from zlib import crc32

VERSION = b"\x01"
HEAD = 49
_HEAD = re.compile(
    rb"\x01([0-9]{15})([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)([01])([0-9a-f]{8})"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """began: by the server's clock, in milliseconds; as_of: as clients see it; body: None for a remembered 404."""

    began: int
    as_of: bytes
    body: bytes | None


def encode(stored: Stored) -> bytes:
    """Return a value's bytes."""
    kind, body = (b"0", b"") if stored.body is None else (b"1", stored.body)
    return b"%b%015d%b%b%08x%b" % (VERSION, stored.began, stored.as_of, kind, crc32(body), body)


def decode(data: bytes) -> Stored | None:
    """Return what bytes mean, None where they are no value of this version."""
    head = _HEAD.match(data)
    if head is None or crc32(body := data[HEAD:]) != int(head[4], 16):
        return None
    return Stored(int(head[1]), head[2], body if head[3] == b"1" else None)
