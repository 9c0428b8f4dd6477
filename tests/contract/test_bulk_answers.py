"""The contract: bulk answers: whose part each object is, and what may be believed of those that are not there."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.contract.bulk import ALONE, BULK, amounts, found_each, found_together, joined
from tests.harness import bff
from tests.upstreams import always, answering, array, bulk, by_sku, part, parts

SKUS = ["a", "b", "c", "d"]
OK = dict.fromkeys(SKUS, 9.5)
CONFIRMING: dict[str, Any] = {"info__bulk_url": "/bulk?skus={skus}", "info__not_found_seconds": "60"}


def price(sku: str, **fields: Any) -> str:
    return part("price", sku, **fields)


async def answered(make: Callable[[list[str]], str | bytes], **settings: Any) -> dict[str, Any]:
    """Return the amounts, or the reasons, of four SKUs that one call answers so; it is never repeated."""
    return amounts(await found_together(SKUS, answering(make), **{**ALONE, **settings}))


async def listed_each(cases: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Any]]:
    """Return the same of several arrays, one after the other."""
    return await found_each(SKUS, {case: always(array(items)) for case, items in cases.items()}, **ALONE)


async def listed(*items: str, **settings: Any) -> dict[str, Any]:
    """Return the same of an array of these."""
    return await answered(lambda _: array(items), **settings)


async def test_objects_come_in_any_order() -> None:
    items = {sku: price(sku, price=at) for at, sku in enumerate(SKUS)}
    orders = {order: [items[sku] for sku in order] for order in ("abcd", "dcba", "cadb")}
    assert await listed_each(orders) == {order: {"a": 0, "b": 1, "c": 2, "d": 3} for order in orders}


async def test_an_absent_sku_is_unknown_where_every_object_is_usable_asked_for_and_single() -> None:
    assert await listed(price("a"), price("c")) == {"a": 9.5, "b": "not_found", "c": 9.5, "d": "not_found"}
    assert await listed() == dict.fromkeys(SKUS, "not_found")


async def test_an_absent_sku_is_garbled_where_any_object_is_anything_else() -> None:
    wrong = {
        "unusable": price("b", price="9.5"),
        "nobody's": '{"price": 9.5}',
        "no object": "[]",
        "null": "null",
        "a number": "5",
        "not asked for": price("x"),
        "of another case": price("A"),
        "double": f"{price('a')},{price('b')},{price('b')}",
    }
    found = await listed_each({case: [price("c"), item] for case, item in wrong.items()})
    assert {case: (one["c"], one["d"]) for case, one in found.items()} == dict.fromkeys(wrong, (9.5, "garbled"))


async def test_an_unusable_object_spoils_only_its_sku() -> None:
    wrong = {
        "no price": '{"sku_id": "b"}',
        "null": '{"sku_id": "b", "price": null}',
        "a string": price("b", price="9.5"),
        "below 0": price("b", price=-1),
        "a currency that is none": price("b", currency="euro"),
        "too many digits": f'{{"sku_id": "b", "price": {"9" * 41}}}',
        "another type": price("b", original_price=[]),
    }
    found = await listed_each({case: [price("a"), item, price("c"), price("d")] for case, item in wrong.items()})
    assert found == dict.fromkeys(wrong, OK | {"b": "garbled"})


async def test_an_object_whose_sku_is_not_readable_spoils_only_who_is_absent() -> None:
    items = ('{"price": 1}', '{"sku_id": 7, "price": 1}', '{"sku_id": null, "price": 1}', '"b"', "null")
    found = await listed_each({item: [price("a"), item, price("c"), price("d")] for item in items})
    assert found == dict.fromkeys(items, OK | {"b": "garbled"})
    assert await listed_each({item: [*map(price, SKUS), item] for item in items}) == dict.fromkeys(items, OK)


async def test_two_objects_for_one_sku_are_garbled_for_it() -> None:
    others = [price("a"), price("c"), price("d")]
    twice: dict[str, list[str]] = {
        "alike": [price("b"), price("b")],
        "different": [price("b"), price("b", price=1)],
        "the first unusable": ['{"sku_id": "b"}', price("b")],
        "the second unusable": [price("b"), '{"sku_id": "b"}'],
        "three": [price("b")] * 3,
    }
    expected = dict.fromkeys(twice, OK | {"b": "garbled"})
    assert await listed_each({case: [*others, *items] for case, items in twice.items()}) == expected
    assert await listed_each({case: [items[0], *others, *items[1:]] for case, items in twice.items()}) == expected


async def test_strangers_are_dropped_and_counted_and_never_kept() -> None:
    strange = [price("x", price=1), price("y", price=1), price("A"), '{"sku_id": "z"}']
    async with joined(SKUS, answering(lambda skus: array([*map(price, skus), *strange])), **ALONE) as together:
        assert amounts(await together.found()) == OK
        service = together.service
        assert await service.metric("bff_bulk_strangers_total", source="price") == 4
        assert await service.metric("bff_bulk_strangers_total", source="info") == 0
        service.price.script = bulk("price")
        assert (await service.page("x")).json["price"]["price"] == 9.5


async def test_a_skus_answer_under_anothers_id_is_never_taken_for_its_own() -> None:
    assert await listed(price("b", price=1), price("b"), price("c"), price("d")) == OK | {
        "a": "garbled", "b": "garbled",
    }  # fmt: skip
    assert await listed(price("x"), *map(price, SKUS[1:])) == OK | {"a": "garbled"}


async def test_a_part_has_no_field_but_its_own_and_its_own_digits() -> None:
    digits = ("12.30", "1234567890123456.789012", "0.10", "5", "99999999999999999999.99999999999999999999")
    body = array(f'{{"sku_id": "s{at}", "price": {text}, "other": 1}}' for at, text in enumerate(digits))
    skus = [f"s{at}" for at in range(len(digits))]
    async with joined(skus, always(body), **ALONE) as together:
        answers = await together.answers()
    for sku, text in zip(skus, digits, strict=True):
        assert f'"price":{{"sku_id":"{sku}","price":{text}}}'.encode() in answers[sku].body


async def test_what_is_no_array_fails_every_sku() -> None:
    good = array(map(price, SKUS))
    bodies: dict[str, str | bytes] = {
        "an object": price("a"),
        "an object of them": f'{{"items": {good}}}',
        "null": "null",
        "a string": '"[]"',
        "a number": "5",
        "nothing": "",
        "text": "no",
        "cut short": good[:-1],
        "cut short in the middle": good[: len(good) // 2],
        "followed by more": f"{good} []",
        "not a number": array([*map(price, SKUS[1:]), '{"sku_id": "a", "price": NaN}']),
        "a trailing comma": f"{good[:-1]},]",
        "other bytes": good.encode()[:-1] + b', "\xff"]',
        "a byte order mark": b"\xef\xbb\xbf" + good.encode(),
        "too deep": "[" * 100_000 + "]" * 100_000,
    }
    found = await found_each(SKUS, {case: always(body) for case, body in bodies.items()}, **ALONE)
    assert found == dict.fromkeys(bodies, dict.fromkeys(SKUS, "garbled"))


async def test_an_answer_is_as_large_as_is_set_and_no_larger() -> None:
    good = array(map(price, SKUS))
    assert await answered(lambda _: good.ljust(1000), price__max_bulk_bytes="1000") == OK
    assert await answered(lambda _: good.ljust(1001), price__max_bulk_bytes="1000") == dict.fromkeys(SKUS, "garbled")
    assert await answered(lambda _: good.ljust(4194304), price__max_body_bytes="10") == OK
    assert await answered(lambda _: good.ljust(4194305)) == dict.fromkeys(SKUS, "garbled")


async def test_the_same_holds_for_info_and_stock() -> None:
    async with bff(info=bulk("info", images=["i"]), info__bulk_url="/?skus={skus}",
                   stock=bulk("stock", quantity=0), stock__bulk_url="/?skus={skus}") as service:  # fmt: skip
        page = (await service.page("1001")).json
        assert page["info"] == {"sku_id": "1001", "name": "Product 1001", "images": ["i"]}
        assert page["stock"] == {"sku_id": "1001", "quantity": 0, "available": False}
        service.info.script = answering(lambda _: array(['{"sku_id": "1002", "name": 5}']))
        assert (await service.page("1002")).reasons["info"] == "garbled"
        service.stock.script = bulk("stock", absent=["1003"])
        service.info.script = bulk("info")
        assert (await service.page("1003")).reasons["stock"] == "not_found"


async def test_an_info_that_is_absent_is_asked_for_singly_once_before_that_is_believed() -> None:
    script = by_sku({"bulk": always("[]"), "gone": always("no", 404)}, parts("info"))
    async with bff(info=script, **CONFIRMING) as service:
        for sku, status in (("there", 200), ("gone", 404)):
            assert (await service.page(sku)).status == status
            assert [seen.target for seen in service.info.seen] == [f"/bulk?skus={sku}", f"/part/{sku}"]
            assert (await service.page(sku)).status == status
            assert len(service.info.seen) == 2
            service.info.seen.clear()


async def test_what_is_wrong_with_the_single_answer_is_the_reason() -> None:
    wrong = {"garbled": always("no"), "rejected": always("no", 403), "overloaded": always("no", 429)}
    script = by_sku({"bulk": always("[]"), **wrong}, parts("info"))
    async with bff(info=script, info__attempts="1", **CONFIRMING) as service:
        for reason in wrong:
            assert (await service.page(reason)).reasons["info"] == reason


async def test_an_absent_info_is_believed_where_its_url_is_the_bulk_one() -> None:
    urls: dict[str, Any] = {"info__url": "/find?skus={sku}", "info__bulk_url": "/find?skus={skus}"}
    async with bff(info=always("[]"), **urls) as service:
        assert (await service.page("1001")).status == 404
        assert [seen.target for seen in service.info.seen] == ["/find?skus=1001"]


async def test_an_absent_price_or_stock_is_believed_at_once() -> None:
    urls: dict[str, Any] = {"stock__bulk_url": "/bulk?skus={skus}", "price__not_found_seconds": "60"}
    async with bff(price=always("[]"), stock=always("[]"), **BULK, **urls) as service:
        answer = await service.page("1001")
        assert answer.reasons == {"info": None, "price": "not_found", "stock": "not_found"}
        assert answer.json["meta"]["complete"] is True
        assert [len(up.seen) for up in (service.price, service.stock)] == [1, 1]
        await service.page("1001")
        assert len(service.price.seen) == 1
    async with bff(price=always("[]"), price__required=True, **BULK) as service:
        assert (await service.page("1001")).json["type"] == "urn:bff:problem:product-unknown"


async def test_an_absent_sku_replaces_a_cached_value_at_once() -> None:
    short: dict[str, Any] = {"price__fresh_seconds": "0", "price__revalidate_seconds": "0"}
    async with bff(price=bulk("price"), **BULK, **short, price__not_found_seconds="60") as service:
        assert (await service.page("1001")).states["price"] == "ok"
        service.price.script = always("[]")
        assert (await service.page("1001")).reasons["price"] == "not_found"
        service.price.script = always("no", 500)
        answer = await service.page("1001")
    assert (answer.json["price"], answer.reasons["price"]) == (None, "not_found")


async def test_no_sku_is_unknown_for_want_of_a_whole_array() -> None:
    for body in ("[", "{}", json.dumps({"items": []})):
        async with bff(info=always(body), **CONFIRMING) as service:
            assert (await service.page("1001")).status == 502
