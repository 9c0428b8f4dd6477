"""The contract: "State and reason": whatever an upstream does, the right reason, and nothing kept."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Mapping
from typing import Any

from tests.harness import Bff, bff, until
from tests.upstreams import Script, Seen, always, by_sku, parts, raw, response

SETTINGS: dict[str, Any] = {f"{name}__circuit__min_attempts": "100000" for name in ("info", "price", "stock")}
SETTINGS |= {f"{name}__attempts": "1" for name in ("info", "price", "stock")}
GOOD = b'{"sku_id": "$", "price": 1}'


def shaped(data: bytes, *, close: bool = True) -> Script:
    """Write bytes in which $ stands for the SKU, and close."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await raw(data.replace(b"$", seen.sku.encode()), close=close)(seen, writer)

    return script


def with_length(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> Script:
    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        data = body.replace(b"$", seen.sku.encode())
        head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(data), *headers]
        writer.write(b"\r\n".join(head) + b"\r\n\r\n" + data)

    return script


async def endless_headers(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"y" * 1000 + b"\r\n")
        await writer.drain()


async def endless_body(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
        await writer.drain()


async def endless_interim(seen: Seen, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)
        await writer.drain()


async def dripping_body(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n")
    while True:
        writer.write(b" ")
        await asyncio.sleep(0.02)


async def check(cases: Mapping[str, tuple[Script, str | None]], **settings: Any) -> None:
    """Each case has its reason; nothing of it is kept, and nothing of it spoils the pages that follow."""
    scripts = {sku: script for sku, (script, _) in cases.items()}
    async with bff(price=by_sku(scripts, parts("price")), **{**SETTINGS, **settings}) as service:
        found = {}
        for sku in cases:
            answer = await service.page(sku)
            found[sku] = (answer.status, answer.reasons["price"])
            assert (await service.page(f"next-{sku}")).states["price"] == "ok", sku
        assert found == {sku: (200, reason) for sku, (_, reason) in cases.items()}
        service.price.script = parts("price")
        assert {sku: (await service.page(sku)).states["price"] for sku in cases} == dict.fromkeys(cases, "ok")
        await until(lambda: _idle(service))


async def test_bodies_that_are_no_part() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    bodies = {
        "no-json": b"<html>",
        "empty": b"",
        "another-shape": b'{"product": {"price": 1}}',
        "another-sku": b'{"sku_id": "1", "price": 1}',
        "nan": b'{"sku_id": "$", "price": NaN}',
        "infinity": b'{"sku_id": "$", "price": -Infinity}',
        "digits": b'{"sku_id": "$", "price": ' + b"9" * 5000 + b"}",
        "digits-in-other": b'{"sku_id": "$", "price": "x", "other": ' + b"9" * 5000 + b"}",
        "exponent": b'{"sku_id": "$", "price": 1e99999999999999999999}',
        "nested": deep,
        "nested-object": b'{"a":' * 60_000 + b"1" + b"}" * 60_000,
        "nested-inside": b'{"sku_id": "$", "price": 1, "other": ' + deep + b"}",
        "bad-utf-8": b'{"sku_id": "$", "price": 1, "other": "\xff"}',
        "nul": GOOD + b"\x00",
        "bom": b"\xef\xbb\xbf" + GOOD,
    }
    await check({sku: (with_length(body), "garbled") for sku, body in bodies.items()}, price__max_body_bytes="1000000")


async def test_bodies_that_are_too_large() -> None:
    bomb = gzip.compress(b" " * 200_000_000, 9)
    assert len(bomb) < 300_000
    padded = GOOD + b" " * 65536
    cases: dict[str, tuple[Script, str | None]] = {
        "long": (with_length(padded), "garbled"),
        "bomb": (with_length(bomb, b"Content-Encoding: gzip"), "garbled"),
        "endless": (endless_body, "garbled"),
        "promised": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b" " * 70_000), "garbled"),
        "just-fits": (with_length((GOOD.replace(b"$", b"just-fits")).ljust(65536)), None),
        "one-more": (with_length((GOOD.replace(b"$", b"one-more")).ljust(65537)), "garbled"),
        "fits-in-gzip": (always(gzip.compress(b'{"sku_id": "fits-in-gzip", "price": 1}'.ljust(65536)),
                                headers={"Content-Encoding": "gzip"}), None),
        "one-more-in-gzip": (always(gzip.compress(b'{"sku_id": "one-more-in-gzip", "price": 1}'.ljust(65537)),
                                    headers={"Content-Encoding": "gzip"}), "garbled"),
    }  # fmt: skip
    await check(cases)


