"""A write over real sockets: what each end of it means, and that its owner sees it once."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from clients import stock
from clients.errors import NotSent, Postponed, Rejected, Throttled, Unavailable, Unknown, UpstreamError, Vague
from clients.http import Target, Transport, send
from clients.shape import Shape
from clients.source import Caller, Contract
from clients.write import Writer, Written
from tests.service.sockets import eventually, transported
from tests.service.test_transport import HALF, UNREACHABLE
from tests.upstreams import Script, Seen, Upstream, always, hang, raw, reset, response

CALLER = Caller("request-1", "0" * 31 + "1")
PART = b'{"sku_id":"7","quantity":3,"available":true}'
AMPLE = 5.0
SHORT = 0.1


def to(url: str, transport: Transport) -> Writer:
    contract = Contract(url, stock.read, Shape(), frozenset({404}), 1000, tuple)
    return Writer("stock", contract, transport, lambda: "00000000000000ab")


@asynccontextmanager
async def writing(script: Script) -> AsyncIterator[tuple[Writer, Transport, Upstream]]:
    async with transported(script) as (transport, up):
        yield to(up.template, transport), transport, up


async def write(writer: Writer, seconds: float = AMPLE) -> Written:
    return await writer.write("7", PART, CALLER, "key", seconds)


def puts(up: Upstream) -> int:
    return [seen.method for seen in up.seen].count("PUT")


OUTCOMES = {
    "stored": (always('{"sku_id": "7", "quantity": 4, "more": 1}'), 200, PART.replace(b"3", b"4")),
    "created": (always(PART, 201), 201, PART),
    "stored, not shown": (raw(b"HTTP/1.1 204 X\r\n\r\n"), 204, None),
    "stored, shown as no JSON": (always("<html>"), 200, None),
    "stored, shown as another's": (always(PART.replace(b"7", b"8")), 200, None),
    "stored, shown as nothing": (always("", 201), 201, None),
    **{f"{status}": (always('{"detail": "no"}', status), status, None) for status in (404, 409, 412, 422)},
    "after an interim answer": (raw(b"HTTP/1.1 100 X\r\n\r\n" + response(PART)), 200, PART),
}


@pytest.mark.parametrize(("script", "status", "part"), OUTCOMES.values(), ids=OUTCOMES)
async def test_what_the_owner_made_of_it_is_said(script: Script, status: int, part: bytes | None) -> None:
    async with writing(script) as (writer, _, up):
        assert await write(writer) == Written(status, part)
        (seen,) = up.seen
        assert (seen.method, seen.target, seen.body) == ("PUT", "/part/7", PART)
        assert seen.headers["idempotency-key"] == '"key"'


ERRORS: dict[str, tuple[Script, type[UpstreamError]]] = {
    **{f"{status}": (always("x", status), Vague) for status in (202, 203)},
    **{f"{status}": (always("x", status), Unavailable) for status in (500, 502, 503, 504)},
    **{f"{status}": (always("x", status), Rejected) for status in (301, 400, 401, 403, 405, 410, 415)},
    "408": (always("x", 408), Postponed),
    "429": (always("x", 429), Throttled),
    "reset": (reset, Unknown),
    "closed before a byte": (raw(b""), Unknown),
    "broken off": (raw(HALF), Unknown),
    "no HTTP": (raw(b"garbage\r\n\r\n"), Unknown),
    "too large": (always("x" * 1001), Unknown),
}


@pytest.mark.parametrize(("script", "error"), ERRORS.values(), ids=ERRORS)
async def test_an_end_without_a_verdict_says_what_is_known_and_is_not_tried_again(
    script: Script, error: type[UpstreamError]
) -> None:
    async with writing(script) as (writer, transport, up):
        with pytest.raises(UpstreamError) as caught:
            await write(writer)
        assert type(caught.value) is error
        assert puts(up) == len(up.seen) == 1
        await eventually(lambda: transport.open_connections == up.open_connections)


async def test_how_long_the_owner_asks_to_be_left_alone_is_passed_on() -> None:
    async with writing(always("x", 503, {"Retry-After": "7"})) as (writer, _, _up):
        with pytest.raises(Unavailable) as caught:
            await write(writer)
        assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("script", [hang, raw(HALF, close=False)], ids=["before the answer", "amid its body"])
async def test_a_write_that_runs_out_of_time_after_it_was_sent_is_unknown(script: Script) -> None:
    async with writing(script) as (writer, transport, up):
        with pytest.raises(Unknown, match="timeout"):
            await write(writer, SHORT)
        assert puts(up) == 1
        await eventually(lambda: transport.open_connections == up.open_connections == 0)


@pytest.mark.parametrize("url", UNREACHABLE.values(), ids=UNREACHABLE)
async def test_a_connection_that_cannot_be_made_means_that_nothing_was_sent(url: Callable[[], str]) -> None:
    transport = Transport()
    with pytest.raises(NotSent):
        await write(to(f"{url()}{{sku}}", transport))
    assert transport.open_connections == 0


async def test_a_connection_that_is_not_made_in_time_means_that_nothing_was_sent() -> None:
    # Whoever does not accept has a queue of connections made for him: one that is full makes no more.
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for filling in (first, second):
            filling.settimeout(0)
            filling.connect_ex(listening.getsockname())
        transport = Transport()
        with pytest.raises(NotSent, match="timeout"):
            await write(to(f"http://127.0.0.1:{listening.getsockname()[1]}/{{sku}}", transport), SHORT)
        assert transport.open_connections == 0


async def test_no_time_at_all_means_that_nothing_was_sent() -> None:
    async with writing(always(PART)) as (writer, _, up):
        with pytest.raises(NotSent):
            await write(writer, 0.0)
        assert not up.seen


async def test_a_header_that_cannot_be_sent_means_that_nothing_was() -> None:
    async with writing(always(PART)) as (writer, _, up):
        with pytest.raises(NotSent):
            await writer.write("7", PART, CALLER, "key", AMPLE, etag='"\r\nX-Evil: b"')
        assert not up.seen


async def test_a_write_that_is_cancelled_leaves_no_connection() -> None:
    async with writing(hang) as (writer, transport, up):
        call = asyncio.ensure_future(write(writer))
        await eventually(lambda: len(up.seen) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: transport.open_connections == up.open_connections == 0)


@pytest.mark.parametrize("turns", range(12))
async def test_a_write_cancelled_at_any_turn_of_the_loop_leaves_no_connection_behind(turns: int) -> None:
    async with writing(hang) as (writer, transport, up):
        call = asyncio.ensure_future(write(writer))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: transport.open_connections == up.open_connections == 0)


class Leaving:
    """An owner that closes each kept connection when a second request comes over it, unanswered."""

    def __init__(self) -> None:
        self._known: set[asyncio.StreamWriter] = set()

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if writer in self._known:
            writer.transport.abort()
            return
        self._known.add(writer)
        writer.write(response(PART))


async def read(transport: Transport, up: Upstream) -> int:
    return (await send(transport, Target(up.template, "{sku}"), b"7", [], max_bytes=1000)).status_code


async def test_a_write_goes_over_no_connection_that_was_kept_and_is_received_once() -> None:
    async with writing(Leaving()) as (writer, transport, up):
        assert await read(transport, up) == 200
        assert repr(transport) == "<Transport [<Pool 1 idle of 1>]>"
        assert await write(writer) == Written(200, PART)
        assert (puts(up), up.accepted) == (1, 2)


async def test_control_a_read_over_a_connection_that_was_kept_fails() -> None:
    async with writing(Leaving()) as (_, transport, up):
        assert await read(transport, up) == 200
        with pytest.raises(Unavailable):
            await read(transport, up)


async def test_writes_have_a_connection_each_and_leave_none() -> None:
    async with writing(always(PART)) as (writer, transport, up):
        for _ in range(3):
            await write(writer)
        assert (puts(up), up.accepted) == (3, 3)
        await eventually(lambda: transport.open_connections == up.open_connections == 0)
