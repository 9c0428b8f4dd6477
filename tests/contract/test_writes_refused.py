"""The contract: who may write, what is no write, and in which order that is found out."""

import json
from typing import Any

import pytest

from tests.contract.test_events import TOKENS
from tests.contract.test_problems import is_problem
from tests.contract.test_writes import ALLOWED, TYPE, WRITER, Owner, path, put
from tests.harness import Answer, Bff, bff, request
from tests.upstreams import Seen

SOURCES = ("info", "price", "stock")
TEXT = ("Content-Type", "text/plain")
SHOP = ("Authorization", "Bearer s-secret")
LEAST = {"info": {"name": "n"}, "price": {"price": 1}, "stock": {"quantity": 1}}


def seen(service: Bff) -> list[Seen]:
    return service.info.seen + service.price.seen + service.stock.seen


async def test_it_is_checked_in_the_order_of_the_contract() -> None:
    wrong = path("price", "-")
    async with bff(price__item="/data", **ALLOWED) as service:

        async def tried(*headers: tuple[str, str], body: bytes = b"{", target: str = wrong, method: str = "PUT") -> int:
            return (await request(service.run.public_url, method, target, headers, body)).status

        assert await tried(TEXT, target="/api/v1/products/-/prices") == 404
        assert await tried(TEXT, method="POST") == 405
        assert await tried(TEXT) == 401
        assert await tried(TEXT, SHOP) == 403
        assert await tried(TEXT, WRITER) == 422
        assert await tried(TEXT, WRITER, target=path("price")) == 501
        assert await tried(TEXT, WRITER, target=path("stock")) == 415
        assert await tried(WRITER, target=path("stock")) == 415
        assert await tried(TYPE, WRITER, target=path("stock"), body=b"{" * (1024 * 1024 + 1)) == 413
        assert await tried(TYPE, WRITER, target=path("stock")) == 422
        assert await tried(TYPE, WRITER, target=path("stock"), body=b'{"quantity": 1}') == 200
        assert [each.method for each in seen(service)] == ["PUT"]


@pytest.mark.parametrize("sku", ["-", "agg", "a" * 65, "1001%0A", "1001%20", "a:b", "%FF"])
@pytest.mark.parametrize("source", SOURCES)
async def test_what_is_no_sku_is_422_once_it_is_known_who_asks(sku: str, source: str) -> None:
    async with bff(**ALLOWED) as service:
        target = path(source, sku)
        assert (await put(service, source, LEAST[source], TYPE, target=target)).status == 401
        answer = await put(service, source, LEAST[source], target=target)
        is_problem(answer, 422, "sku-invalid", target)
        assert [error["field"] for error in answer.json["errors"]] == ["sku_id"]
        assert seen(service) == []


@pytest.mark.parametrize(
    "target", ["/api/v1/products/a%2Fb/price", "/api/v1/products/1001/price/", "/api/v1/products//price"]
)
async def test_paths_that_are_no_route_are_404(target: str) -> None:
    async with bff(**ALLOWED) as service:
        assert (await put(service, "price", LEAST["price"], target=target)).status == 404


@pytest.mark.parametrize("source", SOURCES)
async def test_a_part_is_only_written_here(source: str) -> None:
    async with bff(**ALLOWED) as service:
        for method in ("GET", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS"):
            answer = await service.get(path(source), method=method)
            assert (answer.status, answer.headers["allow"]) == (405, "PUT")
        answer = await service.get(path(source, "agg"), method="POST")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, PUT")
        assert (await service.get(path(source, "agg"))).json["info"]["sku_id"] == source  # the page of such a SKU


@pytest.mark.parametrize(
    ("sent", "status"),
    [((TYPE,), 401), ((TYPE, ("Authorization", "Bearer x")), 401), ((TYPE, ("Authorization", "Bearer o-secret")), 403),
     ((TYPE, SHOP), 403), ((TYPE, WRITER), 200)],
)  # fmt: skip
async def test_only_who_may_write_does(sent: tuple[tuple[str, str], ...], status: int) -> None:
    async with bff(stock=Owner("stock"), **ALLOWED) as service:
        answer = await put(service, "stock", {"quantity": 1}, *sent)
        assert answer.status == status
        assert ("www-authenticate" in answer.headers) == (status in (401, 403))
        assert len(seen(service)) == (status == 200)


async def test_where_no_token_is_configured_nobody_may() -> None:
    async with bff() as service:
        assert (await put(service, "stock", {"quantity": 1})).status == 401


WRONG: list[tuple[str, Any, str]] = [
    *(("stock", body, "body") for body in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000)),
    ("stock", {}, "quantity"),
    ("stock", {"quantity": -1}, "quantity"),
    ("stock", {"quantity": 1.0}, "quantity"),
    ("stock", {"quantity": 1, "available": 1}, "available"),
    ("stock", {"quantity": 1, "price": 1}, "price"),
    ("stock", {"quantity": 1, "sku_id": "1002"}, "sku_id"),
    ("stock", b'{"quantity": 1, "quantity": 1}', "quantity"),
    ("price", {"price": -0.01}, "price"),
    ("price", {"price": "1"}, "price"),
    ("price", {"price": 1, "original_price": -1}, "original_price"),
    ("price", {"price": 1, "currency": "eur"}, "currency"),
    ("info", {"name": None}, "name"),
    ("info", {"name": "n", "images": [1]}, "images"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "body", "field"), WRONG)
