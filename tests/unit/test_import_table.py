"""CSV as changes: what each cell becomes, to the digit, and what becomes of rows that are none."""

import csv
import io
import json
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.imports import table
from bff.imports.feed import Feed
from bff.imports.lines import MAX_BYTES, Lines
from bff.imports.rows import AnyRow, FileRefused, Malformed, Row
from clients.write import FIELDS

OPTIONS = {"priority": 9}
ALL = "sku_id,name,description,brand,category,images,price,original_price,currency,quantity,available\n"


def read(text: str | bytes, options: dict[str, Any] = OPTIONS) -> list[AnyRow]:
    data = text.encode() if isinstance(text, str) else text
    return list(table.rows(Lines(io.BytesIO(data)), options))


def row(text: str) -> Row:
    (found,) = read(text)
    assert isinstance(found, Row), found
    return found


def why(text: str | bytes) -> list[tuple[int, str]]:
    return [(found.line, found.why) for found in read(text) if isinstance(found, Malformed)]


def test_every_field_of_every_part_has_its_column() -> None:
    assert set(ALL.strip().split(",")) == {field for fields in FIELDS.values() for field in fields}
    found = row(ALL + 'A1,"Nä, ""me""",text,b,c,u|v,12.30,1e2,CNY,7,true\n')
    assert (found.number, found.line, found.sku_id) == (1, 2, "A1")
    assert found.body.decode() == (
        '{"sku_id":"A1","info":{"name":"Nä, \\"me\\"","description":"text","brand":"b","category":"c",'
        '"images":["u","v"]},"price":{"price":12.30,"original_price":1e2,"currency":"CNY"},'
        '"stock":{"quantity":7,"available":true},"priority":9}'
    )


def test_an_empty_cell_is_absent_and_so_is_a_part_that_has_no_other_one() -> None:
    assert json.loads(row(ALL + "A1,,,,,,12.30,, ,,\n").body) == {"sku_id": "A1", "price": {"price": 12.3}, **OPTIONS}


@given(text=st.from_regex(r"(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?", fullmatch=True))
def test_a_number_keeps_its_digits(text: str) -> None:
    body = row(f"sku_id,price,quantity\nA1,{text}, {text} \n").body.decode()
    assert f'"price":{{"price":{text}}},"stock":{{"quantity":{text}}}' in body
    assert json.loads(body, parse_float=Decimal, parse_int=Decimal)["price"]["price"] == Decimal(text)


@pytest.mark.parametrize(
    "cell", ["12,30", "1.", ".5", "+1", "007", "0x1", "NaN", "Infinity", "1_0", "\u0661", "1 0", "-"]
)
def test_what_is_no_number_is_malformed(cell: str) -> None:
    assert why(f'sku_id,price\nA1,"{cell}"\n') == [(2, "price must be a number such as 12.30")]


@pytest.mark.parametrize(
    ("cell", "images"),
    [("a", ["a"]), ("a | b|", ["a", "b"]), ('"[""a"", ""b|c""]"', ["a", "b|c"]), ("[]", []), ("|", [])],
)
def test_images_are_an_array_or_have_bars_between_them(cell: str, images: list[str]) -> None:
    assert json.loads(row(f"sku_id,name,images\nA1,n,{cell}\n").body)["info"]["images"] == images


@pytest.mark.parametrize("cell", ["[a", "[1]", '"[""a"",]"', '"[[""a""]]"'])
def test_an_array_of_images_that_is_none_is_malformed(cell: str) -> None:
    assert why(f"sku_id,images\nA1,{cell}\n")[0][1].startswith("images must be")


@pytest.mark.parametrize(("cell", "flag"), [("true", True), ("FALSE", False), (" True", True)])
def test_a_flag_is_true_or_false_however_a_spreadsheet_writes_it(cell: str, flag: bool) -> None:  # noqa: FBT001
    assert json.loads(row(f"sku_id,quantity,available\nA1,1,{cell}\n").body)["stock"]["available"] is flag
    assert why("sku_id,available\nA1,yes\n") == [(2, "available must be true or false")]


