"""The contract: "Statuses": the whole table, its precedence, and how soon it is sent."""

import asyncio
from itertools import product
from typing import Any

import pytest

from tests.harness import Answer, bff
from tests.upstreams import Script, Seen, always, hang, parts

NAMES = ("info", "price", "stock")
LENIENT: dict[str, Any] = {f"{name}__circuit__min_attempts": "100000" for name in NAMES}
LENIENT |= {f"{name}__attempts": "1" for name in NAMES}
STEADY: dict[str, Any] = {**LENIENT, "deadline_seconds": "30"} | {
    f"{name}__attempt_timeout_seconds": "30" for name in NAMES
}

BEHAVIOURS: dict[str, tuple[Script | None, str | None]] = {
    "ok": (None, None),
    "none": (always("no", 404), "not_found"),
    "down": (always("no", 500), "unavailable"),
    "no": (always("no", 403), "rejected"),
    "junk": (always("no"), "garbled"),
    "busy": (always("no", 429), "overloaded"),
    "slow": (hang, "timeout"),
}
MET_EVERYWHERE = ("ok", "none", "down", "busy", "slow")
STATUS = {
    "timeout": 504,
    "unavailable": 502,
    "rejected": 502,
    "garbled": 502,
    "overloaded": 503,
    "not_found": 503,
}
TYPES = {404: "product-unknown", 504: "source-timeout", 502: "source-failed", 503: "source-unavailable"}


def by_name(source: str) -> Script:
    """Behave as the SKU says: one word for each source."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        word = seen.sku.split("-")[NAMES.index(source)]
        await (BEHAVIOURS[word][0] or parts(source))(seen, writer)

    return script


SCRIPTS: dict[str, Script] = {name: by_name(name) for name in NAMES}


def expected(sku: str, required: tuple[str, ...]) -> int:
    """Return the status, by the contract's table read from top to bottom."""
    reasons = {name: BEHAVIOURS[word][1] for name, word in zip(NAMES, sku.split("-"), strict=True)}
    absent = {name for name, reason in reasons.items() if reason == "not_found"}
    if absent & set(required) or len(absent) == len(NAMES):
        return 404
    for name in NAMES:
        if name in required and (reason := reasons[name]) is not None:
            return STATUS[reason]
    if not required and all(reasons.values()):
        return STATUS[str(reasons["info"])]
    return 200


@pytest.mark.parametrize("required", [("info",), ("info", "price"), ("price", "stock"), NAMES, ()])
async def test_the_first_row_that_applies_is_the_answer(required: tuple[str, ...]) -> None:
    skus = ["-".join(words) for words in product(MET_EVERYWHERE, repeat=3)]
    skus += ["no-ok-ok", "ok-no-ok", "ok-ok-no", "junk-ok-ok", "ok-junk-ok", "ok-ok-junk", "no-no-no", "junk-junk-junk"]
    settings: dict[str, Any] = {f"{name}__required": name in required for name in NAMES}
    settings |= {f"{name}__concurrency": "1000" for name in NAMES}
    settings |= {"deadline_seconds": "1.5"} | {f"{name}__attempt_timeout_seconds": "1.5" for name in NAMES}
    async with bff(**SCRIPTS, **LENIENT, **settings) as service:
        answers = await asyncio.gather(*(service.page(sku) for sku in skus))
    found = dict(zip(skus, answers, strict=True))
    assert {sku: answer.status for sku, answer in found.items()} == {sku: expected(sku, required) for sku in skus}
    for answer in answers:
        if answer.status != 200:
            assert answer.json["type"] == f"urn:bff:problem:{TYPES[answer.status]}"
        assert (answer.status == 503) == ("retry-after" in answer.headers)
        assert int(answer.headers.get("retry-after", 1)) >= 1
    for sku, answer in found.items():
        if answer.status == 200:
            assert answer.reasons == {
                name: BEHAVIOURS[word][1] for name, word in zip(NAMES, sku.split("-"), strict=True)
            }


async def soon(sku: str, **settings: Any) -> Answer:
    """Ask for a page whose deadline is far away; TimeoutError where it is waited for."""
    async with bff(**SCRIPTS, **{**STEADY, **settings}) as service, asyncio.timeout(10):
        return await service.page(sku)


async def test_a_required_404_is_sent_while_others_hang() -> None:
    for sku, required in (("none-slow-slow", "info"), ("slow-none-slow", "price"), ("slow-slow-none", "stock")):
        answer = await soon(sku, **{f"{required}__required": True})
        assert answer.status == 404
        assert answer.states[required] == "missing"


