"""One answer to everything, over the service's own listener: `python -m benchmarks.peers.bare ANSWER.json PORT`.

It is what a page costs at least: the same server, headers and body, and no work at all.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

import uvloop
from starlette.types import Receive, Scope, Send

from bff.listener import Listener, bind

GRACE_SECONDS = 1.0


class Bare:
    """An ASGI application that replays an answer."""

    def __init__(self, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._headers = headers
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def replay(file: Path) -> Bare:
    """Return the application for an answer that was written down."""
    answer = json.loads(file.read_text(encoding="utf-8"))
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer["headers"]]
    return Bare(headers, answer["body"].encode())


async def serve(app: Bare, port: int) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Listener(app, bind("127.0.0.1", port, "PORT"), GRACE_SECONDS).listening():
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve(replay(Path(sys.argv[1])), int(sys.argv[2])))