async def test_what_is_no_part_is_422_and_says_which_field(source: str, body: Any, field: str) -> None:
    async with bff(**ALLOWED) as service:
        answer = await put(service, source, body)
        is_problem(answer, 422, "body-invalid", path(source))
        assert [error["field"] for error in answer.json["errors"]] == [field]
        assert all(error["message"] for error in answer.json["errors"])
        assert seen(service) == []


SHAPES: dict[str, dict[str, Any]] = {
    "an item": {"price__item": "/data"},
    "a deep map": {"price__map": {"price": "/amount/cents"}},
    "loose SKUs": {"price__sku_check": "loose"},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_a_source_that_cannot_be_written_back_is_501_and_the_others_are_written(shape: dict[str, Any]) -> None:
    async with bff(**shape, **ALLOWED) as service:
        is_problem(await put(service, "price", {"price": 1}), 501, "not-configured", path("price"))
        assert (await put(service, "stock", {"quantity": 1})).status == 200


async def test_a_part_is_written_in_its_owners_way() -> None:
    own: dict[str, Any] = {
        "price__amounts": "minor:2",
        "price__map": {"price": "/cents"},
        "price__write_url": "/own?id={sku}",
    }
    async with bff(price=Owner("price"), **own, **ALLOWED) as service:
        answer = await put(service, "price", b'{"price": 12.30}')
        (written,) = service.price.seen
        assert (written.target, json.loads(written.body)) == ("/own?id=1001", {"sku_id": "1001", "cents": 1230})
        assert answer.body == b'{"sku_id":"1001","price":12.30}'
        answer = await put(service, "price", b'{"price": 12.305}')
        is_problem(answer, 422, "body-invalid", path("price"))
        assert len(service.price.seen) == 1


async def test_browsers_of_listed_origins_may_write() -> None:
    ask = {"Origin": "https://shop.example", "Access-Control-Request-Method": "PUT",
           "Access-Control-Request-Headers": "authorization, content-type, if-match"}  # fmt: skip
    async with bff(cors__origins=["https://shop.example"], auth__tokens=TOKENS) as service:
        answer: Answer = await service.get(path("price"), ask, method="OPTIONS")
    assert answer.status == 204
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert "if-match" in answer.headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize(("source", "needed"), [("info", "name"), ("price", "price"), ("stock", "quantity")])
async def test_openapi_says_who_may_and_what_is_sent(source: str, needed: str) -> None:
    async with bff() as service:
        route = (await service.get("/openapi.json")).json["paths"][path(source, "{sku_id}")]["put"]
    statuses = {"200", "202", "401", "403", "404", "409", "412", "413", "415", "422", "501", "502", "503", "504"}
    assert set(route["responses"]) == statuses
    assert route["security"] == [{"bearer": []}]
    schema = route["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == ([needed], False)
    assert [parameter["name"] for parameter in route["parameters"]] == ["sku_id", "If-Match"]


async def test_writes_are_counted_by_their_route() -> None:
    async with bff(**ALLOWED) as service:
        await put(service, "stock", {"quantity": 1})
        labels = {"route": path("stock", "{sku_id}"), "method": "PUT", "status": "200"}
        assert await service.metric("bff_requests_total", **labels) == 1
