"""Where a part stands in an answer: pointers against a plain model, fields renamed, identifiers written loosely."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import Garbled
from clients.shape import Pointer, Shape

KEYS = st.text(st.sampled_from("ab01~/ é"), max_size=3)
LEAVES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=4)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))


def escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def paths(value: Any, prefix: str = "") -> dict[str, Any]:
    """List every value of a document by its pointer."""
    found = {prefix: value}
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found |= paths(child, f"{prefix}/{escaped(str(key))}")
    return found


def renamed(shape: Shape, body: str, sku: str = "7") -> Any:
    standard = shape.standard(body.encode(), sku)
    return None if standard is None else json.loads(standard, parse_float=str)


@given(VALUES, st.sampled_from([None, 1]))
def test_a_pointer_finds_every_value_of_a_document_by_its_path(document: Any, indent: int | None) -> None:
    text = json.dumps(document, indent=indent).encode()
    for path, value in paths(document).items():
        found = Pointer.parse(path).of(text)
        assert found is not None
        assert json.loads(found) == value


@given(VALUES, st.lists(KEYS, max_size=3))
def test_a_pointer_to_nowhere_finds_nothing(document: Any, tokens: list[str]) -> None:
    path = "".join(f"/{escaped(token)}" for token in tokens)
    found = Pointer.parse(path).of(json.dumps(document).encode())
    assert (found is not None) == (path in paths(document))


@pytest.mark.parametrize("text", ["a", "a/b", "/~", "/~2", "/a~", " /a"])
def test_what_is_no_json_pointer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a JSON pointer"):
        Pointer.parse(text)


@pytest.mark.parametrize("token", ["-", "-1", "01", "+0", "1_0", "\u0660", "0 ", "9999999999"])
def test_an_array_is_entered_by_plain_indices_alone(token: str) -> None:
    assert Pointer.parse(f"/{token}").of(b"[1,2]") is None


@given(st.binary(max_size=60))
def test_the_standard_shape_is_passed_on_as_it_is(body: bytes) -> None:
    assert Shape().standard(body, "7") is body


@given(VALUES)
def test_any_json_value_has_a_part_or_none_or_is_garbled(document: Any) -> None:
    shape = Shape(Pointer.parse("/a"), {"name": Pointer.parse("/b/0")}, loose_sku=True)
    try:
        standard = shape.standard(json.dumps(document).encode(), "7")
    except (Garbled, msgspec.DecodeError):
        return
    assert standard is None or isinstance(json.loads(standard), dict)


@given(st.binary(max_size=60))
def test_any_bytes_have_a_part_or_none_or_are_garbled(body: bytes) -> None:
    shape = Shape(Pointer.parse(""), {"name": Pointer.parse("/b/0")}, loose_sku=True)
    try:
        shape.standard(body, "7")
    except (Garbled, msgspec.DecodeError):
        return


def test_a_null_where_the_item_stands_is_an_unknown_sku() -> None:
    assert renamed(Shape(Pointer.parse("/data")), '{"data": null}') is None


@pytest.mark.parametrize("body", ["{}", '{"data": []}', '{"data": {}}', "[]", '"data"'])
def test_an_item_that_is_not_where_it_was_said_to_be_is_garbled(body: str) -> None:
    with pytest.raises(Garbled):
        renamed(Shape(Pointer.parse("/data/0")), body)


@pytest.mark.parametrize("body", ["null", '{"sku_id": "7"}'])
def test_without_an_item_pointer_a_null_is_no_unknown_sku(body: str) -> None:
    assert Shape().standard(body.encode(), "7") is not None


def test_fields_are_found_by_their_pointers_and_the_others_keep_their_names() -> None:
    shape = Shape(None, {"price": Pointer.parse("/cost/amount"), "currency": Pointer.parse("/cost/unit")})
    body = '{"sku_id": "7", "cost": {"amount": 9.50, "unit": "EUR"}, "original_price": 12.0}'
    found = renamed(shape, body)
    assert found["price"] == "9.50"
    assert (found["sku_id"], found["currency"], found["original_price"]) == ("7", "EUR", "12.0")


def test_a_field_that_is_mapped_and_absent_does_not_fall_back_on_one_of_our_name() -> None:
    assert "price" not in renamed(Shape(None, {"price": Pointer.parse("/cost")}), '{"sku_id": "7", "price": 9.5}')


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("7", "7"),
        ("-7", "-7"),
        ("0", "0"),
        ('"7"', "7"),
        ("null", "7"),
        ('"x"', "x"),
        ("12345678901234567890123", None),
    ],
)
def test_a_loose_sku_may_be_an_integer_and_keeps_its_digits(written: str, read: str | None) -> None:
    expected = written if read is None else read
    assert renamed(Shape(loose_sku=True), f'{{"sku_id": {written}}}')["sku_id"] == expected


def test_a_loose_sku_may_be_left_out() -> None:
    assert renamed(Shape(loose_sku=True), "{}") == {"sku_id": "7"}


@pytest.mark.parametrize("written", ["7.0", "7e0", "true", "[7]", "{}"])
def test_a_loose_sku_is_an_integer_or_what_it_was(written: str) -> None:
    assert renamed(Shape(loose_sku=True), f'{{"sku_id": {written}}}')["sku_id"] == json.loads(written, parse_float=str)
