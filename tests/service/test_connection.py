"""One connection: how answers are framed, what breaks them off, and what ends the connection."""

import asyncio

import pytest

from clients.connection import Answer, Connection, ConnectionFailed, Malformed, TooLarge
from tests.service.sockets import REQUEST, connected, eventually
from tests.upstreams import Script, Seen, hang, raw, reset, response

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def exchanged(data: bytes, *, close: bool = False, max_bytes: int = 1000) -> tuple[Answer, Connection]:
    """Send a request that these bytes answer."""
    async with connected(raw(data, close=close)) as (connection, _):
        return await connection.exchange(REQUEST, max_bytes), connection


async def refusal(data: bytes, *, close: bool = False, max_bytes: int = 1000) -> Exception:
    """Send a request that these bytes do not answer; the connection is closed then."""
    async with connected(raw(data, close=close)) as (connection, up):
        with pytest.raises((ConnectionFailed, Malformed, TooLarge)) as caught:
            await connection.exchange(REQUEST, max_bytes)
        assert repr(connection) == "<Connection closed>"
        await eventually(lambda: up.open_connections == 0)
        return caught.value


def chunks(*parts: bytes) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def a_byte_at_a_time(data: bytes) -> Script:
    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        for byte in data:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)

    return script


FRAMED = {
    "by its length": response("hello"),
    "by a length of nothing": response(""),
    "in one chunk": chunks(b"hello"),
    "in chunks with an extension and a trailer": CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX-After: 1\r\n\r\n",
    "after an interim answer": b"HTTP/1.1 103 Early\r\nLink: x\r\nContent-Encoding: br\r\n\r\n" + response("hello"),
    "after two": b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + response("hello"),
    "with no content, by 204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "with no content, by 304, whatever its length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "by HTTP/1.0, kept alive": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
}
LAST = {
    "until the close": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "until the close by HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "with Connection: close": response("hello", headers={"Connection": "close"}),
    "by HTTP/1.0": response("hello").replace(b"1.1", b"1.0"),
    "in chunks, with Connection: close": chunks(b"hel", b"lo").replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
}


@pytest.mark.parametrize("data", FRAMED.values(), ids=FRAMED)
async def test_an_answer_ends_where_its_framing_says_and_leaves_the_connection_reusable(data: bytes) -> None:
    answer, connection = await exchanged(data)
    assert answer.body in (b"", b"hello")
    assert (b"hello" in data) == (answer.body == b"hello")
    assert answer.status == (int(data.rpartition(b"HTTP/1.")[2][2:5]))
    assert not [name for name, _ in answer.headers if name in (b"Link", b"X-After", b"Content-Encoding")]
    assert connection.reusable


@pytest.mark.parametrize("data", FRAMED.values(), ids=FRAMED)
async def test_an_answer_that_arrives_byte_after_byte_is_the_same(data: bytes) -> None:
    async with connected(a_byte_at_a_time(data)) as (connection, _):
        assert await connection.exchange(REQUEST, 1000) == (await exchanged(data))[0]


@pytest.mark.parametrize("data", LAST.values(), ids=LAST)
async def test_an_answer_may_be_the_last_of_its_connection(data: bytes) -> None:
    answer, connection = await exchanged(data, close=True)
    assert answer.body == b"hello"
    assert not connection.reusable


async def test_exchanges_follow_one_another_on_a_connection() -> None:
    async with connected(raw(response("hello"), close=False)) as (connection, up):
        for _ in range(3):
            assert (await connection.exchange(REQUEST, 1000)).body == b"hello"
            assert repr(connection) == "<Connection idle>"
        assert (up.accepted, len(up.seen)) == (1, 3)


AFTER = {
    "another answer": response("other"),
    "half of another answer": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\not",
    "the head of another answer": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "a letter of another answer": b"H",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "garbage": b"\x00",
}


@pytest.mark.parametrize("extra", AFTER.values(), ids=AFTER)
async def test_bytes_that_come_with_an_answer_and_follow_it_end_the_connection(extra: bytes) -> None:
    answer, connection = await exchanged(response("hello") + extra)
    assert (answer.status, answer.body) == (200, b"hello")
    assert not connection.reusable


@pytest.mark.parametrize("extra", AFTER.values(), ids=AFTER)
async def test_bytes_that_come_while_nobody_asks_end_the_connection(extra: bytes) -> None:
    late = asyncio.Event()

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response("hello"))
        await late.wait()
        writer.write(extra)

    async with connected(script) as (connection, _):
        assert (await connection.exchange(REQUEST, 1000)).body == b"hello"
        late.set()
        await eventually(lambda: connection.closed)


BROKEN = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "an interim answer alone": b"HTTP/1.1 100 Continue\r\n\r\n",
    "less than its length": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
    "no last chunk": CHUNKED + b"5\r\nhello\r\n",
    "half a chunk": CHUNKED + b"6\r\nhello",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_breaks_off_is_none(data: bytes) -> None:
    assert isinstance(await refusal(data, close=True), ConnectionFailed)


async def test_a_reset_is_a_broken_off_answer() -> None:
    async def half(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER 0: a reset, no end
        writer.transport.abort()

    for script in (reset, half):
        async with connected(script) as (connection, _):
            with pytest.raises(ConnectionFailed):
                await connection.exchange(REQUEST, 1000)


async def test_an_answer_framed_by_its_end_is_not_ended_by_our_own_closing() -> None:
    async with connected(raw(b"HTTP/1.1 200 OK\r\n\r\nhel", close=False)) as (connection, up):
        exchange = asyncio.ensure_future(connection.exchange(REQUEST, 1000))
        await eventually(lambda: len(up.seen) == 1)
        await asyncio.sleep(0.05)  # the bytes are there, or the exchange fails all the same
        connection.abort()
        with pytest.raises(ConnectionFailed):
            await exchange


@pytest.mark.parametrize("script", [hang, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", close=False)])
async def test_a_cancelled_exchange_closes_its_connection(script: Script) -> None:
    async with connected(script) as (connection, up):
        exchange = asyncio.ensure_future(connection.exchange(REQUEST, 1000))
        await eventually(lambda: len(up.seen) == 1)
        assert repr(connection) == "<Connection busy>"
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange
        assert repr(connection) == "<Connection closed>"
        await eventually(lambda: up.open_connections == 0)


async def test_an_exchange_on_a_connection_that_was_lost_fails_and_does_not_wait() -> None:
    lost: list[Connection] = []
    async with connected(hang, lost.append) as (connection, _):
        connection.abort()
        await eventually(lambda: lost == [connection])
        with pytest.raises(ConnectionFailed):
            await connection.exchange(REQUEST, 1000)
