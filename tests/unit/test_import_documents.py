"""JSON lines as changes: sent as they are written, with what they leave unsaid."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.imports import documents
from bff.imports.lines import MAX_BYTES, Lines
from bff.imports.rows import AnyRow, Malformed, Row

OPTIONS = {"priority": 9, "timeout_seconds": 30}


def read(data: bytes, options: dict[str, Any] = OPTIONS) -> list[AnyRow]:
    return list(documents.rows(Lines(io.BytesIO(data)), options))


def test_a_line_is_sent_to_the_byte_and_the_options_follow_it() -> None:
    text = '{ "sku_id":"1001",  "price" : {"price": 12.30, "original_price":1E2}, "info":{"name":"é\\u00e9"}}'
    (found,) = read(f"  {text}  \r\n".encode())
    assert found == Row(1, 1, "1001", f'{text[:-1]},"priority": 9, "timeout_seconds": 30}}'.encode())


def test_what_a_line_says_itself_goes_before_the_options() -> None:
    (found,) = read(b'{"sku_id":"1","priority":0}')
    assert isinstance(found, Row)
    assert json.loads(found.body) == {"sku_id": "1", "priority": 0, "timeout_seconds": 30}
    (found,) = read(b'{"priority":0,"timeout_seconds":null}')
    assert found == Row(1, 1, None, b'{"priority":0,"timeout_seconds":null}')


def test_an_empty_object_is_one_and_the_service_says_what_it_lacks() -> None:
    assert read(b"{}") == [Row(1, 1, None, b'{"priority": 9, "timeout_seconds": 30}')]
    assert read(b'{"sku_id":7}', {}) == [Row(1, 1, None, b'{"sku_id":7}')]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"[]", "must be a JSON object"),
        (b"7", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"nonsense", "must be a JSON object"),
        (b'{"sku_id":"1"', "must be a JSON object"),
        (b'{"sku_id":"1"} {}', "must be a JSON object"),
        (b'{"price":{"price":NaN}}', "must be a JSON object"),
        (b"[" * 100_000, "must be a JSON object"),
        (b'{"price":{"price":1,"price":2}}', "names something twice"),
        (b'{"sku_id":"\xff"}', "is not UTF-8"),
        (b'{"sku_id":"' + b"x" * MAX_BYTES + b'"}', f"is longer than {MAX_BYTES} bytes"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_line_that_is_no_object_is_malformed_and_the_others_go_on(line: bytes, said: str) -> None:
    found = read(b'\xef\xbb\xbf{"sku_id":"A"}\n\n' + line + b'\n\n{"sku_id":"B"}')
    assert [(each.number, each.line, each.sku_id) for each in found] == [(1, 1, "A"), (2, 3, None), (3, 5, "B")]
    assert found[1] == Malformed(2, 3, None, said)


@given(
    document=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.none() | st.integers() | st.lists(st.booleans(), max_size=2),
        max_size=4,
    )
)
def test_whatever_an_object_holds_is_still_there(document: dict[str, Any]) -> None:
    (found,) = read(json.dumps(document, ensure_ascii=False).encode())
    assert isinstance(found, Row)
    assert json.loads(found.body) == {**OPTIONS, **document}