async def test_codings_that_are_broken_or_were_not_offered() -> None:
    good = gzip.compress(GOOD)
    cases = {
        "no-gzip": with_length(GOOD, b"Content-Encoding: gzip"),
        "half-gzip": with_length(good[: len(good) // 2], b"Content-Encoding: gzip"),
        "bad-sum": with_length(good[:-8] + b"\x00" * 8, b"Content-Encoding: gzip"),
        "brotli": with_length(GOOD, b"Content-Encoding: br"),
        "twice": with_length(zlib.compress(good), b"Content-Encoding: gzip, deflate"),
    }
    await check({sku: (script, "garbled") for sku, script in cases.items()})


async def test_what_is_no_http_or_breaks_off() -> None:
    ok = b"HTTP/1.1 200 OK\r\n"
    cases: dict[str, tuple[Script, str | None]] = {
        "garbage": (raw(b"\x00\xff\x16\x03 garbage\r\n\r\n"), "garbled"),
        "bare-body": (raw(b'{"sku_id": "bare-body", "price": 1}'), "garbled"),
        "bad-header": (raw(ok + b"no colon\r\n\r\n{}"), "garbled"),
        "bad-status": (raw(b"HTTP/1.1 abc OK\r\n\r\n"), "garbled"),
        "bad-length": (raw(ok + b"Content-Length: x\r\n\r\n{}"), "garbled"),
        "minus-length": (raw(ok + b"Content-Length: -1\r\n\r\n{}"), "garbled"),
        "two-lengths": (raw(ok + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), "garbled"),
        "bad-chunk": (raw(ok + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n"), "garbled"),
        "upgrade": (raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "garbled"),
        "headers": (endless_headers, "garbled"),
        "interim": (endless_interim, "garbled"),
        "nothing": (raw(b""), "unavailable"),
        "half-head": (raw(ok + b"Content-Le"), "unavailable"),
        "half-body": (shaped(ok + b"Content-Length: 500\r\n\r\n" + GOOD), "unavailable"),
        "half-chunks": (shaped(ok + b"Transfer-Encoding: chunked\r\n\r\n80\r\n" + GOOD), "unavailable"),
        "drip": (dripping_body, "timeout"),
    }
    await check(cases, price__attempt_timeout_seconds="0.5")


async def test_framings_that_are_odd_and_right() -> None:
    ok = b"HTTP/1.1 200 OK\r\n"
    body = b'{"sku_id": "$", "price": 1}'
    chunks = b'1\r\n{\r\n1d;x=y\r\n"sku_id":"chunks", "price":1}\r\n0\r\nT: v\r\n\r\n'

    def sized(sku: bytes, name: bytes = b"Content-Length") -> bytes:
        return name + b": %d\r\n\r\n" % len(body.replace(b"$", sku)) + body

    cases = {
        "until-close": shaped(ok + b"\r\n" + body),
        "http-1.0": shaped(b"HTTP/1.0 200 OK\r\n\r\n" + body),
        "chunks": shaped(ok + b"Transfer-Encoding: chunked\r\n\r\n" + chunks),
        "early": shaped(b"HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n" * 3 + ok + sized(b"early")),
        "interim-100": shaped(b"HTTP/1.1 100 Continue\r\n\r\n" + ok + sized(b"interim-100")),
        "case": shaped(ok + sized(b"case", b"cOnTeNt-LeNgTh")),
    }
    await check({sku: (script, None) for sku, script in cases.items()})


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    async with bff(price=always("", 302, {"Location": "/part/other", "Set-Cookie": "a=1"})) as service:
        answer = await service.page("1001")
        assert answer.reasons["price"] == "rejected"
        service.price.script = parts("price")
        assert (await service.page("1001")).states["price"] == "ok"
        assert [seen.target for seen in service.price.seen] == ["/part/1001"] * 2
        assert all("cookie" not in seen.headers for seen in service.price.seen)


async def test_bytes_after_an_answer_are_never_the_next_ones_answer() -> None:
    forged = response(json.dumps({"sku_id": "second", "price": 666}))

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(json.dumps({"sku_id": seen.sku, "price": 1})) + forged)

    async with bff(price=script, **SETTINGS) as service:
        await service.page("first")
        page = (await service.page("second")).json
    assert page["price"] is None or page["price"]["price"] == 1


async def test_a_longer_body_than_promised_never_reaches_the_next_answer() -> None:
    async with bff(
        price=shaped(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + GOOD, close=False), **SETTINGS
    ) as service:
        assert (await service.page("first")).reasons["price"] == "garbled"
        service.price.script = parts("price")
        assert (await service.page("second")).json["price"] == {"sku_id": "second", "price": 9.5}


async def test_every_source_at_its_worst_is_a_problem_and_never_a_500() -> None:
    worst = {"headers": endless_headers, "body": endless_body, "garbage": raw(b"\x00"), "nested": always("[" * 50_000),
             "drip": dripping_body}  # fmt: skip
    script = by_sku(worst, parts("info"))
    async with bff(info=script, price=script, stock=script, **SETTINGS, deadline_seconds="0.4") as service:
        for sku in worst:
            assert (await service.page(sku)).status in (502, 504)
        assert (await service.page("1001")).status == 200


async def _idle(service: Bff) -> bool:
    return bool((await service.admin("/sources")).json["price"]["in_flight"] == 0)