async def test_the_only_required_failure_is_sent_while_others_hang() -> None:
    for word, status in (("down", 502), ("no", 502), ("junk", 502), ("busy", 503)):
        assert (await soon(f"{word}-slow-slow")).status == status


async def test_all_required_failures_are_sent_while_what_is_not_required_hangs() -> None:
    answer = await soon("down-busy-slow", price__required=True)
    assert (answer.status, answer.json["type"]) == (502, "urn:bff:problem:source-failed")


async def test_a_required_failure_waits_for_another_required_source_that_may_still_say_404() -> None:
    times = {f"{name}__attempt_timeout_seconds": "0.5" for name in NAMES}
    answer = await soon("down-slow-ok", price__required=True, deadline_seconds="0.5", **times)
    assert (answer.status, answer.reasons["price"]) == (502, "timeout")


async def test_a_page_is_sent_once_every_part_is_there_and_not_before() -> None:
    assert (await soon("ok-none-down")).status == 200
    times: dict[str, Any] = {f"{name}__attempt_timeout_seconds": "0.4" for name in NAMES}
    answer = await soon("ok-ok-slow", deadline_seconds="0.4", **times)
    assert (answer.status, answer.reasons["stock"]) == (200, "timeout")


async def test_while_a_required_404_is_remembered_no_source_is_asked() -> None:
    settings: dict[str, Any] = {
        "info__not_found_seconds": "60",
        "price__fresh_seconds": "0",
        "price__revalidate_seconds": "60",
    }
    async with bff(info=always("no", 404), **settings) as service:
        assert (await service.page("1001")).status == 404
        asked = [len(up.seen) for up in (service.info, service.price, service.stock)]
        for _ in range(3):
            assert (await service.page("1001")).status == 404
        assert [len(up.seen) for up in (service.info, service.price, service.stock)] == asked


async def test_a_stale_required_part_makes_a_page() -> None:
    settings: dict[str, Any] = {
        "info__fresh_seconds": "0.1",
        "info__revalidate_seconds": "0",
        "info__stale_seconds": "60",
    }
    async with bff(**settings, **LENIENT) as service:
        await service.page("1001")
        service.info.script = always("no", 500)
        await asyncio.sleep(0.2)
        answer = await service.page("1001")
    assert (answer.status, answer.states["info"]) == (200, "stale")
    assert answer.json["info"]["name"] == "Product 1001"


async def test_the_callers_time_being_up_is_a_504() -> None:
    async with bff(**SCRIPTS, **STEADY) as service:
        answer = await service.page("slow-ok-ok", X_Request_Timeout_Ms="100")
    assert (answer.status, answer.json["type"]) == (504, "urn:bff:problem:source-timeout")


async def test_unknown_routes_and_trailing_slashes_are_404_and_nothing_redirects() -> None:
    unknown = ["/", "/api", "/api/v1/products", "/api/v1/products/", "/api/v1/products/1001/", "/nothing", "//",
               "/api/v1/products/agg/", "/api/v1/products/agg/1001/", "/api/v1/products/1001/info/", "/openapi.json/",
               "/docs", "/redoc", "/API/v1/products/1001", "/api/v1//products/1001", "/api/v2/products/1001",
               "/api/v1/products/agg/agg/1001", "/docs/oauth2-redirect", "/favicon.ico"]  # fmt: skip
    async with bff() as service:
        for target in unknown:
            for method in ("GET", "HEAD"):
                answer = await service.get(target, method=method)
                assert answer.status == 404, target
                assert "location" not in answer.headers
            assert (await service.get(target)).json["type"] == "urn:bff:problem:route-unknown"
        assert service.info.seen == []


async def test_another_method_is_405_with_allow_over_all_routes_of_the_path() -> None:
    async with bff() as service:
        for target in ("/api/v1/products/1001", "/api/v1/products/agg/1001", "/openapi.json", "/api/v1/products/agg"):
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
                answer = await service.get(target, method=method)
                assert answer.status == 405, (method, target)
                assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD"]
                assert answer.json["type"] == "urn:bff:problem:method-not-allowed"
        assert service.info.seen == []


async def test_unknown_query_parameters_are_ignored() -> None:
    async with bff() as service:
        plain = await service.page("1001")
        for query in ("?x=1", "?view=a&fields=b&explain=1&amounts=c&sku=1002", "?%ff=%00", "?", "?sku_id=1002"):
            answer = await service.get(f"/api/v1/products/1001{query}")
            assert (answer.status, answer.json) == (200, plain.json)
        assert [seen.target for seen in service.info.seen] == ["/part/1001"]
