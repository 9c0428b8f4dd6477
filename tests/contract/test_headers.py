"""The contract: "Headers": what comes in, what goes out, what upstreams get and do not get."""

import asyncio
import gzip
import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.harness import Bff, bff, request, until
from tests.upstreams import after, always, hang, in_turn, part, parts, response

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
PAGE = "/api/v1/products/1001"


def ups(service: Bff) -> list[dict[str, str]]:
    """Return the headers of each source's last request."""
    return [up.seen[-1].headers for up in (service.info, service.price, service.stock)]


async def test_a_request_id_that_fits_is_kept_and_any_other_made_anew() -> None:
    async with bff() as service:
        for at, good in enumerate(("a", "A-b_c.9", "x" * 64)):
            answer = await service.page(f"good-{at}", X_Request_Id=good)
            assert answer.headers["x-request-id"] == good
            assert {headers["x-request-id"] for headers in ups(service)} == {good}
        made = set()
        for at, bad in enumerate(("", "x" * 65, "a b", "ä", "a/b", "<x>", "a,b", '"a"')):
            answer = await service.get(f"/api/v1/products/bad-{at}", {"X-Request-Id": bad} if bad else None)
            sent = answer.headers["x-request-id"]
            assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", sent)
            assert {headers["x-request-id"] for headers in ups(service)} == {sent}
            made.add(sent)
        assert len(made) == 8


async def test_every_answer_has_a_request_id_and_content_types_without_parameters() -> None:
    async with bff(info__not_found_seconds="0") as service:
        for method, target in (("GET", PAGE), ("HEAD", PAGE), ("GET", "/no"), ("POST", PAGE), ("GET", "/openapi.json"),
                               ("GET", "/api/v1/products/-"), ("GET", "/api/v1/products/agg/1001")):  # fmt: skip
            answer = await service.get(target, {"X-Request-Id": "mine"}, method=method)
            assert answer.headers["x-request-id"] == "mine"
            assert answer.headers["content-type"] in ("application/json", "application/problem+json")
        answer = await request(service.run.admin_url, "GET", "/livez")
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", answer.headers["x-request-id"])
        assert answer.headers["content-type"] == "text/plain"


async def test_upstreams_get_the_callers_trace_with_a_parent_of_their_own() -> None:
    async with bff() as service:
        await service.page("1001", traceparent=TRACEPARENT, tracestate="a=1,b=2")
        parents = [headers["traceparent"].split("-") for headers in ups(service)]
        assert [headers["tracestate"] for headers in ups(service)] == ["a=1,b=2"] * 3
    assert [(version, trace, flags) for version, trace, _, flags in parents] == [("00", TRACE, "01")] * 3
    spans = {parent for _, _, parent, _ in parents}
    assert len(spans) == 3
    assert PARENT not in spans
    assert all(re.fullmatch(r"[0-9a-f]{16}", span) for span in spans)


async def test_a_trace_that_is_absent_or_invalid_is_made_anew() -> None:
    zero = f"00-{'0' * 32}-{PARENT}-01"
    bad = ["", "x", TRACEPARENT.upper(), zero, f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01",
           f"{TRACEPARENT}-x", TRACEPARENT[:-1], f"00-{TRACE}-{PARENT}-0g"]  # fmt: skip
    traces = set()
    async with bff() as service:
        for at, text in enumerate(bad):
            await service.get(f"/api/v1/products/sku-{at}", {"traceparent": text, "tracestate": "a=1"})
            for headers in ups(service):
                match = re.fullmatch(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", headers["traceparent"])
                assert match is not None
                assert "tracestate" not in headers
                traces.add(match[1])
    assert len(traces) == len(bad)
    assert not traces & {TRACE, "0" * 32}


async def test_upstreams_get_these_headers_and_nothing_else_of_the_callers() -> None:
    sent = {
        "Authorization": "Bearer s3cret", "Cookie": "session=s3cret", "X-Forwarded-For": "192.0.2.7", "X-Client": "web",
        "Accept": "text/html", "Accept-Encoding": "br", "Accept-Language": "de", "User-Agent": "caller/1",
        "Referer": "https://s3cret.example/", "Origin": "https://s3cret.example", "If-None-Match": '"s3cret"',
        "Range": "bytes=0-1", "X-Own": "s3cret", "Forwarded": "for=s3cret", "Cache-Control": "no-cache",
        "baggage": "user=s3cret", "X-Request-Id": "mine", "traceparent": TRACEPARENT, "tracestate": "a=1",
    }  # fmt: skip
    allowed = {"host", "accept", "accept-encoding", "user-agent", "x-request-id", "x-request-timeout-ms",
               "traceparent", "tracestate", "connection", "x-key"}  # fmt: skip
    own: dict[str, Any] = {f"{name}__headers": {"X-Key": f"{name}-key"} for name in ("info", "price", "stock")}
    async with bff(**own) as service:
        await service.get(PAGE, sent)
        for name, headers in zip(("info", "price", "stock"), ups(service), strict=True):
            assert set(headers) <= allowed
            assert headers["x-key"] == f"{name}-key"
            assert "application/json" in headers["accept"]
            assert "caller" not in headers["user-agent"]
            assert "br" not in headers["accept-encoding"]
            assert "s3cret" not in json.dumps(headers)
            assert headers["host"] == getattr(service, name).url.removeprefix("http://")


async def test_upstreams_cookies_are_not_kept() -> None:
    body = part("price", "1001")
    async with bff(price=always(body, headers={"Set-Cookie": "a=1; Path=/"}), price__fresh_seconds="0",
                   price__revalidate_seconds="0") as service:  # fmt: skip
        answers = [await service.page("1001") for _ in range(3)]
        assert len(service.price.seen) == 3
        assert all("cookie" not in seen.headers for seen in service.price.seen)
    assert all("set-cookie" not in answer.headers for answer in answers)


async def test_the_headers_file_wins_and_is_read_again_when_it_changes() -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder, "headers.json")
        file.write_text('{"X-Key": "first"}')
        settings: dict[str, Any] = {
            "price__headers_file": str(file),
            "price__headers": '{"X-Key": "plain", "X-Other": "plain"}',
        }
        async with bff(**settings, price__fresh_seconds="0", price__revalidate_seconds="0") as service:
            await service.page("1001")
            assert service.price.seen[-1].headers["x-key"] == "first"
            swap = Path(folder, "next.json")
            swap.write_text('{"X-Key": "second"}')
            os.replace(swap, file)  # noqa: PTH105 - as a mounted secret changes
            await until(lambda: _sends(service, "second"))
            file.write_text("{")
            await asyncio.sleep(1.2)
            await service.page("1001")
            assert service.price.seen[-1].headers["x-key"] == "second"


