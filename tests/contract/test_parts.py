"""The contract: "The parts": every rule of every field, read off the bytes of the page."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from tests.harness import Answer, Bff, bff
from tests.upstreams import Seen, always, by_sku, response

LENIENT: dict[str, Any] = {f"{name}__circuit__min_attempts": 100_000 for name in ("info", "price", "stock")}
BIG = "1234567890" * 4


def written(cases: Mapping[str, str | bytes]) -> Any:
    """Answer each SKU with its own bytes, in which $ stands for the SKU."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        body = cases[seen.sku]
        data = body.encode() if isinstance(body, str) else body
        writer.write(response(data.replace(b"$", seen.sku.encode())))

    return script


async def pages(service: Bff, cases: Mapping[str, Any]) -> dict[str, Answer]:
    answers = await asyncio.gather(*(service.page(sku) for sku in cases))
    return dict(zip(cases, answers, strict=True))


def texts(answer: Answer, source: str) -> Any:
    """Return a part with its numbers as they were written."""
    return json.loads(answer.body, parse_float=str, parse_int=str)[source]


async def shown(source: str, cases: Mapping[str, str | bytes], **settings: Any) -> dict[str, Any]:
    """Return each case's part, or the reason for which there is none."""
    settings = {**LENIENT, "info__required": False, source: written(cases), **settings}
    async with bff(**settings) as service:
        answers = await pages(service, cases)
        return {sku: texts(answer, source) or answer.reasons[source] for sku, answer in answers.items()}


def price(number: str, more: str = "") -> str:
    return f'{{"sku_id": "$", "price": {number}{more}}}'


def stock(quantity: str, more: str = "") -> str:
    return f'{{"sku_id": "$", "quantity": {quantity}{more}}}'


def info(more: str) -> str:
    return f'{{"sku_id": "$", "name": "n"{more}}}'


async def test_an_amount_without_an_exponent_comes_out_digit_for_digit() -> None:
    amounts = ["0", "12.30", "1234567890123456.789012", "0.00000000000000000001", "7999.0", "100000000000000000000"]
    amounts += [BIG, f"{BIG[:20]}.{BIG[:20]}", "0.0", "0.10"]
    cases = {f"n{at}": price(amount, f', "original_price": {amount}') for at, amount in enumerate(amounts)}
    found = await shown("price", cases)
    assert found == {
        f"n{at}": {"sku_id": f"n{at}", "price": amount, "original_price": amount} for at, amount in enumerate(amounts)
    }


async def test_an_amount_with_an_exponent_comes_out_as_an_equal_number() -> None:
    amounts = {"1e20": 10**20, "1E2": 100, "12.5e1": 125, "5e-1": 0.5, "1.0e+3": 1000, "1e-20": 1e-20, "1e0003": 1000}
    cases = {f"n{at}": price(amount) for at, amount in enumerate(amounts)}
    found = await shown("price", cases)
    assert [float(part["price"]) for part in found.values()] == list(amounts.values())


async def test_what_is_no_amount_garbles_the_price() -> None:
    wrong = ["-1", "-0.01", BIG + "1", "1e21", "1e-21", "0." + "0" * 20 + "1", "NaN", "Infinity", '"5"', "true", "null"]
    wrong += ["[]", "{}", "01", "1.", ".5", "+1", "1e9999", "1e99999999", "9" * 5000, "0x10", "1_000", "\u0661"]
    cases = {f"n{at}": price(amount) for at, amount in enumerate(wrong)}
    cases |= {f"o{at}": price("1", f', "original_price": {amount}') for at, amount in enumerate(wrong)}
    absent = f"o{wrong.index('null')}"
    found = await shown("price", cases)
    assert found.pop(absent) == {"sku_id": absent, "price": "1"}
    assert {sku: reason for sku, reason in found.items() if reason != "garbled"} == {}


async def test_a_currency_is_three_capital_letters() -> None:
    right = {"eur": '"EUR"', "xau": '"XAU"'}
    wrong = {"lower": '"eur"', "two": '"EU"', "four": '"EURO"', "empty": '""', "digit": '"EU1"', "number": "978"}
    wrong |= {"newline": '"EUR\\n"', "umlaut": '"ÄÖÜ"', "list": '["EUR"]'}
    cases = {sku: price("1", f', "currency": {text}') for sku, text in (right | wrong).items()}
    found = await shown("price", cases)
    assert [found.pop(sku)["currency"] for sku in right] == ["EUR", "XAU"]
    assert set(found.values()) == {"garbled"}


async def test_a_quantity_is_digits_from_0_to_2_to_the_53_minus_1() -> None:
    top = str(2**53 - 1)
    right = {"zero": "0", "one": "1", "top": top}
    wrong = {"over": str(2**53), "minus": "-1", "minus-zero": "-0", "point": "5.0", "exponent": "5e0", "half": "0.5"}
    wrong |= {"text": '"5"', "true": "true", "null": "null", "long": "9" * 5000, "nan": "NaN", "list": "[5]"}
    found = await shown("stock", {sku: stock(text) for sku, text in (right | wrong).items()})
    assert [found.pop(sku)["quantity"] for sku in right] == ["0", "1", top]
    assert set(found) == set(wrong)
    assert set(found.values()) == {"garbled"}


