"""The contract: "Problems": what every error looks like."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.harness import Answer, Bff, bff, exchange
from tests.upstreams import always, by_sku, hang, raw, reset

MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}
FAST: dict[str, Any] = {"deadline_seconds": "0.3"}


def is_problem(answer: Answer, status: int, kind: str, path: str) -> None:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem.keys() >= MEMBERS
    assert problem["type"] == f"urn:bff:problem:{kind}"
    assert problem["status"] == status
    assert problem["instance"] == path
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert all(isinstance(problem[name], str) and problem[name] for name in MEMBERS - {"status"})


def says_nothing_of_the_inside(service: Bff, answer: Answer) -> None:
    text = answer.body.decode()
    ports = [str(urlsplit(up.url).port) for up in (service.info, service.price, service.stock)]
    for word in ("127.0.0.1", "Traceback", "Error(", "Errno", "/part/", ".py", "msgspec", "httpx", *ports):
        assert word not in text, word


async def test_a_pages_errors_add_the_sources() -> None:
    cases = {
        "product-unknown": (404, always("no", 404)),
        "source-timeout": (504, hang),
        "source-failed": (502, reset),
        "source-unavailable": (503, always("no", 429)),
    }
    for kind, (status, script) in cases.items():
        async with bff(info=script, **FAST) as service:
            for path in ("/api/v1/products/1001", "/api/v1/products/agg/1001"):
                answer = await service.get(path)
                is_problem(answer, status, kind, path)
                assert answer.json.keys() == MEMBERS | {"sources"}
                assert list(answer.json["sources"]) == ["info", "price", "stock"]
                for source in answer.json["sources"].values():
                    assert source.keys() == {"state", "as_of", "reason"}
                says_nothing_of_the_inside(service, answer)
            assert answer.states["info"] == "missing"


async def test_a_502_says_nothing_of_the_upstream_or_of_exceptions() -> None:
    scripts = {
        "garbage": raw(b"\x00\xff"),
        "half": always("{"),
        "shape": always('{"sku_id": 1}'),
        "status": always("no", 418),
        "broken-off": raw(b"HTTP/1.1 200 OK\r\n"),
    }
    async with bff(info=by_sku(scripts, hang)) as service:
        for sku in scripts:
            answer = await service.page(sku)
            assert answer.status == 502
            says_nothing_of_the_inside(service, answer)


async def test_a_refused_upstream_is_a_502_that_does_not_name_it() -> None:
    async with bff(info__url="http://127.0.0.1:9/secret-path/{sku}?key=s3cret") as service:
        answer = await service.page("1001")
    is_problem(answer, 502, "source-failed", "/api/v1/products/1001")
    assert answer.reasons["info"] == "unavailable"
    for word in ("127.0.0.1", "secret", "s3cret", "refused", "Errno"):
        assert word not in answer.body.decode()


async def test_the_other_refusals() -> None:
    async with bff() as service:
        is_problem(await service.get("/no/such"), 404, "route-unknown", "/no/such")
        path = "/api/v1/products/1001"
        is_problem(await service.get(path, method="POST"), 405, "method-not-allowed", path)
        for sku in ("-1", "agg", "a b".replace(" ", "%20"), "%ff", "x" * 65, "a%0a", "%C3%A9"):
            answer = await service.page(sku)
            is_problem(answer, 422, "sku-invalid", f"/api/v1/products/{sku}")
            assert answer.json.keys() == MEMBERS | {"errors"}
            for error in answer.json["errors"]:
                assert error.keys() == {"field", "message"}
                assert error["field"] == "sku_id"
                assert isinstance(error["message"], str)
        is_problem(await service.get("/api/v1/products/agg/-1"), 422, "sku-invalid", "/api/v1/products/agg/-1")


async def test_the_instance_is_the_path_as_sent_without_its_query_at_most_256_characters() -> None:
    async with bff() as service:
        for path in ("/%6Eo/such%20", "/no;such", "/a%2Fb"):
            assert (await service.get(f"{path}?token=s3cret")).json["instance"] == path
        long = "/" + "x" * 5000
        assert (await service.get(long)).json["instance"] == long[:256]


async def test_head_has_a_problems_head_and_no_body() -> None:
    async with bff(info=always("no", 404)) as service:
        answer = await service.get("/api/v1/products/1001", method="HEAD")
    assert (answer.status, answer.body) == (404, b"")
    assert answer.headers["content-type"] == "application/problem+json"


MALFORMED: dict[str, Any] = {
    "no-method": b"/api/v1/products/1001 HTTP/1.1\r\nHost: x\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "bad-header": b"GET / HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
    "nul-in-target": b"GET /api/v1/products/a\x00b HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad-length": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "two-lengths": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "both-framings": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_bytes_that_are_no_well_formed_http_get_a_bare_4xx(case: str) -> None:
    async with bff() as service:
        answer = await exchange(service, MALFORMED[case])
        assert answer.startswith(b"HTTP/1.1 4"), answer
        assert service.info.seen == []
        assert (await service.page("1001")).status == 200


WELL_FORMED: dict[str, Any] = {
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (404, 405)),
    "absolute": (b"GET http://x/no/such HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (404,)),
    "websocket": (
        b"GET /no/such HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        (404,),
    ),
    "own-method": (b"PURGE /api/v1/products/1001 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (405,)),
    "http-1.0": (b"GET /no/such HTTP/1.0\r\n\r\n", (404,)),
    "double-slash": (b"GET //no/such HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (404,)),
    "expect": (
        b"POST /no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        (404,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WELL_FORMED)
async def test_all_that_is_well_formed_http_gets_a_problem(case: str) -> None:
    data, statuses = WELL_FORMED[case]
    async with bff() as service:
        head, _, body = (await exchange(service, data)).rpartition(b"\r\n\r\n")
    assert b"application/problem+json" in head, head
    assert json.loads(body)["status"] in statuses


async def test_a_target_that_is_not_ascii_is_refused_and_never_a_500() -> None:
    async with bff() as service:
        for target in ("/api/v1/products/é".encode(), b"/api/v1/products/\xff", "/ü?ü".encode("latin-1")):
            answer = await exchange(service, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 4"), (target, answer)
        assert service.info.seen == []
