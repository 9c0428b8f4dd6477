"""What is no HTTP, what undoes a content coding, and how many bytes an answer may have."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from clients.connection import MAX_HEAD_BYTES, Malformed, TooLarge
from tests.service.sockets import REQUEST, connected
from tests.service.test_connection import CHUNKED, chunks, exchanged, refusal
from tests.upstreams import raw, response

GARBAGE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another protocol's bytes": b"\x16\x03\x01\x00\xa5",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    "a broken chunk size": CHUNKED + b"five\r\nhello\r\n",
    "an unknown transfer coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an unknown content coding": response("hello", headers={"Content-Encoding": "br"}),
    "two content codings": response("hello", headers={"Content-Encoding": "gzip, gzip"}),
    "another protocol": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "an endless header": b"HTTP/1.1 200 OK\r\nA: " + b"a" * MAX_HEAD_BYTES,
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"A: a\r\n" * (MAX_HEAD_BYTES // 6 + 1),
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 25 + 1),
    "a complete head above its bound": response("hello", headers={"A": "a" * (MAX_HEAD_BYTES + 1)}),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
async def test_what_is_not_well_formed_is_malformed(data: bytes) -> None:
    assert isinstance(await refusal(data), Malformed)


def coded(body: bytes, coding: str) -> bytes:
    return response(body, headers={"Content-Encoding": coding})


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}


@pytest.mark.parametrize("coding", PACKED)
async def test_a_content_coding_that_is_known_is_undone(coding: str) -> None:
    answer, connection = await exchanged(coded(PACKED[coding](b"hello"), coding))
    assert answer.body == b"hello"
    assert connection.reusable


BROKEN_CODING = {
    "no gzip": b"hello",
    "half of it": gzip.compress(b"hello")[:-9],
    "a wrong checksum": gzip.compress(b"hello")[:-8] + b"\0" * 8,
    "something after it": gzip.compress(b"hello") + b"more",
}


@pytest.mark.parametrize("body", BROKEN_CODING.values(), ids=BROKEN_CODING)
async def test_a_content_coding_that_does_not_come_out_even_is_malformed(body: bytes) -> None:
    assert isinstance(await refusal(coded(body, "gzip")), Malformed)


async def test_bytes_after_the_end_of_a_content_coding_fail_at_once() -> None:
    # zlib copies all of them together again at each call: in small chunks that is minutes of the event loop.
    more = chunks(gzip.compress(b"hello"), b"more").replace(b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\n")
    assert isinstance(await refusal(more[:-5]), Malformed)


BODIES: dict[str, Callable[[bytes], bytes]] = {
    "by length": response,
    "in chunks": lambda body: chunks(body[:7], body[7:]),
    "as gzip": lambda body: coded(gzip.compress(body), "gzip"),
    "as gzip in chunks": lambda body: chunks(gzip.compress(body)[:12], gzip.compress(body)[12:]).replace(
        b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\n"
    ),
}


@pytest.mark.parametrize("framed", BODIES.values(), ids=BODIES)
async def test_a_body_may_be_as_large_as_its_bound_and_no_byte_larger(framed: Callable[[bytes], bytes]) -> None:
    assert (await exchanged(framed(b"a" * 1000)))[0].body == b"a" * 1000
    assert isinstance(await refusal(framed(b"a" * 1001)), TooLarge)


async def test_a_bomb_is_given_up_at_its_bound_without_waiting_for_its_end() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert isinstance(await refusal(coded(bomb, "gzip")[:-100]), TooLarge)


async def test_what_is_no_body_is_bounded_too() -> None:
    trailers = CHUNKED + b"0\r\n" + b"A: a\r\n" * (MAX_HEAD_BYTES // 6 + 8 * 1000)
    assert isinstance(await refusal(trailers), TooLarge)
    padded = CHUNKED + (b"1;" + b"x" * 1000 + b"\r\na\r\n") * 500
    assert isinstance(await refusal(padded), TooLarge)


async def test_a_body_in_the_smallest_chunks_costs_its_bytes_and_no_more() -> None:
    body = chunks(*(b"ab" for _ in range(16_384)))
    async with connected(raw(body, close=False)) as (connection, _):
        tracemalloc.start()
        try:
            answer = await connection.exchange(REQUEST, 65_536)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert len(answer.body) == 32_768
    assert peak < 500_000  # a list of the chunks would be 16,384 objects of 35 bytes and their places: 700 kB