async def test_available_is_the_upstreams_or_whether_there_are_any() -> None:
    cases = {
        "none-left": stock("0"),
        "some-left": stock("2"),
        "on-order": stock("0", ', "available": true'),
        "held-back": stock("2", ', "available": false'),
        "null": stock("2", ', "available": null'),
    }
    wrong = {"word": stock("2", ', "available": "true"'), "number": stock("2", ', "available": 1')}
    found = await shown("stock", cases | wrong)
    assert [found.pop(sku) for sku in wrong] == ["garbled", "garbled"]
    assert {sku: part["available"] for sku, part in found.items()} == {
        "none-left": False, "some-left": True, "on-order": True, "held-back": False, "null": True,
    }  # fmt: skip


async def test_infos_optional_fields_are_passed_on_or_absent() -> None:
    full = ', "description": "d", "brand": "b", "category": "c", "images": ["i", "j"]'
    nulls = ', "description": null, "brand": null, "category": null, "images": null'
    found = await shown("info", {"full": info(full), "bare": info(""), "nulls": info(nulls)})
    assert found == {
        "full": {"sku_id": "full", "name": "n", "description": "d", "brand": "b", "category": "c",
                 "images": ["i", "j"]},
        "bare": {"sku_id": "bare", "name": "n"},
        "nulls": {"sku_id": "nulls", "name": "n"},
    }  # fmt: skip


async def test_a_wrong_type_or_an_absent_needed_field_garbles_info() -> None:
    cases: dict[str, str | bytes] = {
        "no-name": '{"sku_id": "$"}',
        "null-name": '{"sku_id": "$", "name": null}',
        "number-name": '{"sku_id": "$", "name": 5}',
        "no-sku": '{"name": "n"}',
        "null-sku": '{"sku_id": null, "name": "n"}',
        "description": info(', "description": 5'),
        "brand": info(', "brand": ["b"]'),
        "category": info(', "category": {}'),
        "images": info(', "images": "i"'),
        "images-null-inside": info(', "images": ["i", null]'),
        "images-number-inside": info(', "images": [1]'),
        "array": '[{"sku_id": "$", "name": "n"}]',
        "text": '"n"',
        "null": "null",
        "empty": "",
        "half": '{"sku_id": "$", "name": "n"',
        "two": info("") * 2,
        "comment": info("") + "// c",
        "single-quotes": "{'sku_id': '$', 'name': 'n'}",
        "latin-1": info(', "brand": "é"').encode("latin-1"),
        "latin-1-in-a-dropped-field": info(', "other": "é"').encode("latin-1"),
        "utf-16": info("").encode("utf-16"),
        "lone-surrogate": info(', "brand": "\\ud800"'),
        "raw-newline": info(', "brand": "a\nb"'),
    }
    found = await shown("info", cases)
    assert {sku: part for sku, part in found.items() if part != "garbled"} == {}


async def test_other_fields_are_dropped() -> None:
    more = ', "cost": 1, "deep": {"a": [1, 2, {"b": null}]}, "meta": {}'
    async with bff(
        info=written({"1001": info(more)}), price=written({"1001": price("1", more)}),
        stock=written({"1001": stock("1", more)}),
    ) as service:  # fmt: skip
        page = (await service.page("1001")).json
    assert page["info"] == {"sku_id": "1001", "name": "n"}
    assert page["price"] == {"sku_id": "1001", "price": 1}
    assert page["stock"] == {"sku_id": "1001", "quantity": 1, "available": True}


async def test_a_part_is_of_the_sku_asked_for_case_and_all() -> None:
    names = {"AbC": '"AbC"', "abc": '"ABC"', "1001": "1001", "1002": '"01002"', "1003": '"1003 "', "1004": '"1005"'}
    for source, field in (("info", '"name": "n"'), ("price", '"price": 1'), ("stock", '"quantity": 1')):
        found = await shown(source, {sku: f'{{"sku_id": {text}, {field}}}' for sku, text in names.items()})
        assert found.pop("AbC")["sku_id"] == "AbC"
        assert set(found.values()) == {"garbled"}, source


async def test_text_beyond_ascii_passes_unharmed() -> None:
    name = "Käse 🧀 \u202e \u0000 \u2028 \\ \" 'x' </script>"
    async with bff(info=always(json.dumps({"sku_id": "1001", "name": name}))) as escaped:
        assert (await escaped.page("1001")).json["info"]["name"] == name
    async with bff(info=always(json.dumps({"sku_id": "1001", "name": name}, ensure_ascii=False))) as plain:
        assert (await plain.page("1001")).json["info"]["name"] == name


async def test_the_upstreams_content_type_is_not_looked_at() -> None:
    body = '{"sku_id": "1001", "price": 1}'
    for content_type in ("text/html", "application/octet-stream", "application/json; charset=latin-1", ""):
        async with bff(price=always(body, headers={"Content-Type": content_type})) as service:
            assert (await service.page("1001")).states["price"] == "ok", content_type


async def test_each_sku_is_asked_under_its_own_name() -> None:
    skus = ["a", "A", "0", "a.b", "a..b", "a_b-c.", "x" * 64]
    async with bff(price=by_sku({}, always("no", 404))) as service:
        for sku in skus:
            await service.page(sku)
        assert [seen.target for seen in service.price.seen] == [f"/part/{sku}" for sku in skus]


async def test_an_exponent_may_have_leading_zeros_as_in_any_json_number() -> None:
    found = await shown("price", {"1001": price("1e0000000003")})
    assert found["1001"] != "garbled"
    assert float(found["1001"]["price"]) == 1000
