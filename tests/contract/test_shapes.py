"""The contract: `ITEM`, `MAP`, `SKU_CHECK`, `NOT_FOUND_STATUS`, `AMOUNTS`: shops of another shape."""

import asyncio
import json
from typing import Any

from tests.harness import Bff, bff
from tests.upstreams import always, by_sku

LENIENT: dict[str, Any] = {f"{name}__circuit__min_attempts": 100_000 for name in ("info", "price", "stock")}


async def parts_of(service: Bff, source: str, skus: list[str]) -> dict[str, Any]:
    """Return each SKU's part as it was written, or the reason for which there is none."""
    answers = await asyncio.gather(*(service.page(sku) for sku in skus))
    texts = [json.loads(answer.body, parse_float=str, parse_int=str)[source] for answer in answers]
    return {sku: text or answer.reasons[source] for sku, text, answer in zip(skus, texts, answers, strict=True)}


async def shown(source: str, answers: dict[str, str], **settings: Any) -> dict[str, Any]:
    script = by_sku({sku: always(body) for sku, body in answers.items()}, always("no", 404))
    settings = {**LENIENT, "info__required": False, source: script, **settings}
    async with bff(**settings) as service:
        return await parts_of(service, source, list(answers))


async def test_a_shop_that_wraps_its_answers() -> None:
    wrapped = '{"status": "success", "data": {"product": {"sku_id": "1001", "name": "Lamp"}}, "took": 3}'
    price = '{"result": [{"ignored": true}, {"sku_id": "1001", "price": 12.30, "currency": "EUR"}]}'
    async with bff(
        info=always(wrapped), price=always(price), info__item="/data/product", price__item="/result/1"
    ) as service:
        page = (await service.page("1001")).json
    assert page["info"] == {"sku_id": "1001", "name": "Lamp"}
    assert page["price"] == {"sku_id": "1001", "price": 12.3, "currency": "EUR"}


async def test_a_shop_with_names_of_its_own() -> None:
    answer = {
        "id": 1001, "title": "Lamp", "maker": {"name": "ACME"}, "a/b": "category", "~": "text",
        "media": {"pictures": ["i", "j"]}, "name": "an internal name", "brand": "another brand",
    }  # fmt: skip
    fields = {"sku_id": "/id", "name": "/title", "brand": "/maker/name", "category": "/a~1b", "description": "/~0",
              "images": "/media/pictures"}  # fmt: skip
    async with bff(info=always(json.dumps(answer)), info__map=fields, info__sku_check="loose") as service:
        page = (await service.page("1001")).json
    assert page["info"] == {
        "sku_id": "1001", "name": "Lamp", "description": "text", "brand": "ACME", "category": "category",
        "images": ["i", "j"],
    }  # fmt: skip


async def test_a_field_that_is_mapped_is_taken_from_there_alone() -> None:
    found = await shown(
        "info",
        {
            "there": '{"sku_id": "there", "name": "own", "title": "mapped"}',
            "not-there": '{"sku_id": "not-there", "name": "own"}',
            "null-there": '{"sku_id": "null-there", "name": "own", "title": null}',
            "wrong-there": '{"sku_id": "wrong-there", "name": "own", "title": 5}',
            "optional-gone": '{"sku_id": "optional-gone", "title": "t", "brand": "own"}',
        },
        info__map={"name": "/title", "brand": "/maker"},
    )
    assert found == {
        "there": {"sku_id": "there", "name": "mapped"},
        "not-there": "garbled",
        "null-there": "garbled",
        "wrong-there": "garbled",
        "optional-gone": {"sku_id": "optional-gone", "name": "t"},
    }


async def test_a_shop_that_counts_in_cents() -> None:
    cents = {"a": "7999", "b": "5", "c": "0", "d": "100", "e": "12", "f": "123456789012345678"}
    wrong = {"g": "79.99", "h": '"7999"', "i": "-5", "j": "1e3", "k": "true", "l": "NaN", "m": "null"}
    answers = {
        sku: f'{{"sku_id": "{sku}", "price": {text}, "original_price": {text}}}'
        for sku, text in (cents | wrong).items()
    }
    found = await shown("price", answers, price__amounts="minor:2")
    assert [found.pop(sku) for sku in wrong] == ["garbled"] * len(wrong)
    amounts = {sku: part["price"] for sku, part in found.items()}
    assert {sku: float(text) for sku, text in amounts.items()} == {
        "a": 79.99, "b": 0.05, "c": 0, "d": 1, "e": 0.12, "f": 1234567890123456.78,
    }  # fmt: skip
    assert amounts["f"] == "1234567890123456.78"
    assert all(part["original_price"] == part["price"] for part in found.values())


async def test_other_minor_units() -> None:
    answer = {"1001": '{"sku_id": "1001", "price": 7999}'}
    for places, amount in (("minor:0", 7999.0), ("minor:3", 7.999), ("minor:5", 0.07999)):
        found = await shown("price", answer, price__amounts=places)
        assert float(found["1001"]["price"]) == amount, places


