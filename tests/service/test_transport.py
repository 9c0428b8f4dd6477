"""Our transport under httpx's types: what is sent, what each failure becomes, and that nothing is lost."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx  # noqa: TID251 - what it makes of our transport is under test
import pytest

from clients.errors import Garbled, Unavailable, UpstreamError
from clients.http import Target, Transport, send
from tests.service.sockets import eventually, transported
from tests.upstreams import Script, always, hang, in_turn, raw, reset, upstream


async def sent(transport: Transport, request: httpx.Request) -> httpx.Response:
    answer = await transport.handle_async_request(request)
    await answer.aread()
    return answer


async def read(transport: Transport, url: str, sku: bytes = b"", **more: Any) -> httpx.Response:
    """Read from a URL in which `{sku}` stands for a SKU, as the service does."""
    return await send(transport, Target(url, "{sku}"), sku, [], max_bytes=1000, **more)


def refused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"
FAILURES: dict[str, tuple[Script, type[httpx.TransportError] | type[httpx.DecodingError], type[UpstreamError]]] = {
    "closed before a byte": (raw(b""), httpx.ReadError, Unavailable),
    "reset": (reset, httpx.ReadError, Unavailable),
    "broken off": (raw(HALF), httpx.ReadError, Unavailable),
    "garbage": (raw(b"garbage\r\n\r\n"), httpx.RemoteProtocolError, Garbled),
    "an unknown coding": (always("x", headers={"Content-Encoding": "br"}), httpx.RemoteProtocolError, Garbled),
    "too large": (always("x" * 1001), httpx.DecodingError, Garbled),
    "a bomb": (always(gzip.compress(bytes(10**7)), headers={"Content-Encoding": "gzip"}), httpx.DecodingError, Garbled),
}


@pytest.mark.parametrize(("script", "error", "ours"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_httpxs_for_httpx_and_ours_for_us(
    script: Script, error: type[Exception], ours: type[Exception]
) -> None:
    async with transported(script) as (transport, up):
        request = httpx.Request("GET", up.url, extensions={"max_bytes": 1000})
        with pytest.raises(error) as caught:
            await sent(transport, request)
        assert isinstance(caught.value, httpx.RequestError)
        assert caught.value.request is request
        with pytest.raises(ours):
            await read(transport, up.url)
        await eventually(lambda: transport.open_connections == up.open_connections == 0)


UNREACHABLE = {
    "refused": lambda: f"http://127.0.0.1:{refused_port()}/",
    "no such name": lambda: "http://name.invalid/",
    "a label too long for a name": lambda: f"http://{'a' * 64}.invalid/",
    "an empty label": lambda: "http://a..invalid/",
}


@pytest.mark.parametrize("url", UNREACHABLE.values(), ids=UNREACHABLE)
async def test_a_connection_that_cannot_be_made_is_a_connect_error_and_unavailable(url: Callable[[], str]) -> None:
    transport = Transport()
    with pytest.raises(httpx.ConnectError):
        await sent(transport, httpx.Request("GET", url()))
    with pytest.raises(Unavailable):
        await read(transport, url())
    assert transport.open_connections == 0


async def test_a_scheme_that_is_not_spoken_is_said_so() -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await sent(Transport(), httpx.Request("GET", "ftp://127.0.0.1/"))


async def test_a_request_is_sent_as_it_stands() -> None:
    async with transported(always("x")) as (transport, up):
        await sent(transport, httpx.Request("POST", f"{up.url}/a%20b?c=d#e", headers={"X-A": "b"}, content=b"body"))
        (seen,) = up.seen
        assert (seen.method, seen.target, seen.body) == ("POST", "/a%20b?c=d", b"body")
        assert seen.headers == {"host": up.url.removeprefix("http://"), "x-a": "b", "content-length": "4"}


async def test_a_streamed_body_is_framed_as_its_headers_say() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"bo"
        yield b"dy"

    async with transported(always("x")) as (transport, up):
        await sent(transport, httpx.Request("POST", up.url, content=content()))
        assert "transfer-encoding" not in up.seen[0].headers
        assert up.seen[0].body == b"body"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: b", "a\nX-Evil: b", "a\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", "a\0b"])
async def test_a_header_that_would_end_itself_is_not_sent(value: str) -> None:
    async with transported(always("x")) as (transport, up):
        with pytest.raises(httpx.LocalProtocolError):
            await sent(transport, httpx.Request("GET", up.url, headers={"X-A": value}))
        assert not up.seen


async def test_an_answer_to_head_is_not_waited_for_beyond_its_headers() -> None:
    async with transported(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", close=False)) as (transport, up):
        with suppress(httpx.UnsupportedProtocol):  # as good: whoever does not speak it may say so
            assert (await sent(transport, httpx.Request("HEAD", up.url))).content == b""


async def test_an_answer_comes_decoded_and_without_the_headers_that_spoke_of_its_coding() -> None:
    headers = {"Content-Encoding": "gzip", "Set-Cookie": "a=b", "X-A": "1"}
    async with transported(always(gzip.compress(b"hello"), 201, headers)) as (transport, up):
        answer = await sent(transport, httpx.Request("GET", up.url))
        assert (answer.status_code, answer.content) == (201, b"hello")
        assert answer.headers["x-a"] == "1"
        assert {"content-encoding", "content-length"}.isdisjoint(answer.headers)


async def test_httpxs_client_works_over_it() -> None:
    async with transported(always("hello")) as (transport, up), httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(up.url)).text == "hello"
        async with client.stream("GET", up.url) as streamed:
            assert [chunk async for chunk in streamed.aiter_bytes()] == [b"hello"]
        assert up.accepted == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_is_sent_once_whatever_its_method(method: str) -> None:
    async with transported(in_turn(always("x"), reset)) as (transport, up):
        await sent(transport, httpx.Request("GET", up.url))
        with pytest.raises(httpx.ReadError):
            await sent(transport, httpx.Request(method, up.url))
        assert len(up.seen) == 2


async def test_each_origin_has_connections_of_its_own() -> None:
    async with transported(always("one")) as (transport, one), upstream(always("two")) as two:
        for _ in range(2):
            assert (await sent(transport, httpx.Request("GET", one.url))).text == "one"
            assert (await sent(transport, httpx.Request("GET", two.url))).text == "two"
        assert (one.accepted, two.accepted, transport.open_connections) == (1, 1, 2)
        assert repr(transport) == "<Transport [<Pool 1 idle of 1>, <Pool 1 idle of 1>]>"
        await transport.aclose()
        assert transport.open_connections == 0
        await eventually(lambda: one.open_connections == two.open_connections == 0)


@pytest.mark.parametrize("script", [hang, raw(HALF, close=False)], ids=["before the answer", "amid its body"])
async def test_calls_that_run_out_of_time_by_the_thousand_lose_no_connection(script: Script) -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.001):
            await read(transport, up.url)

    async with transported(script) as (transport, up):
        for _ in range(72):
            ended = await asyncio.gather(*(impatient() for _ in range(50)), return_exceptions=True)
            assert {type(error) for error in ended} == {TimeoutError}
        await eventually(lambda: transport.open_connections == up.open_connections == 0)
        up.script = always("x")
        assert {(await sent(transport, httpx.Request("GET", up.url))).text for _ in range(100)} == {"x"}
        assert transport.open_connections == 1
