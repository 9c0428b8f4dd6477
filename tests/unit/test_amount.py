"""What is an amount, and that none of its digits is lost on the way."""

import json
from decimal import Context, Decimal, Inexact

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clients import amount
from clients.errors import Garbled

EXACT = Context(prec=500, traps=[Inexact])
DIGITS = st.text("0123456789", min_size=1, max_size=45)
JSON_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,42})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


def read(text: str) -> str:
    return bytes(amount.number(text.encode())).decode()


def is_amount(text: str) -> bool:
    """Say by Decimal what the rule says in words: 0 or more, 40 digits, the last one from 10^-20 to 10^20."""
    value = Decimal(text)
    mantissa = text.lower().partition("e")[0].lstrip("-").replace(".", "")
    _, _, last = value.as_tuple()
    assert isinstance(last, int)
    return value >= 0 and len(mantissa) <= 40 and -20 <= last <= 20 and len(text) <= 64


@given(JSON_NUMBERS)
@example("1234567890123456789012345678901e-1")  # more digits than decimal's context keeps
@example("-0e0")
@example("0e20")
def test_every_amount_keeps_its_value_to_the_last_digit(text: str) -> None:
    if not is_amount(text):
        with pytest.raises(Garbled):
            read(text)
        return
    written = read(text)
    assert Decimal(written) == EXACT.create_decimal(text)
    assert json.loads(written, parse_int=Decimal, parse_float=Decimal) == Decimal(written)


@given(JSON_NUMBERS)
def test_an_amount_that_was_read_is_read_again_as_itself(text: str) -> None:
    try:
        written = read(text)
    except Garbled:
        return
    assert "e" not in written.lower()
    assert not written.startswith("-")
    if len(written.replace(".", "")) <= 40:
        assert read(written) == written


@given(DIGITS.filter(lambda digits: len(digits) <= 20), DIGITS.filter(lambda digits: len(digits) <= 20))
def test_without_an_exponent_an_amount_is_passed_digit_for_digit(whole: str, fraction: str) -> None:
    text = f"{whole.lstrip('0') or '0'}.{fraction}"
    assert read(text) == text


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("1e2", "100"),
        ("1.50E1", "15.0"),
        ("2.5e-3", "0.0025"),
        ("-0", "0"),
        ("-0.00", "0.00"),
        ("1e20", "1" + "0" * 20),
    ],
)
def test_an_exponent_and_the_sign_of_zero_are_written_out(sent: str, written: str) -> None:
    assert read(sent) == written


@given(st.binary(max_size=80))
def test_any_bytes_are_an_amount_or_garbled(text: bytes) -> None:
    try:
        written = bytes(amount.number(text))
    except Garbled:
        return
    assert Decimal(written.decode()) >= 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "-0.01",
        "01",
        "1.",
        ".5",
        "+1",
        "1_000",
        "NaN",
        "Infinity",
        "1e",
        "1 ",
        "1\n",
        "\u0663",
        "null",
        "true",
    ],
)
def test_what_is_no_json_number_from_0_up_is_no_amount(text: str) -> None:
    with pytest.raises(Garbled):
        read(text)


@pytest.mark.parametrize("text", ["1e21", "1e-21", "1e9999", "1e99999", "1" * 41, "0." + "0" * 20 + "1", "[1]", '"1"'])
def test_what_is_out_of_bounds_or_of_another_type_is_no_amount(text: str) -> None:
    with pytest.raises(Garbled):
        read(text)


@given(JSON_NUMBERS)
def test_a_string_is_read_as_the_number_it_spells(text: str) -> None:
    document = json.dumps(text).encode()
    try:
        expected = read(text)
    except Garbled:
        with pytest.raises(Garbled):
            amount.string(document)
        return
    assert bytes(amount.string(document)).decode() == expected


@pytest.mark.parametrize("text", ['" 1"', '"NaN"', '"1_000"', '""', '"1,5"', '"\\u0663"'])
def test_a_string_that_spells_no_json_number_is_garbled(text: str) -> None:
    with pytest.raises(Garbled):
        amount.string(text.encode())


def test_a_bare_number_is_not_an_amount_sent_as_a_string() -> None:
    with pytest.raises(msgspec.ValidationError):
        amount.string(b"9.99")


@given(st.integers(0, 10**40 - 1), st.integers(0, 20))
def test_minor_units_are_moved_by_their_places_and_keep_every_digit(count: int, places: int) -> None:
    written = bytes(amount.minor(places)(str(count).encode())).decode()
    assert Decimal(written) == Decimal(count).scaleb(-places, EXACT)
    assert len(written.partition(".")[2]) == places


@pytest.mark.parametrize("text", ["-1", "1.0", "1e2", "01", "1_000", '"1"', "", "null", "9" * 41, "9" * 65])
@pytest.mark.parametrize("places", [0, 2, 20])
def test_minor_units_are_plain_integers_of_bounded_length(text: str, places: int) -> None:
    with pytest.raises(Garbled):
        amount.minor(places)(text.encode())