async def test_a_shop_that_sends_amounts_as_strings() -> None:
    texts = {"a": '"12.30"', "b": '"0"', "c": '"1234567890123456.789012"', "d": '"\\u0035"'}
    wrong = {
        "n": "12.30",
        "o": '""',
        "p": '" 5"',
        "q": '"NaN"',
        "r": '"1_000"',
        "s": '"-1"',
        "t": '"5 EUR"',
        "u": '"\u0661"',
    }
    wrong |= {"v": '"1,50"', "w": '"0x10"', "x": '"5\\n"', "y": '"+5"', "z": '".5"', "w2": '"05"', "w3": '"Infinity"'}
    answers = {sku: f'{{"sku_id": "{sku}", "price": {text}}}' for sku, text in (texts | wrong).items()}
    found = await shown("price", answers, price__amounts="string")
    assert [found.pop(sku)["price"] for sku in texts] == ["12.30", "0", "1234567890123456.789012", "5"]
    assert {sku: part for sku, part in found.items() if part != "garbled"} == {}


async def test_null_where_the_item_stands_is_a_404() -> None:
    answers = {
        "null": '{"data": null}',
        "absent": '{"other": {}}',
        "text": '{"data": "no"}',
        "array": '{"data": []}',
        "array-itself": "[]",
        "there": '{"data": {"sku_id": "there", "name": "n"}}',
    }
    found = await shown("info", answers, info__item="/data", info__not_found_seconds="30")
    assert found.pop("there") == {"sku_id": "there", "name": "n"}
    assert found == {
        "null": "not_found",
        "absent": "garbled",
        "text": "garbled",
        "array": "garbled",
        "array-itself": "garbled",
    }


async def test_a_null_item_is_remembered_as_a_404_is() -> None:
    async with bff(info=always('{"data": null}'), info__item="/data", info__not_found_seconds="30") as service:
        assert [(await service.page("1001")).status for _ in range(2)] == [404, 404]
        assert len(service.info.seen) == 1


async def test_a_null_item_without_the_setting_is_garbled() -> None:
    async with bff(info=always("null")) as service:
        assert (await service.page("1001")).status == 502


async def test_loose_takes_an_integer_for_its_digits_and_lets_a_single_answer_leave_it_out() -> None:
    ids = {"1001": "1001", "1002": '"1002"', "1003": None, "x": '"x"'}
    wrong = {"1": "2", "2": '"1"', "3": "3.0", "4": "[4]", "abc": '"ABC"', "007": "7", "5": "true", "6": "6e0"}
    answers = {sku: f'{{"sku_id": {text}, "name": "n"}}' for sku, text in (ids | wrong).items()}
    answers["1003"] = '{"name": "n"}'
    loose = await shown("info", answers, info__sku_check="loose")
    assert [loose.pop(sku) for sku in ids] == [{"sku_id": sku, "name": "n"} for sku in ids]
    assert {sku: part for sku, part in loose.items() if part != "garbled"} == {}
    strict = await shown("info", answers)
    assert sorted(sku for sku, part in strict.items() if part != "garbled") == ["1002", "x"]


async def test_loose_reads_large_integers_exactly() -> None:
    sku, other = "12345678901234567890", "12345678901234567891"
    answers = {sku: f'{{"sku_id": {sku}, "name": "n"}}', other: f'{{"sku_id": {sku}, "name": "n"}}'}
    found = await shown("info", answers, info__sku_check="loose")
    assert found == {sku: {"sku_id": sku, "name": "n"}, other: "garbled"}


async def test_the_statuses_that_mean_unknown_are_those_that_are_set() -> None:
    gone = {str(status): always("no", status) for status in (404, 410, 403, 400)}
    async with bff(info=by_sku(gone, always("no", 500)), info__not_found_status="404,410") as service:
        found = {sku: (await service.page(sku)).reasons["info"] for sku in gone}
    assert found == {"404": "not_found", "410": "not_found", "403": "rejected", "400": "rejected"}
    async with bff(info=by_sku(gone, always("no", 500)), info__not_found_status="410") as service:
        found = {sku: (await service.page(sku)).reasons["info"] for sku in gone}
    assert found == {"404": "rejected", "410": "not_found", "403": "rejected", "400": "rejected"}


async def test_all_three_at_once_wrapped_renamed_and_in_cents() -> None:
    info = always('{"items": [{"article": {"no": 1001, "label": "Lamp"}}]}')
    price = always('{"data": {"amount": {"value": 7999, "unit": "EUR"}}}')
    stock = always('{"payload": {"id": "1001", "levels": [4, 7]}}')
    async with bff(
        info=info, info__item="/items/0", info__map={"sku_id": "/article/no", "name": "/article/label"},
        info__sku_check="loose",
        price=price, price__item="/data/amount", price__map={"price": "/value", "currency": "/unit"},
        price__sku_check="loose", price__amounts="minor:2",
        stock=stock, stock__item="/payload", stock__map={"sku_id": "/id", "quantity": "/levels/1"},
    ) as service:  # fmt: skip
        page = (await service.page("1001")).json
    assert page["info"] == {"sku_id": "1001", "name": "Lamp"}
    assert page["price"] == {"sku_id": "1001", "price": 79.99, "currency": "EUR"}
    assert page["stock"] == {"sku_id": "1001", "quantity": 7, "available": True}
    assert page["meta"]["complete"] is True
