"""Answers that are made in one turn of the event loop leave together."""

import asyncio
from typing import Any

MAX_PARTS = 16


class Outbox:
    """What the connections of a listener have to write, kept until the end of a turn of the event loop.

    An answer's head and body leave together. And answers that are made together leave together: written one by one
    between other work, each would wake a client that had gone to sleep since the last, which costs us more than
    writing does.
    """

    def __init__(self) -> None:
        self._waiting: list[Coalesced] = []

    def __repr__(self) -> str:
        return f"<Outbox {len(self._waiting)} waiting>"

    def add(self, transport: "Coalesced", loop: asyncio.AbstractEventLoop) -> None:
        """Have a transport flushed at the end of this turn."""
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append(transport)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport in waiting:
            transport.flush()


class Coalesced:
    """A transport that keeps what is written in one turn together; in all else the one that it stands before."""

    __slots__ = (
        "_loop",
        "_outbox",
        "_parts",
        "_transport",
        "get_extra_info",
        "is_closing",
        "pause_reading",
        "resume_reading",
    )

    def __init__(self, transport: asyncio.Transport, outbox: Outbox, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._outbox = outbox
        self._loop = loop
        self._parts: list[bytes] = []
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def __repr__(self) -> str:
        return f"<Coalesced {len(self._parts)} parts>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this turn, or at once where much is kept: who does not read must be noticed."""
        parts = self._parts
        if not parts:
            self._outbox.add(self, self._loop)
        parts.append(data)
        if len(parts) == MAX_PARTS:
            self.flush()

    def close(self) -> None:
        """Write what was kept, and close."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Write what was kept."""
        if self._parts:
            parts, self._parts = self._parts, []
            if not self._transport.is_closing():  # the client may have left in this very turn
                self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
