"""A whole catalogue through the demo, compared to the last digit; and that the comparison would see a difference."""

import json
from pathlib import Path

from bff.demo import verify

CATALOG = """[
 {"sku_id": "A-1", "name": "Ångström lamp", "price": 12.30, "original_price": 15, "currency": "EUR", "quantity": 4},
 {"sku_id": "a-1", "name": "another lamp", "price": 1234567890123456.789012, "quantity": 0, "images": []},
 {"sku_id": "B", "name": "an exponent", "price": 1.5e3, "quantity": 9007199254740991}
]"""


def test_every_page_of_a_catalogue_is_what_the_catalogue_says(tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text(CATALOG, encoding="utf-8")
    assert verify.main([str(file)]) == 0


def test_control_a_last_digit_a_missing_field_and_an_unknown_product_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text(CATALOG, encoding="utf-8")
    with verify.demo(file) as connection:
        first, second, third = json.loads(CATALOG, parse_float=verify.Digits, parse_int=verify.Digits)
        assert verify.differences(first, connection) == []
        for wrong in (
            {**first, "price": verify.Digits("12.3")},
            {**second, "price": verify.Digits("1234567890123456.789013")},
            {**third, "price": verify.Digits("1.5001e3")},
            {**first, "brand": "Volta"},
            {**first, "quantity": verify.Digits("5")},
            {**first, "sku_id": "C"},
        ):
            assert len(verify.differences(wrong, connection)) == 1


def test_a_catalogue_that_is_none_is_refused(tmp_path: Path) -> None:
    assert verify.main([]) == 2
    file = tmp_path / "catalog.json"
    file.write_text("[{}]", encoding="utf-8")
    try:
        verify.main([str(file)])
    except SystemExit as ended:
        assert ended.code == 2
    else:
        raise AssertionError("it was taken")
