"""The contract: the admin listener."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlsplit

from tests.harness import Answer, Bff, bff, request, until
from tests.upstreams import always, hang

ADMIN = ("/livez", "/readyz", "/metrics", "/sources", "/cache/invalidate")
LONG: dict[str, Any] = {f"{name}__fresh_seconds": "600" for name in ("info", "price", "stock")}


async def post(service: Bff, body: bytes, *headers: tuple[str, str]) -> Answer:
    sent = headers or (("Content-Type", "application/json"),)
    return await request(service.run.admin_url, "POST", "/cache/invalidate", sent, body)


def asked(service: Bff) -> list[int]:
    return [len(up.seen) for up in (service.info, service.price, service.stock)]


async def test_livez_and_readyz_are_plain_text_and_no_upstream_changes_them() -> None:
    async with bff(info=hang, price=always("no", 500), stock=always("no", 500), deadline_seconds="0.2") as service:
        await asyncio.gather(*(service.page(f"sku-{at}") for at in range(30)))
        for target in ("/livez", "/readyz"):
            answer = await service.admin(target)
            assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
            assert (await service.admin(target, "HEAD")).body == b""


async def test_no_admin_route_is_public_and_no_public_one_is_the_admins() -> None:
    async with bff() as service:
        for target in ADMIN:
            for method in ("GET", "POST", "OPTIONS"):
                assert (await service.get(target, method=method)).status == 404, target
        for target in ("/api/v1/products/1001", "/api/v1/products/agg/1001", "/openapi.json", "/docs", "/redoc"):
            answer = await service.admin(target)
            assert (answer.status, answer.json["type"]) == (404, "urn:bff:problem:route-unknown")
        assert service.info.seen == []


async def test_sources_show_their_state_and_no_url_or_header() -> None:
    async with bff(price=hang, price__concurrency="1", price__retry_ratio="0.5", price__retry_floor="3",
                   deadline_seconds="30", price__attempt_timeout_seconds="30",
                   price__headers={"X-Key": "s3cret"}) as service:  # fmt: skip
        pages = [asyncio.ensure_future(service.page(f"sku-{at}")) for at in range(3)]

        async def waiting() -> bool:
            return bool((await service.admin("/sources")).json["price"]["waiting"] == 2)

        await until(waiting)
        answer = await service.admin("/sources")
        assert await service.metric("bff_in_flight", source="price") == 1
        for page in pages:
            page.cancel()
        port = str(urlsplit(service.price.url).port)
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json) == ["info", "price", "stock"]
    for source in answer.json.values():
        assert source.keys() == {"circuit", "in_flight", "concurrency", "waiting", "retry_budget"}
        assert source["retry_budget"].keys() == {"left", "ratio"}
    assert answer.json["price"] == {
        "circuit": "closed", "in_flight": 1, "concurrency": 1, "waiting": 2, "retry_budget": {"left": 4, "ratio": 0.5},
    }  # fmt: skip
    assert "s3cret" not in answer.body.decode()
    assert port not in answer.body.decode()


async def test_invalidation_forgets_values_and_remembered_404s() -> None:
    async with bff(price=always("no", 404), price__not_found_seconds="600", **LONG) as service:
        for sku in ("1001", "1002"):
            await service.page(sku)
        answer = await service.admin("/cache/invalidate", "POST", {"sku_ids": ["1001", "never-seen"]})
        assert (answer.status, answer.body) == (204, b"")
        assert "content-type" not in answer.headers
        for sku in ("1001", "1002"):
            await service.page(sku)
        assert asked(service) == [3, 3, 3]


async def test_invalidation_of_some_sources_leaves_the_others() -> None:
    async with bff(**LONG) as service:
        await service.page("1001")
        body = {"sku_ids": ["1001"], "sources": ["price", "stock"]}
        assert (await service.admin("/cache/invalidate", "POST", body)).status == 204
        await service.page("1001")
        assert asked(service) == [1, 2, 2]


async def test_a_load_that_was_under_way_fills_nothing_after_an_invalidation() -> None:
    async with bff(**LONG) as service:
        old = always(json.dumps({"sku_id": "1001", "price": 1}))
        gate = asyncio.Event()

        async def gated(seen: Any, writer: Any) -> None:
            await gate.wait()
            await old(seen, writer)

        service.price.script = gated
        page = asyncio.ensure_future(service.page("1001"))
        await until(lambda: _asked_price(service))
        await service.admin("/cache/invalidate", "POST", {"sku_ids": ["1001"]})
        service.price.script = always(json.dumps({"sku_id": "1001", "price": 2}))
        assert (await service.page("1001")).json["price"]["price"] == 2
        gate.set()
        await page
        assert (await service.page("1001")).json["price"]["price"] == 2


async def test_what_is_no_invalidation_is_422_and_forgets_nothing() -> None:
    wrong: list[Any] = [
        {}, [], None, "1001", 5, {"sku_ids": []}, {"sku_ids": "1001"}, {"sku_ids": None}, {"sku_ids": [1001]},
        {"sku_ids": ["1001", "-"]}, {"sku_ids": ["1001", ""]}, {"sku_ids": ["1001", "a b"]}, {"sku_ids": ["1001\n"]},
        {"sku_ids": ["1001", "x" * 65]}, {"sku_ids": ["1001", "agg"]}, {"sku_ids": ["1001", None]},
        {"sku_ids": ["1001"] * 1001}, {"sku_ids": ["1001"], "sources": ["info", "prices"]},
        {"sku_ids": ["1001"], "sources": []}, {"sku_ids": ["1001"], "sources": "price"},
        {"sku_ids": ["1001"], "source": ["price"]}, {"sku_ids": ["1001"], "all": True}, {"sources": ["price"]},
    ]  # fmt: skip
    bodies = [json.dumps(body).encode() for body in wrong]
    bodies += [b"", b"{", b"\xff", b"sku_ids=1001", b"[" * 100_000, b'{"sku_ids": ["1001"]} x', b'{"sku_ids": [NaN]}']
    async with bff(**LONG) as service:
        await service.page("1001")
        for body in bodies:
            answer = await post(service, body)
            assert answer.status == 422, body[:80]
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json["type"] == "urn:bff:problem:body-invalid"
            assert answer.json["errors"]
            assert all(error.keys() == {"field", "message"} for error in answer.json["errors"])
        await service.page("1001")
        assert asked(service) == [1, 1, 1]
        skus = [f"sku-{at}" for at in range(1000)]
        assert (await service.admin("/cache/invalidate", "POST", {"sku_ids": skus})).status == 204


async def test_a_body_over_a_mebibyte_is_413() -> None:
    small = b'{"sku_ids": ["1001"]}'
    heads = {
        b"Content-Length: 1048577": small + b" " * (1024 * 1024 + 1 - len(small)),
        b"Transfer-Encoding: chunked": b"100001\r\n" + b" " * 0x100001 + b"\r\n",
    }
    async with bff(**LONG) as service:
        await service.page("1001")
        for head, body in heads.items():
            answer = await first_bytes(
                service, b"POST /cache/invalidate HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % head + body
            )
            assert answer.startswith(b"HTTP/1.1 413"), (head, answer)
            assert b"urn:bff:problem:too-large" in answer, (head, answer)
        await service.page("1001")
        assert asked(service) == [1, 1, 1]
        assert (await post(service, small + b" " * (1024 * 1024 - len(small)))).status == 204


async def first_bytes(service: Bff, data: bytes) -> bytes:
    """Send bytes, and read what is answered before the request has ended."""
    parts = urlsplit(service.run.admin_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            return head + await reader.read(65536)
    finally:
        writer.close()


async def test_another_method_is_405_with_allow() -> None:
    async with bff() as service:
        for target, allow in (("/cache/invalidate", "POST"), ("/metrics", "GET, HEAD"), ("/livez", "GET, HEAD")):
            for method in ("PUT", "DELETE"):
                answer = await service.admin(target, method)
                assert (answer.status, answer.headers["allow"]) == (405, allow)
        assert (await service.admin("/cache/invalidate")).status == 405
        assert (await service.admin("/livez/")).status == 404


async def test_metrics_are_prometheus_text_with_help_and_type() -> None:
    async with bff() as service:
        answer = await service.admin("/metrics")
    assert answer.headers["content-type"].partition(";")[0] == "text/plain"
    for line in answer.body.decode().splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) .*|[a-z_][a-z0-9_]*(\{.*\})? \S+", line), line


async def _asked_price(service: Bff) -> bool:
    return bool(service.price.seen)
