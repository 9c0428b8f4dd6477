"""The contract: the SKU's row and "Problems": what hostile callers get, and what nobody sees of it."""

import asyncio
import json
import signal
from typing import Any
from urllib.parse import urlsplit

from tests.contract.process import serving
from tests.harness import bff, exchange, request, until
from tests.upstreams import parts, upstream

LONG = "x" * 60_000
NO_SKUS: dict[str, Any] = {
    "..": (404, 422),
    ".": (404, 422),
    "...": (422,),
    "%2e%2e": (422,),
    "%2e%2e%2f": (404,),
    "%2e%2e%2fadmin": (404,),
    "..%2f..%2fetc%2fpasswd": (404,),
    "%252e": (422,),
    "%252e%252e%252f": (422,),
    "a%3Fx=1": (422,),
    "a%23b": (422,),
    "a;b=1": (422,),
    "a%26b=1": (422,),
    "1001%0A": (422,),
    "1001%0D%0A": (422,),
    "1001%0d%0aX-Forged:%20yes": (422,),
    "%0A%7B%22forged%22:true%7D": (422,),
    "1001%00": (422,),
    "%00": (422,),
    "1001%85": (422,),
    "%ff%fe": (422,),
    "%c0%ae%c0%ae": (422,),
    "%ed%a0%80": (422,),
    "a%": (422,),
    "a%zz": (422,),
    "%E2%80%AE1001": (422,),
    "1001%E2%80%8F": (422,),
    "%D9%A1%D9%A0": (422,),
    "%EF%BC%91": (422,),
    "1001%20": (422,),
    "%201001": (422,),
    "1001%09": (422,),
    "1001+": (422,),
    "{sku}": (422,),
    "%7Bsku%7D": (422,),
    "$(id)": (422,),
    "'%22--": (422,),
    "*": (422,),
    "-1": (422,),
    "_1": (422,),
    ".1": (422,),
    "x" * 65: (422,),
    LONG: (422,),
    "%41" * 20_000: (422,),
    "agg": (422,),
    "agg%2F1001": (404,),
    "agg%2f1001": (404,),
    "1001%2F": (404,),
    "%2F1001": (404,),
    "agg%5C1001": (422,),
    "1001/..": (404, 422),
    "../../../livez": (404, 422),
}


async def test_what_is_no_sku_is_422_or_404_before_any_upstream_or_cache() -> None:
    async with bff() as service:
        for prefix in ("/api/v1/products/", "/api/v1/products/agg/"):
            for sku, statuses in NO_SKUS.items():
                if sku in ("..", ".", "agg", "1001/..", "../../../livez") and prefix.endswith("agg/"):
                    continue  # a proxy's business, or a route of its own
                answer = await service.get(prefix + sku)
                assert answer.status in statuses, (prefix, sku[:80])
                assert answer.json["instance"] == (prefix + sku)[:256]
                assert len(answer.body) < 2000
                assert answer.headers.keys() <= {
                    "date", "content-type", "content-length", "x-request-id", "cache-control", "connection", "vary",
                }  # fmt: skip
        assert [up.seen for up in (service.info, service.price, service.stock)] == [[], [], []]
        assert len(service.service.caching.tiers.memory) == 0
        assert await service.metric("bff_cache_lookups_total", source="info") == 0
        assert (await service.page("1001")).status == 200


async def test_an_escaped_character_of_a_sku_is_the_character() -> None:
    async with bff() as service:
        assert (await service.page("%31001")).json["info"]["sku_id"] == "1001"
        await service.page("1001")
        assert [seen.target for seen in service.info.seen] == ["/part/1001"]


async def test_raw_bytes_of_a_target_never_break_out() -> None:
    async with bff() as service:
        for target in (b"a\tb", b"a\x00b", b"a\x7fb", b"a\rb", b"a b", b"\x80\x80"):
            answer = await exchange(
                service, b"GET /api/v1/products/" + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            assert answer.startswith(b"HTTP/1.1 4") or answer == b"", (target, answer)
            assert b"HTTP/1.1 5" not in answer
        assert service.info.seen == []
        assert (await service.page("1001")).status == 200


async def test_no_log_line_is_forged_and_none_holds_a_sku_that_is_none() -> None:
    async with upstream(parts("info")) as info:
        settings: dict[str, Any] = {"BFF_INFO__URL": info.template, "BFF_LOG__ACCESS": "all", "BFF_LOG__FORMAT": "json",
                    "BFF_LOG__LEVEL": "debug"}  # fmt: skip
        async with serving(settings=settings) as service:
            for sku in NO_SKUS:
                await request(service.public, "GET", f"/api/v1/products/{sku}", [("X-Request-Id", 'a"}\t{"forged":1')])
            await request(service.public, "GET", "/api/v1/products/1001", [("X-Request-Id", "mine")])
            service.process.send_signal(signal.SIGTERM)
            ended = await service.end()
        assert [seen.sku for seen in info.seen] == ["1001"]
    lines = [json.loads(line) for line in ended.err.splitlines()]
    requests = [line for line in lines if line.get("event") == "request"]
    assert len(requests) == len(NO_SKUS) + 1
    assert [line["request_id"] for line in requests if line["path"] == "/api/v1/products/1001"] == ["mine"]
    assert all("forged" not in line for line in lines)
    assert max(map(len, ended.err.splitlines())) < 2000


async def test_many_and_large_headers_and_bodies_of_a_get_do_no_harm() -> None:
    async with bff() as service:
        answer = await service.get("/api/v1/products/1001", {f"X-{at}": "y" * 100 for at in range(300)})
        assert answer.status in (200, 400, 431)
        answer = await request(service.run.public_url, "GET", "/api/v1/products/1001", (), b"{" * 100_000)
        assert answer.status == 200
        for name in ("X-Request-Id", "traceparent", "X-Request-Timeout-Ms", "If-None-Match", "X-Client", "Accept"):
            answer = await service.get("/api/v1/products/agg/1001", {name: "\xff" * 200 + "," * 3000})
            assert answer.status == 200, name
        assert len(service.info.seen) == 1


async def test_clients_that_come_and_go_leave_nothing_behind() -> None:
    async with bff() as service:
        url = urlsplit(service.run.public_url)
        for data in (
            b"",
            b"GET",
            b"GET /api/v1/products/1001 HTTP/1.1\r\n",
            b"GET /api/v1/products/1001 HTTP/1.1\r\n\r\n",
        ):
            for _ in range(10):
                _, writer = await asyncio.open_connection(url.hostname, url.port)
                writer.write(data)
                writer.transport.abort()
        assert (await service.page("1001")).status == 200

        async def idle() -> bool:
            sources = (await service.admin("/sources")).json
            return all(source["in_flight"] == 0 and source["waiting"] == 0 for source in sources.values())

        await until(idle)


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error_of_ours() -> None:
    async with serving(settings={"BFF_LOG__FORMAT": "json"}) as service:
        for base, path in ((service.admin, b"/cache/invalidate"), (service.public, b"/api/v1/products/1001")):
            url = urlsplit(base)
            _, writer = await asyncio.open_connection(url.hostname, url.port)
            writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{" % path)
            await asyncio.sleep(0.2)
            writer.transport.abort()
        await asyncio.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        ended = await service.end()
    assert [line for line in ended.err.splitlines() if json.loads(line).get("level") == "error"] == []