def test_what_is_wrong_with_a_row_is_said_at_once_and_the_others_go_on() -> None:
    text = (
        b'\xef\xbb\xbfsku_id,name,price\r\nA1,"two\r\nlines",1\r\n\r\nA2,x\r\nA3,x,1,1\r\n,x,1\r\nA4,,\r\nA5,\xff,1\r\n'
    )
    text += b'A6,"x"y,1\r\nA7,x,one\r\nA8,last,8'
    found = read(text)
    assert [(each.number, each.line, each.sku_id, getattr(each, "why", None)) for each in found] == [
        (1, 2, "A1", None),
        (2, 5, "A2", "has 2 cells, and not 3"),
        (3, 6, "A3", "has 4 cells, and not 3"),
        (4, 7, None, "sku_id is empty"),
        (5, 8, "A4", "has nothing but a sku_id"),
        (6, 9, None, "is not UTF-8"),
        (7, 10, None, "',' expected after '\"'"),
        (8, 11, "A7", "price must be a number such as 12.30"),
        (9, 12, "A8", None),
    ]
    assert isinstance(found[0], Row)
    assert json.loads(found[0].body)["info"]["name"] == "two\r\nlines"


def test_several_faults_of_a_row_are_all_named() -> None:
    assert why("sku_id,price,quantity\nA1,x,y\n") == [
        (2, "price must be a number such as 12.30; quantity must be a number such as 12.30")
    ]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "no header row"),
        ("\n", "no header row"),
        ("sku_id,prize\n", "not known: 'prize'"),
        ("sku_id;price\n", "not known: 'sku_id;price'"),
        ("sku_id, price\n", "not known: ' price'"),
        ("sku_id,price,name,price,name\n", "more than once: name, price"),
        ("price\n", "needs a column sku_id"),
        ("sku_id\n", "needs a column sku_id and one of a part"),
        ("sku_id,sku_id\n", "more than once: sku_id"),
        ('sku_id,"pri"ce\n', "its header cannot be read"),
        (b"\xff\xfes\x00k\x00u\x00\n\x00", "its header cannot be read: is not UTF-8"),
    ],
)
def test_a_header_that_is_none_is_refused_before_anything_else(header: str | bytes, said: str) -> None:
    with pytest.raises(FileRefused, match=said):
        table.rows(Lines(io.BytesIO(header.encode() if isinstance(header, str) else header)), OPTIONS)


def test_a_quote_that_is_never_closed_takes_no_more_memory_than_a_field_may() -> None:
    text = 'sku_id,name\nA1,x\nA2,"open\n' + "".join(f"B{number},y\n" for number in range(100_000))
    found = read(text)
    assert [each.line for each in found[:2]] == [2, 3]
    assert isinstance(found[1], Malformed)
    assert "lines 3 to" in found[1].why
    assert isinstance(found[-1], Row)
    assert found[-1].sku_id == "B99999"
    assert why('sku_id,name\nA1,"open\n') == [(2, "unexpected end of data")]


def test_a_line_without_end_is_passed_over_and_never_held(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(b"sku_id,name\nA1,")
        for _ in range(32):
            file.write(b"x" * MAX_BYTES)
        file.write(b"\nA2,y\n")
    tracemalloc.start()
    feed = Feed.of(path, None, OPTIONS)
    found = list(feed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(each.line, each.sku_id) for each in found] == [(2, None), (3, "A2")]
    assert peak < 6 * MAX_BYTES
    assert feed.total == 2


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    with path.open("w") as file:
        file.write("sku_id,name\n")
        file.writelines(f"G{number},{'x' * 100}\n" for number in range(20_000))
    feed = Feed.of(path, None, OPTIONS)
    tracemalloc.start()
    assert sum(1 for _ in feed) == feed.total == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_any_text_that_csv_can_hold_comes_out_as_it_went_in(names: list[str]) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["sku_id", "name"])
    writer.writerows([["A", name] for name in names])
    for found, name in zip(read(out.getvalue()), names, strict=True):
        if isinstance(found, Row):
            assert json.loads(found.body)["info"]["name"] == name
        else:
            assert not name.strip() or "\r" in name, (name, found)


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.csv", "csv"), ("a.CSV", "csv"), ("a.jsonl", "jsonl"), ("a.ndjson", "jsonl")],
)
def test_the_form_is_in_the_name(tmp_path: Path, name: str, form: str) -> None:
    path = tmp_path / name
    path.write_text("sku_id,price\n")
    assert Feed.of(path, None, OPTIONS).form == form


def test_what_is_no_file_of_a_known_form_is_refused(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "--format"), (tmp_path / "a.csv", "is not there"), (tmp_path / "a.txt", "--format")):
        with pytest.raises(FileRefused, match=said):
            Feed.of(path, None, OPTIONS)
    with pytest.raises(FileRefused, match="is not a file"):
        Feed.of(tmp_path, "csv", OPTIONS)
