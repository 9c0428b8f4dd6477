"""The contract: `BULK_ITEMS`, `MAP`, `SKU_CHECK`, `AMOUNTS`: bulk answers of another shape."""

import json
from collections.abc import Mapping
from typing import Any

from tests.contract.bulk import ALONE, amounts, found_each, found_together, joined
from tests.upstreams import always, array, part

SKUS = ["1", "2", "3", "4"]
OK = dict.fromkeys(SKUS, 9.5)
GARBLED = dict.fromkeys(SKUS, "garbled")


def price(sku: str, **fields: Any) -> str:
    return part("price", sku, **fields)


def keyed(items: Mapping[str, str]) -> str:
    """Return a JSON object whose values are JSON already."""
    return "{" + ",".join(f"{json.dumps(sku)}: {item}" for sku, item in items.items()) + "}"


async def answered(body: str, **settings: Any) -> dict[str, Any]:
    """Return the amounts, or the reasons, of four SKUs that one call answers so; it is never repeated."""
    return amounts(await found_together(SKUS, always(body), **{**ALONE, **settings}))


async def test_the_array_is_where_the_setting_says() -> None:
    items = array(map(price, SKUS))
    assert await answered(f'{{"data": {{"list": {items}}}}}', price__bulk_items="/data/list") == OK
    assert await answered(f"[0, {items}]", price__bulk_items="/1") == OK
    assert await answered(f'{{"a/b": {{"~": {items}}}}}', price__bulk_items="/a~1b/~0") == OK


async def test_anything_but_an_array_or_an_object_there_fails_every_sku() -> None:
    items = array(map(price, SKUS))
    bodies = ('{"other": []}', '{"data": 5}', '{"data": "[]"}', '{"data": null}', items, "no", '{"data": [}')
    found = await found_each(SKUS, {body: always(body) for body in bodies}, **ALONE, price__bulk_items="/data")
    assert found == dict.fromkeys(bodies, GARBLED)


async def test_an_absent_sku_is_unknown_there_too_and_garbled_where_something_is_wrong() -> None:
    found = await answered(f'{{"data": [{price("1")}]}}', price__bulk_items="/data")
    assert found == {"1": 9.5} | dict.fromkeys(SKUS[1:], "not_found")
    found = await answered(f'{{"data": [{price("1")}, {{"sku_id": "2"}}]}}', price__bulk_items="/data")
    assert found == {"1": 9.5} | dict.fromkeys(SKUS[1:], "garbled")


async def test_an_object_may_be_keyed_by_sku_and_null_there_is_unknown() -> None:
    body = f'{{"data": {keyed({"3": price("3"), "1": price("1"), "2": "null"})}}}'
    assert await answered(body, price__bulk_items="/data") == {
        "1": 9.5, "2": "not_found", "3": 9.5, "4": "not_found",
    }  # fmt: skip


async def test_such_an_object_is_taken_only_where_the_setting_points() -> None:
    assert await answered(keyed({sku: price(sku) for sku in SKUS}), price__fresh_seconds="60",
                          price__bulk_items='/items') == GARBLED  # fmt: skip
    for at, body in (("/items", f'{{"items": {keyed({})}}}'), ("/0", "[{}]")):
        assert await answered(body, price__bulk_items=at) == dict.fromkeys(SKUS, "not_found")


async def test_an_unusable_value_under_a_sku_spoils_only_that_sku() -> None:
    wrong = ("{}", "[]", "5", '"no"', '{"sku_id": "2"}', price("2", price="9.5"), '{"price": -1}')
    bodies = {one: f'{{"data": {keyed({"1": price("1"), "2": one, "3": price("3")})}}}' for one in wrong}
    scripts = {one: always(body) for one, body in bodies.items()}
    found = await found_each(SKUS, scripts, **ALONE, price__bulk_items="/data")
    assert found == {one: {"1": 9.5, "2": "garbled", "3": 9.5, "4": "garbled"} for one in wrong}


async def test_one_skus_answer_under_anothers_key_is_garbled() -> None:
    items = {"1": price("2", price=1), "2": price("2"), "3": price("x"), "4": price("4")}
    found = await answered(f'{{"data": {keyed(items)}}}', price__bulk_items="/data")
    assert found == {"1": "garbled", "2": 9.5, "3": "garbled", "4": 9.5}


async def test_a_key_that_is_there_twice_is_garbled() -> None:
    items = ", ".join(f'"{sku}": {item}' for sku, item in (("1", price("1")), ("2", price("2", price=1)),
                                                            ("2", price("2")), ("3", price("3"))))  # fmt: skip
    found = await answered(f'{{"data": {{{items}}}}}', price__bulk_items="/data")
    assert found == {"1": 9.5, "2": "garbled", "3": 9.5, "4": "garbled"}


