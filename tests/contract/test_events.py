"""The contract: what owners tell of their own changes, and who may tell it."""

import asyncio
import json
from typing import Any

import pytest

from tests.harness import Answer, Bff, bff, request, until
from tests.upstreams import always

CHANGED = "/api/v1/events/product-changed"
LONG: dict[str, Any] = {f"{name}__fresh_seconds": "600" for name in ("info", "price", "stock")}
TOKENS = {
    "writer": {"token": "w-secret", "scopes": ["catalog:write"]},
    "owner": {"token": "o-secret", "scopes": ["catalog:notify"]},
    "shop": {"token": "s-secret", "scopes": ["reservations"]},
}
JSON = ("Content-Type", "application/json")
OWNER = ("Authorization", "Bearer o-secret")


async def tell(service: Bff, body: Any, *headers: tuple[str, str], method: str = "POST") -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await request(service.run.public_url, method, CHANGED, headers or (JSON, OWNER), data)


def asked(service: Bff) -> list[int]:
    return [len(up.seen) for up in (service.info, service.price, service.stock)]


async def test_what_changed_is_forgotten_and_read_anew() -> None:
    async with bff(auth__tokens=TOKENS, **LONG) as service:
        await service.page("1001")
        for body, seen in (({"sku_id": "1001"}, [2, 2, 2]), ({"sku_id": "1001", "sources": ["price"]}, [2, 3, 2])):
            answer = await tell(service, body)
            assert (answer.status, answer.body) == (204, b"")
            assert answer.headers["x-request-id"]
            await service.page("1001")
            assert asked(service) == seen


async def test_no_page_that_is_asked_for_after_the_answer_is_given_the_value_before() -> None:
    async with bff(auth__tokens=TOKENS, **LONG) as service:
        gate = asyncio.Event()
        old = always(json.dumps({"sku_id": "1001", "price": 1}))

        async def gated(seen: Any, writer: Any) -> None:
            await gate.wait()
            await old(seen, writer)

        async def asked_for_a_price() -> bool:
            return len(service.price.seen) == 1

        service.price.script = gated
        before = asyncio.ensure_future(service.page("1001"))
        await until(asked_for_a_price)
        service.price.script = always(json.dumps({"sku_id": "1001", "price": 2}))
        assert (await tell(service, {"sku_id": "1001"})).status == 204
        assert (await service.page("1001")).json["price"]["price"] == 2
        gate.set()
        await before
        assert (await service.page("1001")).json["price"]["price"] == 2


async def test_it_is_deleted_once_more_after_the_set_time() -> None:
    async with bff(auth__tokens=TOKENS, invalidation__second_delete_seconds="0.2", **LONG) as service:
        await tell(service, {"sku_id": "1001"})
        await service.page("1001")

        async def asked_again() -> bool:
            await service.page("1001")
            return asked(service) == [2, 2, 2]

        await until(asked_again)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ((JSON,), 401),
        ((JSON, ("Authorization", "")), 401),
        ((JSON, ("Authorization", "Bearer")), 401),
        ((JSON, ("Authorization", "Bearer x-secret")), 401),
        ((JSON, ("Authorization", "Basic o-secret")), 401),
        ((JSON, ("Authorization", "Bearer o-secret x")), 401),
        ((JSON, OWNER, OWNER), 401),
        ((JSON, ("Authorization", "Bearer s-secret")), 403),
        ((JSON, ("Authorization", "bearer o-secret")), 204),
        ((JSON, ("Authorization", "Bearer w-secret")), 204),
    ],
)
async def test_only_who_may_tell_is_heard(sent: tuple[tuple[str, str], ...], status: int) -> None:
    async with bff(auth__tokens=TOKENS, **LONG) as service:
        await service.page("1001")
        answer = await tell(service, {"sku_id": "1001"}, *sent)
        assert answer.status == status
        assert ("www-authenticate" in answer.headers) == (status in (401, 403))
        await service.page("1001")
        assert asked(service) == ([2, 2, 2] if status == 204 else [1, 1, 1])


async def test_refusals_tell_no_token_from_another_and_show_none() -> None:
    async with bff(auth__tokens=TOKENS) as service:
        answers = [
            await tell(service, {"sku_id": "1001"}, JSON, ("X-Request-Id", "one"), *sent)
            for sent in ((), (("Authorization", "Bearer x"),), (("Authorization", "Bearer o-secreT"),))
        ]
    assert {answer.body for answer in answers} == {answers[0].body}
    assert {answer.headers["www-authenticate"] for answer in answers} == {'Bearer realm="product-bff"'}
    assert answers[0].json["type"] == "urn:bff:problem:unauthorized"


async def test_where_no_token_is_configured_nobody_may() -> None:
    async with bff() as service:
        assert (await tell(service, {"sku_id": "1001"})).status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"1001"', b"\xff", b"[" * 100_000, {}, {"sku_id": None}, {"sku_id": 1001},
        {"sku_id": "-"}, {"sku_id": "agg"}, {"sku_id": ""}, {"sku_id": "1001\n"}, {"sku_id": "1001", "sources": []},
        {"sku_id": "1001", "sources": "price"}, {"sku_id": "1001", "sources": ["prices"]}, {"sku_id": "1001", "all": 1},
        b'{"sku_id": "1001", "sku_id": "1002"}', {"sources": ["price"]},
    ],
)  # fmt: skip
async def test_what_tells_of_no_change_is_422(body: Any) -> None:
    async with bff(auth__tokens=TOKENS, **LONG) as service:
        await service.page("1001")
        answer = await tell(service, body)
        assert (answer.status, answer.json["type"]) == (422, "urn:bff:problem:body-invalid")
        assert answer.json["errors"]
        await service.page("1001")
        assert asked(service) == [1, 1, 1]


async def test_it_is_checked_in_the_order_of_the_contract() -> None:
    wrong_type = ("Content-Type", "text/plain")
    async with bff(auth__tokens=TOKENS) as service:
        assert (await tell(service, b"{", wrong_type, method="PUT")).status == 405
        assert (await tell(service, b"{", wrong_type)).status == 401
        assert (await tell(service, b"{", wrong_type, ("Authorization", "Bearer s-secret"))).status == 403
        assert (await tell(service, b"{", wrong_type, OWNER)).status == 415
        assert (await tell(service, b"{", OWNER)).status == 415
        assert (await tell(service, b"{" * (1024 * 1024 + 1), JSON, OWNER)).status == 413
        assert (await tell(service, b"{", JSON, OWNER)).status == 422
        kind = ("Content-Type", "Application/JSON; charset=utf-8")
        assert (await tell(service, {"sku_id": "1001"}, kind, OWNER)).status == 204


async def test_openapi_says_who_may_and_what_is_sent() -> None:
    async with bff(auth__tokens=TOKENS) as service:
        document = (await service.get("/openapi.json")).json
    route = document["paths"][CHANGED]["post"]
    assert set(route["responses"]) >= {"204", "401", "403", "413", "415", "422"}
    assert route["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    schema = route["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (["sku_id"], False)
