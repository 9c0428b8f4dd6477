"""A part as a client gives it: what passes is what a read shows, to the byte, and all that is wrong is said."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clients import info, price, stock
from clients.bulk import Read
from clients.errors import Garbled, Wrong
from clients.given import MAX_ERRORS, Given, read_given
from tests.unit.test_parts_read import HOSTILE, VALUES, fetched

READS: dict[str, Read] = {"info": info.read, "price": price.read, "stock": stock.read}
FIELDS = {"info": info.FIELDS, "price": price.FIELDS, "stock": stock.FIELDS}
TEXTS = st.none() | st.text()
PARTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "info": st.fixed_dictionaries(
        {"name": st.text()},
        optional={"description": TEXTS, "brand": TEXTS, "category": TEXTS, "images": st.none() | st.lists(st.text())},
    ),
    "stock": st.fixed_dictionaries(
        {"quantity": st.integers(0, stock.MAX_QUANTITY)}, optional={"available": st.none() | st.booleans()}
    ),
}
AMOUNTS = st.from_regex(r"-?(0|[1-9][0-9]{0,44})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


def wrong(name: str, body: bytes | str) -> dict[str, str]:
    with pytest.raises(Wrong) as caught:
        read_given(name, body.encode() if isinstance(body, str) else body, "7")
    return dict(caught.value.errors)


@pytest.mark.parametrize("name", PARTS)
@given(data=st.data(), indent=st.sampled_from([None, 1]), named=st.booleans())
def test_what_is_given_is_what_a_read_of_it_shows(
    name: str,
    data: st.DataObject,
    indent: int | None,
    named: bool,  # noqa: FBT001
) -> None:
    fields = data.draw(PARTS[name])
    order = data.draw(st.permutations(list(fields)))
    body = json.dumps({field: fields[field] for field in order} | ({"sku_id": "7"} if named else {}), indent=indent)
    sent = json.dumps({"sku_id": "7", **fields}).encode()
    assert read_given(name, body.encode(), "7").shown == fetched(sent, READS[name])


@given(amounts=st.lists(AMOUNTS, min_size=2, max_size=2))
@example(["1" * 40, "0.00000000000000000001"])
@example(["1e20", "0e20"])
@example(["1" * 40 + "e1", "1"])
def test_an_amount_passes_as_a_read_shows_it_where_what_it_shows_can_be_read_again(amounts: list[str]) -> None:
    body = f'{{"sku_id": "7", "price": {amounts[0]}, "original_price": {amounts[1]}}}'.encode()
    try:
        shown = fetched(body, price.read)
        assert fetched(shown, price.read) == shown
    except Garbled:
        assert wrong("price", body).keys() <= {"price", "original_price"}
    else:
        assert read_given("price", body, "7") == Given(shown, shown)


@pytest.mark.parametrize("name", READS)
@given(document=VALUES)
def test_any_json_value_is_a_part_or_wrong(name: str, document: Any) -> None:
    try:
        part = read_given(name, json.dumps(document).encode(), "7")
    except Wrong as exc:
        assert exc.errors
        return
    assert document.keys() <= FIELDS[name]
    assert read_given(name, part.sent, "7") == part
    assert read_given(name, part.shown, "7").shown == part.shown


@pytest.mark.parametrize("name", READS)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_wrong(name: str, body: bytes) -> None:
    with pytest.raises(Wrong):
        read_given(name, body, "7")


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_documents_are_wrong(name: str, body: bytes) -> None:
    assert wrong(name, body)


@pytest.mark.parametrize("depth", [10, 400, 900, 1100, 100_000])
@pytest.mark.parametrize("field", ["sku_id", "name", "images", "other"])
def test_depth_is_wrong_whatever_it_is(depth: int, field: str) -> None:
    assert wrong("info", f'{{"name": "n", "{field}": {"[" * depth}{"]" * depth}}}')


@pytest.mark.parametrize("body", ["", "null", "[]", "7", '"part"', "{", '{"quantity": 1,}', '{"quantity": 1} {}'])
def test_what_is_no_object_is_wrong_as_a_whole(body: str) -> None:
    assert wrong("stock", body) == {"": "must be a JSON object"}


@pytest.mark.parametrize("name", ["name", r"n\u0061me"])
def test_a_name_that_is_there_twice_is_wrong_however_it_is_escaped(name: str) -> None:
    assert wrong("info", f'{{"name": "n", "{name}": "n"}}') == {"name": "is there more than once"}


@pytest.mark.parametrize("field", ["x", "quantity", "Name", ""])
def test_a_field_of_no_part_or_of_another_is_wrong(field: str) -> None:
    assert wrong("info", json.dumps({"name": "n", field: 1})) == {field: "is no field of this part"}


@pytest.mark.parametrize(("name", "needed"), [("info", "name"), ("price", "price"), ("stock", "quantity")])
def test_a_part_needs_its_field(name: str, needed: str) -> None:
    assert wrong(name, "{}") == {needed: "is missing"}
    assert wrong(name, json.dumps({needed: None})).keys() == {needed}


@pytest.mark.parametrize("sku", ['"8"', "7", "null", '"7 "', '["7"]', '""'])
def test_a_sku_that_is_given_is_the_one_that_is_written_to(sku: str) -> None:
    assert wrong("stock", f'{{"quantity": 1, "sku_id": {sku}}}') == {"sku_id": "must be the SKU that is written to"}


LEAST: dict[str, dict[str, Any]] = {"info": {"name": "n"}, "price": {"price": 1}, "stock": {"quantity": 1}}
WRONG: list[tuple[str, str, Any]] = [
    *(("info", field, 7) for field in ("name", "description", "brand", "category", "images")),
    ("info", "images", ["i", None]),
    *(("price", "currency", value) for value in ("eur", "EURO", "", 7)),
    *(("price", field, value) for field in ("price", "original_price") for value in (-1, "1", True, [1], 10**40)),
    *(("stock", "quantity", value) for value in (-1, 1.0, "1", True, 2**53)),
    ("stock", "available", 1),
]


@pytest.mark.parametrize(("name", "field", "value"), WRONG)
def test_a_field_of_another_type_or_out_of_bounds_is_wrong_by_its_name(name: str, field: str, value: Any) -> None:
    (error,) = wrong(name, json.dumps({**LEAST[name], field: value})).items()
    assert error[0] == field
    assert error[1].startswith("must be")


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ('{"quantity": 3}', b'{"sku_id":"7","quantity":3}'),
        ('{"quantity": 3, "available": null}', b'{"sku_id":"7","quantity":3}'),
        ('{"available": false, "quantity": 3}', b'{"sku_id":"7","quantity":3,"available":false}'),
    ],
)
def test_the_owner_is_sent_nothing_that_was_not_given(body: str, sent: bytes) -> None:
    assert read_given("stock", body.encode(), "7").sent == sent


@pytest.mark.parametrize("times", [1, 2])
def test_no_more_is_said_than_anyone_reads_and_a_body_full_of_faults_costs_no_time(times: int) -> None:
    body = ",".join(f'"f{number % 50_000}": 1' for number in range(50_000 * times))
    assert len(wrong("stock", f"{{{body}}}")) == MAX_ERRORS


def test_all_that_is_wrong_is_said_at_once() -> None:
    body = '{"sku_id": "8", "price": -1, "currency": "eur", "x": 1, "original_price": 1, "original_price": 1}'
    assert wrong("price", body).keys() == {"sku_id", "price", "currency", "x", "original_price"}
    with pytest.raises(Wrong, match=r"^price: is missing; x: is no field of this part$"):
        read_given("price", b'{"x": 1}', "7")