async def test_a_key_that_was_not_asked_for_is_dropped_and_counted() -> None:
    body = f'{{"data": {keyed({"1": price("1"), "x": price("x"), "y": "{}"})}}}'
    async with joined(SKUS, always(body), price__bulk_items="/data", **ALONE) as together:
        assert amounts(await together.found()) == {"1": 9.5} | dict.fromkeys(SKUS[1:], "garbled")
        assert await together.service.metric("bff_bulk_strangers_total", source="price") == 2


async def test_fields_are_mapped_inside_each_object_before_every_check() -> None:
    def named(sku: Any, amount: Any) -> str:
        return json.dumps({"id": sku, "cost": {"net": amount}, "sku_id": "internal", "price": "internal"})

    fields = {"sku_id": "/id", "price": "/cost/net"}
    items = array([named("1", 9.5), named("2", "9.5"), named("3", 9.5), named("4", 9.5)])
    assert await answered(items, price__map=fields) == OK | {"2": "garbled"}
    items = array([named("1", 9.5), '{"cost": {"net": 1}, "sku_id": "2"}', named("3", 9.5)])
    assert await answered(items, price__map=fields) == {"1": 9.5, "2": "garbled", "3": 9.5, "4": "garbled"}


async def test_an_integer_equals_its_digits_where_the_check_is_loose_and_there_alone() -> None:
    items = array([*(f'{{"sku_id": {sku}, "price": 9.5}}' for sku in SKUS[:3]), price("4")])
    assert await answered(items, price__sku_check="loose") == OK
    assert await answered(items) == {"1": "garbled", "2": "garbled", "3": "garbled", "4": 9.5}


async def test_a_loose_check_is_as_strict_about_doubles_strangers_and_the_unusable() -> None:
    items = array(['{"sku_id": 1, "price": 9.5}', price("1"), '{"sku_id": 2}', '{"sku_id": 3, "price": 9.5}',
                   '{"sku_id": 99, "price": 9.5}'])  # fmt: skip
    async with joined(SKUS, always(items), price__sku_check="loose", **ALONE) as together:
        assert amounts(await together.found()) == {"1": "garbled", "2": "garbled", "3": 9.5, "4": "garbled"}
        assert await together.service.metric("bff_bulk_strangers_total", source="price") == 1


async def test_an_object_of_an_array_may_not_leave_its_sku_out_even_where_the_check_is_loose() -> None:
    items = array([*map(price, SKUS[1:]), '{"price": 1}'])
    assert await answered(items, price__sku_check="loose") == OK | {"1": "garbled"}


async def test_a_loose_check_reads_large_integers_exactly() -> None:
    skus = ["12345678901234567890", "12345678901234567891"]
    body = array(f'{{"sku_id": {sku}, "price": {sku}}}' for sku in skus)
    async with joined(skus, always(body), price__sku_check="loose", **ALONE) as together:
        answers = await together.answers()
    for sku in skus:
        assert f'"price":{{"sku_id":"{sku}","price":{sku}}}'.encode() in answers[sku].body


async def test_amounts_are_read_as_the_source_writes_them() -> None:
    texts = {"string": ('"12.30"', "12.30"), "minor:2": ("1234567890123456789", "12345678901234567.89")}
    for amounts_, (sent, written) in texts.items():
        body = array(f'{{"sku_id": "{sku}", "price": {sent}}}' for sku in SKUS)
        async with joined(SKUS, always(body), price__amounts=amounts_, **ALONE) as together:
            answers = await together.answers()
        for sku in SKUS:
            assert f'"price":{{"sku_id":"{sku}","price":{written}}}'.encode() in answers[sku].body


async def test_everything_at_once_wrapped_keyed_renamed_and_in_cents() -> None:
    items = {sku: f'{{"no": {sku}, "amount": {{"value": 950, "unit": "EUR"}}}}' for sku in SKUS[:3]}
    body = f'{{"result": {{"by_id": {keyed(items)}}}}}'
    found = await found_together(
        SKUS, always(body), **ALONE, price__bulk_items="/result/by_id", price__amounts="minor:2",
        price__map={"sku_id": "/no", "price": "/amount/value", "currency": "/amount/unit"}, price__sku_check="loose",
    )  # fmt: skip
    assert found["4"] == "not_found"
    assert found["1"] == {"sku_id": "1", "price": 9.5, "currency": "EUR"}
    assert amounts(found) == OK | {"4": "not_found"}


async def test_a_status_that_means_unknown_for_one_means_nothing_for_many() -> None:
    scripts = {str(status): always("[]", status) for status in (404, 410)}
    found = await found_each(SKUS, scripts, **ALONE, price__not_found_status="404,410")
    assert found == dict.fromkeys(scripts, dict.fromkeys(SKUS, "rejected"))
