"""The listener's protocol where its two ways meet: a request that is answered at once beside one that is not."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from bff.exchange import Answer, Field, Later
from bff.listener import Listener, bind
from tests.service.sockets import LONGER_THAN_ANY, eventually
from tests.service.test_protocol import answer, asking, whole_body

BIG = b"x" * 100_000


class Site:
    """Answers by the target: /quick… at once, /late… once it is released, and what breaks."""

    def __init__(self) -> None:
        self.at_once: list[str] = []
        self.whole_way: list[str] = []
        self.release = asyncio.Event()

    def quick(self, target: bytes, sent: list[Field], later: Later) -> Answer | None:
        name = target.decode()
        if name.startswith("/broken"):
            raise ValueError("secret")
        if not name.startswith(("/quick", "/big")):
            return None
        self.at_once.append(name)
        body = BIG if name.startswith("/big") else b"at once: " + target
        return 200, [(b"content-length", b"%d" % len(body))], body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"]
        self.whole_way.append(name)
        if name.startswith("/late"):
            await self.release.wait()
        body = b"whole: " + name.encode() + await whole_body(receive)
        if name.startswith("/big"):
            body = BIG
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def listening(site: Site, **config: Any) -> AsyncIterator[tuple[Listener, tuple[str, int]]]:
    """Listen, with no word to the loop's exception handler until the end."""
    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    async with asyncio.timeout(LONGER_THAN_ANY):
        with bind("127.0.0.1", 0, "PORT") as sock:
            listener = Listener(site, sock, 1.0, site.quick)
            for name, value in config.items():
                setattr(listener.config, name, value)
            async with listener.listening():
                yield listener, sock.getsockname()[:2]
    assert troubles == []


@contextlib.asynccontextmanager
async def connected(
    site: Site, **config: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Listener]]:
    async with listening(site, **config) as (listener, address):
        reader, writer = await asyncio.open_connection(*address)
        try:
            yield reader, writer, listener
        finally:
            writer.close()


PIPELINES = [
    ["/quick1", "/late2", "/quick3", "/whole4", "/quick5"],
    ["/late1", "/late2", "/quick3"],
    ["/whole1", "/quick2", "/whole3", "/quick4"],
    ["/quick1", "/quick2", "/quick3", "/late4"],
    ["/big1", "/whole2", "/big3", "/late4", "/big5"],
]


@pytest.mark.parametrize("apart", [False, True], ids=["in one packet", "apart"])
@pytest.mark.parametrize("targets", PIPELINES, ids="".join)
async def test_answers_come_in_the_order_of_their_requests_whichever_way_each_goes(
    *, targets: list[str], apart: bool
) -> None:
    site = Site()
    async with connected(site) as (reader, writer, _):
        for target in targets:
            writer.write(asking(target))
            if apart:
                await asyncio.sleep(0.01)
        writer.write(asking("/quick-last") if apart else b"")
        late = [target for target in targets if target.startswith("/late")]
        await eventually(lambda: late[:1] == [name for name in site.whole_way if name in late][:1])
        site.release.set()
        for target in targets:
            body = (await answer(reader))[1]
            assert body == BIG if target.startswith("/big") else body.endswith(target.encode())
        if apart:
            assert (await answer(reader))[1].endswith(b"/quick-last")
    assert sorted(site.at_once + site.whole_way) == sorted([*targets, *["/quick-last"] * apart])  # each once


@pytest.mark.parametrize(
    ("headers", "interim"),
    [
        ({"Expect": "100-continue"}, True),
        ({"Expect": "100-continue", "Content-Length": "0"}, True),
        ({"Connection": "upgrade", "Upgrade": "h2c"}, False),
        ({"Connection": "upgrade", "Upgrade": "websocket"}, False),
    ],
    ids=["expecting", "expecting with a body", "an upgrade", "a websocket"],
)
async def test_what_expects_or_upgrades_goes_the_whole_way(*, headers: dict[str, str], interim: bool) -> None:
    site = Site()
    async with connected(site) as (reader, writer, _):
        writer.write(asking("/quick", **headers))
        if interim:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        assert (await answer(reader))[1] == b"whole: /quick"
    assert (site.at_once, site.whole_way) == ([], ["/quick"])


@pytest.mark.parametrize("last", ["/quick", "/whole"])
async def test_after_a_request_that_closes_nothing_more_is_asked_or_answered(last: str) -> None:
    site = Site()
    async with connected(site) as (reader, writer, _):
        writer.write(asking(last, Connection="close") + asking("/quick-more") + asking("/whole-more"))
        assert (await answer(reader))[1].endswith(last.encode())
        assert await reader.read() == b""
        await asyncio.sleep(0.05)
    assert site.at_once + site.whole_way == [last]


@pytest.mark.parametrize("target", ["/quick", "/whole"])
async def test_an_idle_connection_is_closed_by_the_keep_alive_timeout(target: str) -> None:
    async with connected(Site(), timeout_keep_alive=0.05) as (reader, writer, listener):
        writer.write(asking(target) * 2)
        assert [(await answer(reader))[1].endswith(target.encode()) for _ in range(2)] == [True, True]
        assert await reader.read() == b""
        await eventually(lambda: not listener.server_state.connections)


async def test_a_late_answer_is_not_cut_off_by_the_keep_alive_time_of_a_quick_one_before() -> None:
    site = Site()
    async with connected(site, timeout_keep_alive=0.05) as (reader, writer, _):
        writer.write(asking("/quick"))
        await answer(reader)
        writer.write(asking("/late"))
        await asyncio.sleep(0.15)
        site.release.set()
        assert (await answer(reader))[1] == b"whole: /late"


async def test_draining_closes_idle_connections_and_lets_what_is_under_way_be_answered() -> None:
    site = Site()
    async with listening(site) as (listener, address):
        quick, late = await asyncio.open_connection(*address), await asyncio.open_connection(*address)
        quick[1].write(asking("/quick"))
        await answer(quick[0])
        late[1].write(asking("/quick") + asking("/late"))
        await answer(late[0])
        await eventually(lambda: site.whole_way == ["/late"])
        listener.should_exit = True
        assert await quick[0].read() == b""
        site.release.set()
        head, body = await answer(late[0])
        assert (b"connection: close" in head, body, await late[0].read()) == (True, b"whole: /late", b"")
        quick[1].close()
        late[1].close()


async def test_what_breaks_a_quick_answer_is_said_and_left_to_the_application() -> None:
    site = Site()
    with capture_logs() as lines:
        async with connected(site) as (reader, writer, _):
            for target in ("/broken", "/quick"):
                writer.write(asking(target))
                assert (await answer(reader))[0].startswith(b"HTTP/1.1 200 ")
    assert (site.whole_way, site.at_once) == (["/broken"], ["/quick"])
    assert [(line["event"], str(line["exc_info"])) for line in lines] == [("a quick answer broke", "secret")]


def reset(sock: socket.socket) -> None:
    """Leave without a word: the peer's next read fails."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
