"""The contract holds for a page that is asked for again and again as it does for the first: its headers and counts."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.contract.process import serving
from tests.harness import Answer, Bff, bff, request, until
from tests.upstreams import parts, upstream

SOURCES = ("info", "price", "stock")
PAGE, AGG = "/api/v1/products/1001", "/api/v1/products/agg/1001"
LONG: dict[str, Any] = {f"{name}__fresh_seconds": str(600 + at) for at, name in enumerate(SOURCES)}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HIT = re.compile(r"bff-info; hit; ttl=(\d+), bff-price; hit; ttl=(\d+), bff-stock; hit; ttl=(\d+)")


@asynccontextmanager
async def hot(**settings: Any) -> AsyncIterator[Bff]:
    """Run a service that has answered the page of 1001 more than once; no source is asked for it any more."""
    async with bff(**{**LONG, **settings}) as service:
        for _ in range(3):
            await service.get(PAGE)
        yield service
        assert [len(up.seen) for up in (service.info, service.price, service.stock)] == [1, 1, 1]


def ttls(answer: Answer) -> list[int]:
    match = HIT.fullmatch(answer.headers["cache-status"])
    assert match is not None, answer.headers["cache-status"]
    return [int(text) for text in match.groups()]


def max_age(answer: Answer) -> int:
    match = re.fullmatch(r"public, max-age=(\d+)", answer.headers["cache-control"])
    assert match is not None, answer.headers["cache-control"]
    return int(match[1])


async def test_it_is_the_same_page_every_time() -> None:
    async with bff(**LONG) as service:
        answers = [await service.get(target) for target in (PAGE, PAGE, PAGE, AGG, PAGE, AGG)]
    assert {(answer.status, answer.body) for answer in answers} == {(200, answers[0].body)}
    assert {answer.headers["etag"] for answer in answers} == {answers[0].headers["etag"]}
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}
    assert {answer.headers["content-length"] for answer in answers} == {str(len(answers[0].body))}
    assert {answer.headers["vary"] for answer in answers} == {"Accept, Accept-Encoding"}
    assert len({frozenset(answer.headers) for answer in answers}) == 1


async def test_times_to_live_count_down_and_the_shortest_is_the_pages() -> None:
    async with hot() as service:
        first = await service.get(PAGE)
        await asyncio.sleep(2.1)
        second = await service.get(PAGE)
        assert max_age(first) == min(ttls(first))
        assert max_age(second) == min(ttls(second))
        assert all(0 < later <= former - 2 for former, later in zip(ttls(first), ttls(second), strict=True))
        assert (await service.get(AGG)).headers["cache-control"] == "no-cache"
    async with bff(**{**LONG, "price__fresh_seconds": "0.9"}) as service:
        assert {(await service.get(PAGE)).headers["cache-control"] for _ in range(3)} == {"no-cache"}


async def test_a_client_that_has_it_gets_a_304_with_every_header_but_type_and_length() -> None:
    async with hot() as service:
        for target in (PAGE, AGG):
            full = await service.get(target)
            tag = full.headers["etag"]
            for text in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
                for method in ("GET", "HEAD"):
                    answer = await service.get(target, {"If-None-Match": text}, method=method)
                    assert (answer.status, answer.body) == (304, b"")
                    assert answer.headers.keys() == full.headers.keys() - {"content-type", "content-length"}
                    assert (answer.headers["etag"], answer.headers["vary"]) == (tag, full.headers["vary"])
            for text in ('"x"', "", "W/", tag[:-1], '"*"'):
                assert (await service.get(target, {"If-None-Match": text})).status == 200, text


async def test_head_is_get_without_the_body() -> None:
    async with hot() as service:
        for target in (PAGE, AGG):
            got, head = await service.get(target), await service.get(target, method="HEAD")
            assert (head.status, head.body, head.headers.keys()) == (200, b"", got.headers.keys())
            for name in ("content-type", "content-length", "etag", "vary"):
                assert head.headers[name] == got.headers[name]


async def test_every_answer_has_the_request_id_that_was_sent_or_one_of_its_own() -> None:
    async with hot() as service:
        for good in ("a", "A-b_c.9", "x" * 64):
            assert (await service.page("1001", X_Request_Id=good)).headers["x-request-id"] == good
        made = [(await service.page("1001", X_Request_Id="a b")).headers["x-request-id"] for _ in range(20)]
        made += [(await service.page("1001")).headers["x-request-id"] for _ in range(20)]
    assert len(set(made)) == 40
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text) for text in made)


async def test_server_timing_is_of_this_request() -> None:
    number = r"\d+(\.\d+)?"
    async with hot() as service:
        for _ in range(5):
            timing = (await service.get(PAGE)).headers["server-timing"]
            assert re.fullmatch(
                rf"page;dur={number}(, info;dur=0(\.0)?, price;dur=0(\.0)?, stock;dur=0(\.0)?)?", timing
            )


async def test_no_other_header_of_a_caller_changes_it() -> None:
    sent = {"X-Request-Timeout-Ms": "1", "traceparent": TRACE, "tracestate": "a=1", "Accept": "text/html",
            "Accept-Encoding": "br", "Cache-Control": "no-cache", "Range": "bytes=0-1", "X-Client": "web"}  # fmt: skip
    async with hot() as service:
        body = (await service.get(PAGE)).body
        for headers in (sent, {"X-Request-Timeout-Ms": "0"}, {"traceparent": "x"}):
            for target in (PAGE, f"{PAGE}?fields=info&x=1", "/api/v1/products/%31001"):
                answer = await service.get(target, headers)
                assert (answer.status, answer.body, answer.headers["content-type"]) == (200, body, "application/json")


async def test_other_paths_and_methods_are_what_they_were() -> None:
    async with hot() as service:
        for method, target, status in (
            ("POST", PAGE, 405), ("DELETE", AGG, 405), ("OPTIONS", PAGE, 405), ("GET", f"{PAGE}/", 404),
            ("GET", f"/{PAGE}", 404), ("GET", "/api/v1/products%2F1001", 404), ("GET", "/api/v1/products/agg", 422),
            ("GET", "/api/v1/products/agg/agg", 422), ("GET", "/api/v1/products/1001%0A", 422), ("HEAD", "/no", 404),
        ):  # fmt: skip
            assert (await service.get(target, method=method)).status == status, (method, target)


async def test_a_listed_origin_may_read_it_and_no_other() -> None:
    async with hot(cors__origins=["https://shop.example"]) as service:
        answer = await service.page("1001", Origin="https://shop.example")
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert {"Accept", "Accept-Encoding", "Origin"} <= set(answer.headers["vary"].split(", "))
        assert "access-control-allow-origin" not in (await service.page("1001", Origin="https://x.example")).headers
        not_modified = await service.page("1001", Origin="https://shop.example", If_None_Match="*")
        assert (not_modified.status, not_modified.headers["access-control-allow-origin"]) == (
            304,
            "https://shop.example",
        )


async def test_every_view_is_logged_and_counted_and_nothing_else_is() -> None:
    async with hot() as service:
        tag = (await service.get(PAGE)).headers["etag"]
        await service.get(AGG, method="HEAD")
        sent = {f"id-{at}": client for at, client in enumerate(("mobile", "WEB", "tablet", "", "web"))}
        for name, client in sent.items():
            await service.get(AGG, {"X-Request-Id": name, "X-Client": client})
        await service.get(AGG, {"X-Request-Id": "not-modified", "If-None-Match": tag})
        await until(lambda: counted(service, len(sent) + 1))
        lines = "".join(file.read_text() for file in sorted(service.data.glob("views/*.jsonl"))).splitlines()
    views = [json.loads(line) for line in lines]
    assert {view["request_id"]: view["client"] for view in views} == {
        "id-0": "mobile", "id-1": "web", "id-2": "other", "id-3": "other", "id-4": "web", "not-modified": "other",
    }  # fmt: skip
    assert {(view["sku_id"], view["complete"]) for view in views} == {("1001", True)}


async def counted(service: Bff, count: int) -> bool:
    return await service.metric("bff_view_events_total", outcome="written") == count


async def test_parts_lookups_and_requests_are_counted_for_each_page() -> None:
    async with bff(**LONG) as service:
        for asked in range(1, 9):
            await service.get(AGG if asked % 4 == 0 else PAGE, method="HEAD" if asked == 5 else "GET")
            if asked % 2 == 0:
                for source in SOURCES:
                    parts_ = await service.metric("bff_parts_total", source=source, state="ok", reason="none")
                    fresh = await service.metric(
                        "bff_cache_lookups_total", source=source, tier="memory", result="fresh"
                    )
                    miss = await service.metric("bff_cache_lookups_total", source=source, tier="memory", result="miss")
                    assert (parts_, fresh, miss) == (asked, asked - 1, 1)
        await service.get(PAGE, {"If-None-Match": "*"})
        total, template = "bff_requests_total", "/api/v1/products/{sku_id}"
        assert await service.metric(total, route=template, method="GET", status="200") == 5
        assert await service.metric(total, route=template, method="HEAD", status="200") == 1
        assert await service.metric(total, route=template, method="GET", status="304") == 1
        assert await service.metric(total, route="/api/v1/products/agg/{sku_id}", method="GET", status="200") == 2
        assert await service.metric("bff_request_seconds_count", route=template, method="GET") == 6


async def looked_up(service: Bff, source: str, result: str) -> float:
    return await service.metric("bff_cache_lookups_total", source=source, tier="memory", result=result)


async def test_several_on_one_connection_are_framed_one_by_one() -> None:
    async with hot() as service:
        url = urlsplit(service.run.public_url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        head = f"GET {PAGE} HTTP/1.1\r\nHost: x\r\n".encode()
        last = head + b"Connection: close\r\n\r\n"
        writer.write(
            head
            + b"\r\n"
            + last.replace(b"GET", b"HEAD").replace(b"Connection: close\r\n", b"")
            + head
            + b"\r\n"
            + last
        )
        async with asyncio.timeout(10):
            data = await reader.read()
        writer.close()
        body = (await service.get(PAGE)).body
    assert data.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert data.count(body) == 3
    assert data.endswith(body)


async def test_every_access_line_is_written_where_all_are_wanted() -> None:
    async with upstream(parts("info")) as info, upstream(parts("price")) as price, upstream(parts("stock")) as stock:
        urls = {f"BFF_{name.upper()}__URL": up.template for name, up in zip(SOURCES, (info, price, stock), strict=True)}
        settings = {**urls, "BFF_LOG__ACCESS": "all", "BFF_LOG__FORMAT": "json"}
        settings |= {f"BFF_{name.upper()}__FRESH_SECONDS": "600" for name in SOURCES}
        async with serving(settings=settings) as service:
            for at in range(6):
                await request(
                    service.public,
                    "GET",
                    AGG if at == 5 else PAGE,
                    [("X-Request-Id", f"id-{at}"), ("traceparent", TRACE)],
                )
            service.process.send_signal(signal.SIGTERM)
            ended = await service.end()
    lines = [line for text in ended.err.splitlines() if (line := json.loads(text)).get("event") == "request"]
    assert [line["request_id"] for line in lines] == [f"id-{at}" for at in range(6)]
    assert {(line["status"], line["complete"], line["method"], line["trace_id"]) for line in lines} == {
        (200, True, "GET", TRACE.split("-")[1]),
    }
    assert [line["path"] for line in lines] == [PAGE] * 5 + [AGG]