async def test_upstreams_are_told_the_time_that_is_left_less_with_each_attempt() -> None:
    told = await timeouts(in_turn(always("no", 503), after(0.05, always("no", 503)), parts("price")), "5")
    assert len(told) == 3
    assert 5000 >= told[0] > told[1] > told[2] >= 1


async def test_a_callers_shorter_time_is_not_the_calls() -> None:
    told = await timeouts(parts("price"), "5", X_Request_Timeout_Ms="200")
    assert 4000 < told[0] <= 5000


async def timeouts(script: Any, deadline: str, **headers: str) -> list[int]:
    async with bff(price=script, price__attempts="3", deadline_seconds=deadline) as service:
        await service.page("1001", **headers)
        return [int(seen.headers["x-request-timeout-ms"]) for seen in service.price.seen]


async def test_a_callers_timeout_that_is_malformed_or_longer_is_ignored() -> None:
    texts = ("0", "-1", "1.5", "x", "01", "1e3", "1000000000", "99999999", "\u0661", "+5", "5 5")
    async with bff(price=after(0.2, parts("price"))) as service:
        pages = (service.get(f"/api/v1/products/{at}", {"X-Request-Timeout-Ms": text}) for at, text in enumerate(texts))
        found = [answer.reasons["price"] for answer in await asyncio.gather(*pages)]
    assert found == [None] * len(texts)


async def test_a_long_callers_timeout_never_lengthens_the_page() -> None:
    async with bff(price=hang, deadline_seconds="0.3") as service, asyncio.timeout(10):
        assert (await service.page("1001", X_Request_Timeout_Ms="900000")).reasons["price"] == "timeout"


async def test_cached_parts_are_given_whatever_is_left_of_the_time() -> None:
    async with bff() as service:
        await service.page("1001")
        assert (await service.page("1001", X_Request_Timeout_Ms="1")).json["meta"]["complete"] is True


async def test_head_is_get_without_the_body() -> None:
    async with bff() as service:
        await service.page("1001")
        got, head = await service.get(PAGE), await service.get(PAGE, method="HEAD")
        document = await service.get("/openapi.json", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers.keys() == got.headers.keys()
    for name in ("content-type", "content-length", "etag", "vary"):
        assert head.headers[name] == got.headers[name]
    assert (document.status, document.body) == (200, b"")


async def test_every_page_varies_and_an_accept_that_names_nothing_offered_gets_json() -> None:
    async with bff(stock=always("no", 500)) as service:
        for accept in ("text/html", "image/png;q=1, application/xml", "*/*;q=0", ";;;", "application/json;q=0"):
            answer = await service.get(PAGE, {"Accept": accept})
            assert answer.status == 200
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["vary"] == "Accept, Accept-Encoding"


async def test_a_compressed_answer_is_read() -> None:

    async def script(seen: Any, writer: Any) -> None:
        assert "gzip" in seen.headers["accept-encoding"]
        writer.write(response(gzip.compress(part("price", seen.sku).encode()), 200, {"Content-Encoding": "gzip"}))

    async with bff(price=script) as service:
        assert (await service.page("1001")).states["price"] == "ok"


async def _sends(service: Bff, key: str) -> bool:
    await service.page("1001")
    return service.price.seen[-1].headers.get("x-key") == key
