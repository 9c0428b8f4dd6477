"""What pods tell each other: that parts have changed, that they have taken note of it, and that time goes on."""

from typing import NamedTuple

import msgspec


class Notice(msgspec.Struct, frozen=True, rename={"id": "i", "pod": "p", "skus": "k", "sources": "s"}):
    """Parts have changed, or are about to. pod: who says so, and is to be told that it was noted."""

    id: str
    pod: str
    skus: tuple[str, ...]
    sources: tuple[str, ...]


class Acknowledgement(NamedTuple):
    """A pod has nothing any more of what a notice says has changed."""

    notice: str
    pod: str

    def encode(self) -> bytes:
        """Return what is sent."""
        return f"a{self.notice} {self.pod}".encode()


class Tick(NamedTuple):
    """A pod's own word, on its way through Redis and back."""

    number: int

    def encode(self) -> bytes:
        """Return what is sent."""
        return b"t%d" % self.number


_encode = msgspec.json.Encoder().encode
_notice = msgspec.json.Decoder(Notice).decode


def encode(notice: Notice) -> bytes:
    """Return what is sent of a notice."""
    return _encode(notice)


def read_notice(data: bytes) -> Notice | None:
    """Read what came for all pods; None where it is no notice."""
    try:
        return _notice(data)
    except msgspec.MsgspecError:
        return None


def read_own(data: bytes) -> Tick | Acknowledgement | None:
    """Read what came for one pod; None where it is neither."""
    text = data.decode("ascii", "replace")
    if text[:1] == "t" and text[1:].isdecimal():
        return Tick(int(text[1:]))
    notice, space, pod = text[1:].partition(" ")
    return Acknowledgement(notice, pod) if text[:1] == "a" and space else None
