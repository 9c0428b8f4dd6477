"""The sample sources in one process, more stubborn than they are by themselves: `python -m tests.durable.owners`.

What they were asked for is done even where the asker was killed meanwhile, as most services would. Of SKUs whose digits
begin so, the stock service declines every write with that status, or knows no such product. Ends with its parent.
"""

import asyncio
import re
import sys

import uvloop
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from bff.demo.catalog import Catalog
from bff.demo.product import PARTS
from bff.demo.source import Source
from bff.demo.sources import bind_three, serve
from bff.listener import url

DECLINED = ("409", "422")
UNKNOWN = "404"
_READS = frozenset({"GET", "HEAD"})
_REFUSED = re.compile(r"/stock/G(404|409|422)[0-9]+")


class Stubborn(Source):
    """A source that never notices that whoever asked has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if (refused := _REFUSED.fullmatch(scope["path"])) and (scope["method"] == "PUT" or refused[1] == UNKNOWN):
            await asyncio.sleep((self._faults.delay_ms or 0) / 1000)
            await Response(b"{}", int(refused[1]), media_type="application/json")(scope, receive, send)
        elif scope["method"] in _READS:
            await super().__call__(scope, receive, send)
        elif (body := await _read(receive)) is not None:
            whole: list[Message] = [{"type": "http.request", "body": body}]

            async def again() -> Message:
                return whole.pop() if whole else await receive()

            await super().__call__({**scope}, again, send)  # a copy, since who has gone is taken out of the other


async def _read(receive: Receive) -> bytes | None:
    """Read a body; None where its sender is gone before its end."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _run() -> None:
    loop = asyncio.get_running_loop()
    parent = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(parent), sys.stdin)
    stop = asyncio.Event()
    catalog = Catalog.sample()
    sockets = bind_three("127.0.0.1", 0)
    for name, listening in zip(PARTS, sockets, strict=True):
        print(name, url(listening), flush=True)
    serving = loop.create_task(serve([Stubborn(name, catalog) for name in PARTS], sockets, stop))
    await parent.read()
    stop.set()
    await serving


if __name__ == "__main__":
    uvloop.run(_run())
