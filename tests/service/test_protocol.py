"""The listener's protocol: quick answers, whole ones, their order, and clients that leave."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from bff.exchange import Answer, Field, Later
from bff.listener import Listener, bind
from bff.protocol import SCOPE_KEY
from tests.service.sockets import LONGER_THAN_ANY, eventually

BIG = b"x" * 5_000_000
BODIES = {b"/quick": b"quick", b"/big": BIG}


class Site:
    """A listener with an application that says `whole`, late or not, and quick answers for some targets."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left: list[str] = []
        self.release = asyncio.Event()

    def quick(self, target: bytes, sent: list[Field], later: Later) -> Answer | None:
        body = BODIES.get(target)
        return None if body is None else (200, [(b"content-length", b"%d" % len(body))], body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(f"{scope['method']} {scope['path']}")
        scope[SCOPE_KEY].watch(lambda: self.left.append(scope["path"]))
        if scope["path"] == "/late":
            await self.release.wait()
        scope[SCOPE_KEY].watch(None)
        body = b"whole" + await whole_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


async def whole_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message: Message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


@contextlib.asynccontextmanager
async def connected(site: Site) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(LONGER_THAN_ANY):
        with bind("127.0.0.1", 0, "PORT") as sock:
            async with Listener(site, sock, 1.0, site.quick).listening():
                reader, writer = await asyncio.open_connection(*sock.getsockname())
                yield reader, writer
                writer.close()


def asking(target: str, method: str = "GET", version: str = "1.1", **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: test", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


async def test_a_quick_answer_is_whole_dated_and_given_without_the_application() -> None:
    site = Site()
    async with connected(site) as (reader, writer):
        for _ in range(3):
            writer.write(asking("/quick"))
            head, body = await answer(reader)
            assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
            assert body == b"quick"
    assert site.asked == []


@pytest.mark.parametrize(
    "request_",
    [
        asking("/quick", "POST", **{"Content-Length": "0"}),
        asking("/quick", **{"Content-Length": "3"}) + b"abc",
        asking("/quick", **{"Transfer-Encoding": "chunked"}) + b"3\r\nabc\r\n0\r\n\r\n",
        asking("/quick", Origin="https://shop.example"),
        asking("/quick", version="1.0", Connection="keep-alive"),
        asking("/quick?x"),
    ],
    ids=["another method", "a body", "a chunked body", "an origin", "an older version", "another target"],
)
async def test_what_is_more_than_a_plain_get_goes_the_whole_way(request_: bytes) -> None:
    site = Site()
    async with connected(site) as (reader, writer):
        writer.write(request_)
        assert (await answer(reader))[1] in (b"whole", b"wholeabc")
    assert len(site.asked) == 1


async def test_a_head_goes_the_whole_way_and_has_no_body() -> None:
    site = Site()
    async with connected(site) as (reader, writer):
        writer.write(asking("/quick", "HEAD"))
        assert b"content-length: 5" in await reader.readuntil(b"\r\n\r\n")
        writer.write(asking("/quick"))
        assert (await answer(reader))[1] == b"quick"
    assert site.asked == ["HEAD /quick"]


@pytest.mark.parametrize("target", ["/quick", "/big", "/whole"])
async def test_a_connection_that_is_to_be_closed_is_closed_after_the_whole_answer(target: str) -> None:
    async with connected(Site()) as (reader, writer):
        writer.write(asking(target, Connection="close"))
        head, body = await answer(reader)
        assert b"connection: close" in head.lower()
        assert body == BODIES.get(target.encode(), b"whole")
        assert await reader.read() == b""


async def test_an_answers_head_and_body_come_in_one_piece() -> None:
    async with connected(Site()) as (reader, writer):
        for target in ("/whole", "/quick"):
            writer.write(asking(target))
            assert (await reader.read(65536)).endswith((b"whole", b"quick"))


async def test_who_watches_hears_at_once_of_a_client_that_leaves_and_others_do_not() -> None:
    site = Site()
    async with connected(site) as (_, writer):
        writer.write(asking("/late"))
        await eventually(lambda: len(site.asked) == 1)
        writer.transport.abort()
        await eventually(lambda: site.left == ["/late"])
        site.release.set()


async def test_an_idle_connection_is_closed_at_the_stop_after_quick_answers_too() -> None:
    async with connected(Site()) as (reader, writer):
        writer.write(asking("/quick"))
        await answer(reader)
    assert await reader.read() == b""


async def test_garbage_after_a_quick_answer_breaks_nothing() -> None:
    async with connected(Site()) as (reader, writer):
        writer.write(asking("/quick") + b"\x00garbage\r\n\r\n")
        assert (await answer(reader))[1] == b"quick"
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
