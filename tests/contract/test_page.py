"""The contract: "The parts": what a page is made of."""

from tests.harness import bff
from tests.upstreams import always


async def test_a_page_is_three_parts_and_how_each_was_come_by() -> None:
    async with bff() as service:
        answer = await service.page("1001")
    assert answer.status == 200
    page = answer.json
    assert page["info"] == {"sku_id": "1001", "name": "Product 1001"}
    assert page["price"] == {"sku_id": "1001", "price": 9.5}
    assert page["stock"] == {"sku_id": "1001", "quantity": 3, "available": True}
    assert page["meta"]["complete"] is True
    assert answer.states == {"info": "ok", "price": "ok", "stock": "ok"}


async def test_a_source_that_fails_leaves_a_hole_and_says_why() -> None:
    async with bff(stock=always("no", 500)) as service:
        answer = await service.page("1001")
    assert answer.status == 200
    assert answer.json["stock"] is None
    assert answer.json["meta"]["complete"] is False
    assert answer.reasons == {"info": None, "price": None, "stock": "unavailable"}
