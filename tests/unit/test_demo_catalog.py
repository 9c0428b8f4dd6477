"""What a sample catalogue may hold, what its parts look like, and how a dump becomes one."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.demo.catalog import Catalog, CatalogError, parse
from bff.demo.convert import convert, main
from bff.demo.product import PARTS

ROW = {"sku_id": "A1", "name": "Kettle", "price": 10, "quantity": 1}
WRONG: dict[str, list[object]] = {
    "sku_id": ["-A1", "A1\n", "Ä1", "A" * 65, 1001],
    "name": [None, 7],
    "images": ["one.webp", [7]],
    "currency": ["eur", "EURO"],
    "original_price": ["9.99", -1],
    "quantity": [-1, 2**53, 1.0, True],
}
DUMPED = {"sku": "A1", "title": "Kettle", "price": 10, "stock": 1}


def catalog_of(*rows: dict[str, Any]) -> Catalog:
    return Catalog(parse(json.dumps(rows).encode()))


def part_of(text: str, source: str) -> bytes | None:
    return Catalog(parse(text.encode())).part(source, "A1")


def refusal(text: str | bytes) -> str:
    with pytest.raises(CatalogError) as caught:
        Catalog(parse(text.encode() if isinstance(text, str) else text))
    return str(caught.value)


def converted(text: str) -> dict[str, Any]:
    (row,) = json.loads(convert(text.encode()), parse_float=str, parse_int=str)
    assert isinstance(row, dict)
    return row


def dump(price: str, discount: str) -> str:
    row = f'"sku": "A1", "title": "Kettle", "stock": 1, "price": {price}, "discountPercentage": {discount}'
    return f"[{{{row}}}]"


def test_each_source_owns_its_fields_alone() -> None:
    full = {**ROW, "description": "d", "brand": "b", "category": "c", "images": ["i"], "currency": "EUR"}
    catalog = catalog_of({**full, "original_price": 12})
    parts = {source: json.loads(catalog.part(source, "A1") or b"") for source in PARTS}
    assert {source: tuple(part) for source, part in parts.items()} == PARTS


def test_a_part_has_no_field_that_the_product_lacks() -> None:
    catalog = catalog_of(ROW)
    assert catalog.part("info", "A1") == b'{"sku_id":"A1","name":"Kettle"}'
    assert catalog.part("price", "A1") == b'{"sku_id":"A1","price":10}'
    assert catalog.part("stock", "A1") == b'{"sku_id":"A1","quantity":1}'


def test_null_is_absence_and_fields_that_the_format_lacks_are_dropped() -> None:
    catalog = catalog_of({**ROW, "colour": "red", "images": None, "original_price": None, "currency": None})
    assert catalog.part("info", "A1") == b'{"sku_id":"A1","name":"Kettle"}'
    assert catalog.part("price", "A1") == b'{"sku_id":"A1","price":10}'


@given(
    whole=st.integers(0, 10**39).map(str),
    fraction=st.just("") | st.from_regex(r"\.[0-9]{1,25}", fullmatch=True),
    exponent=st.sampled_from(["", "e2", "E+07", "e-3"]),
)
def test_an_amount_is_served_digit_for_digit(whole: str, fraction: str, exponent: str) -> None:
    amount = whole + fraction + exponent
    text = f'[{{"sku_id": "A1", "name": "n", "quantity": 0, "price": {amount} , "original_price":{amount}}}]'
    assert part_of(text, "price") == f'{{"sku_id":"A1","price":{amount},"original_price":{amount}}}'.encode()


@pytest.mark.parametrize("amount", ["-1", '"12.30"', "true", "null", "[]", "{}"])
def test_an_amount_that_is_no_number_of_0_or_more_is_refused(amount: str) -> None:
    text = f'[{{"sku_id": "A1", "name": "n", "quantity": 0, "price": {amount}}}]'
    assert refusal(text) == "`price` must be a number of 0 or more - at `$[0]`"


@pytest.mark.parametrize("amount", ["01", "1.", ".5", "+1", "1e", "NaN", "Infinity", "0x1"])
def test_an_amount_that_json_does_not_know_is_refused(amount: str) -> None:
    text = f'[{{"sku_id": "A1", "name": "n", "quantity": 0, "price": {amount}}}]'
    assert refusal(text).startswith("is not JSON: ")


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in WRONG for value in WRONG[field]])
def test_a_wrong_field_is_refused_by_its_index_and_name(field: str, value: object) -> None:
    complaint = refusal(json.dumps([ROW, {**ROW, "sku_id": "A2", field: value}]))
    assert field in complaint
    assert "$[1]" in complaint


@pytest.mark.parametrize("field", ROW)
def test_a_missing_field_is_refused_by_its_index_and_name(field: str) -> None:
    row = {name: value for name, value in ROW.items() if name != field}
    assert refusal(json.dumps([row])) == f"Object missing required field `{field}` - at `$[0]`"


def test_a_sku_that_is_there_twice_is_refused() -> None:
    other = {**ROW, "sku_id": "a1"}  # another SKU: case counts
    assert refusal(json.dumps([ROW, other, ROW])) == "`A1` is there a second time - at `$[2].sku_id`"


@pytest.mark.parametrize("text", [b"", b"{}", b"[", b"\xff", b'["A1"]', b'[{"sku_id": "\xff"}]'])
def test_what_is_no_json_array_of_products_is_refused(text: bytes) -> None:
    assert refusal(text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read: No such file"):
        Catalog.from_file(tmp_path / "none.json")


def test_the_sample_begins_with_the_discounted_flagship() -> None:
    catalog = Catalog.sample()
    flagship = b'{"sku_id":"1001","price":7999.00,"original_price":8999.00,"currency":"CNY"}'
    assert catalog.skus[0] == "1001"
    assert catalog.part("price", "1001") == flagship


def test_the_sample_has_every_case_that_a_page_can_show() -> None:
    catalog = Catalog.sample()
    parts = {source: [catalog.part(source, sku) or b"" for sku in catalog.skus] for source in PARTS}
    prices = [json.loads(part) for part in parts["price"]]
    assert len(catalog) >= 28
    assert sum(part.endswith(b'"quantity":0}') for part in parts["stock"]) >= 3
    discounts = [price["original_price"] - price["price"] for price in prices if "original_price" in price]
    assert len(discounts) >= 3
    assert min(discounts) > 0
    assert {price.get("currency") for price in prices} == {"CNY", "EUR", None}
    assert any(b"description" not in part for part in parts["info"])
    assert sum(not part.isascii() for part in parts["info"]) >= 2


def test_the_sample_has_a_product_for_every_g_and_1_to_9_digits() -> None:
    catalog = Catalog.sample()
    assert all(catalog.part("info", sku) for sku in ("G0", "G42", "G042", "G999999999"))


@pytest.mark.parametrize("sku", ["G", "G1234567890", "g42", "G4 2", "G4٢", "G42\n", "XG42", "agg"])
def test_no_other_sku_is_generated(sku: str) -> None:
    assert Catalog.sample().part("info", sku) is None


def test_of_the_generated_a_tenth_is_out_of_stock_and_a_quarter_discounted() -> None:
    catalog = Catalog.sample()
    skus = [f"G{number}" for number in range(4000)]
    stocks = [json.loads(catalog.part("stock", sku) or b"")["quantity"] for sku in skus]
    discounts = [b"original_price" in (catalog.part("price", sku) or b"") for sku in skus]
    assert stocks.count(0) == pytest.approx(400, rel=0.2)
    assert sum(discounts) == pytest.approx(1000, rel=0.2)


@given(number=st.integers(0, 10**9 - 1))
def test_what_is_generated_is_always_the_same_and_could_be_listed(number: int) -> None:
    catalog, again, sku = Catalog.sample(), Catalog.sample(), f"G{number}"
    fields: dict[str, Any] = {}
    for source in PARTS:
        assert catalog.part(source, sku) == again.part(source, sku)
        fields |= json.loads(catalog.part(source, sku) or b"", parse_float=Decimal)
    assert -fields["price"].as_tuple().exponent == 2
    assert fields.get("original_price", Decimal("Infinity")) > fields["price"]
    catalog_of({name: float(value) if isinstance(value, Decimal) else value for name, value in fields.items()})


def test_a_listed_product_comes_before_a_generated_one() -> None:
    catalog = Catalog(parse(json.dumps([{**ROW, "sku_id": "G42"}]).encode()), generated=True)
    assert catalog.part("info", "G42") == b'{"sku_id":"G42","name":"Kettle"}'


def test_a_catalogue_file_is_all_there_is(tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text(json.dumps([ROW]))
    catalog = Catalog.from_file(file)
    assert repr(catalog) == "Catalog(1 products, generated=False)"
    assert catalog.part("info", "G42") is None


def test_a_dumped_product_keeps_what_the_catalogue_has_a_place_for() -> None:
    more = {"description": "Boils.", "brand": "Hob", "category": "kitchen", "images": ["a.webp"]}
    kept = {"sku_id": "A1", "name": "Kettle", "price": "10", "currency": "USD", "quantity": "1"}
    assert converted(json.dumps([{**DUMPED, **more, "id": 7}])) == kept | more


@pytest.mark.parametrize("price", ["12.30", "0.99", "1234567890123456.789012", "7.999e3"])
def test_a_dumped_price_is_copied_digit_for_digit(price: str) -> None:
    assert f'"price": {price},'.encode() in convert(dump(price, "0").encode())


@pytest.mark.parametrize(
    ("price", "discount", "original"),
    [
        ("90", "10", "100.00"),
        ("9.99", "12.5", "11.42"),  # 11.4171…
        ("0.001", "80", "0.01"),  # 0.005: a half goes up
        ("0.003", "80", "0.02"),  # 0.015: up as well, where half-even would agree
        ("0.005", "80", "0.03"),  # 0.025: up, where half-even would not
        ("12345678901234567890123456789012345678.90", "50", "24691357802469135780246913578024691357.80"),
    ],
)
def test_the_discount_is_undone_and_rounded_half_up_to_cents(price: str, discount: str, original: str) -> None:
    assert converted(dump(price, discount))["original_price"] == original


@pytest.mark.parametrize("discount", ["0", "0.0", "null"])
def test_a_dumped_product_without_a_discount_has_no_original_price(discount: str) -> None:
    assert "original_price" not in converted(dump("10", discount))


@pytest.mark.parametrize("discount", ["100", "120", '"ten"', "[]"])
def test_a_discount_that_cannot_be_undone_is_refused_by_its_index(discount: str) -> None:
    with pytest.raises(CatalogError, match=r"\$\[0\]"):
        convert(dump("10", discount).encode())


def test_the_envelope_of_a_dump_may_still_be_on() -> None:
    assert converted(json.dumps({"products": [DUMPED], "total": 1}))["sku_id"] == "A1"


@pytest.mark.parametrize("wrong", [{"sku": "no sku"}, {"stock": -1}, {"price": "10"}, {"title": None}])
def test_a_dump_that_the_sources_would_refuse_is_not_written(
    wrong: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "dump.json", tmp_path / "catalog.json"
    source.write_text(json.dumps([{**DUMPED, **wrong}]))
    assert main([str(source), str(target)]) == 2
    assert "$[0]" in capsys.readouterr().err
    assert not target.exists()


def test_a_converted_file_is_a_catalogue(tmp_path: Path) -> None:
    source, target = tmp_path / "dump.json", tmp_path / "catalog.json"
    source.write_text(json.dumps([DUMPED, {**DUMPED, "sku": "A2", "discountPercentage": 7.17}]))
    assert main([str(source), str(target)]) == 0
    assert Catalog.from_file(target).skus == ("A1", "A2")
