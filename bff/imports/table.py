"""CSV: a header row of `sku_id` and of fields of the parts, and a row for each change. No number is ever computed."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from bff import strictjson
from bff.imports.lines import BadLine, Lines
from bff.imports.rows import AnyRow, FileRefused, Malformed, Row
from clients import info, price, stock

SKU = "sku_id"
PARTS = {"info": info.FIELDS, "price": price.FIELDS, "stock": stock.FIELDS}
PART_OF = {field: part for part, fields in PARTS.items() for field in fields - {SKU}}

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_FLAGS = {"true": True, "false": False}


class _Wrong(Exception):
    """A cell that holds none of what its column is for; the text says what it must be."""


def rows(lines: Lines, options: Mapping[str, Any]) -> Iterator[AnyRow]:
    """Give a table's rows; raises FileRefused at once where its header is none. options: members of every body."""
    table = csv.reader(lines, strict=True)
    try:
        columns = _columns(next(table, []))
    except (csv.Error, BadLine) as exc:
        raise FileRefused(f"its header cannot be read: {exc}") from exc
    return _rows(table, lines, columns, options)


def _rows(
    table: Iterator[list[str]], lines: Lines, columns: Sequence[str], options: Mapping[str, Any]
) -> Iterator[AnyRow]:
    number = 0
    while True:
        first = lines.number + 1
        try:
            cells = next(table)
        except StopIteration:
            return
        except (csv.Error, BadLine) as exc:
            number += 1
            yield Malformed(number, first, None, _placed(first, lines.number, str(exc)))
        else:
            if cells:  # else the line is blank
                number += 1
                yield _row(number, first, columns, cells, options)


def _columns(header: Sequence[str]) -> Sequence[str]:
    if not header:
        raise FileRefused("it has no header row")
    if unknown := [name for name in header if name != SKU and name not in PART_OF]:
        raise FileRefused(f"columns that are not known: {', '.join(map(repr, unknown))}; there are {_known()}")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise FileRefused(f"columns that are there more than once: {', '.join(twice)}")
    if SKU not in header or len(header) == 1:
        raise FileRefused(f"it needs a column {SKU} and one of a part; there are {_known()}")
    return header


def _known() -> str:
    return ", ".join([SKU, *(field for fields in PARTS.values() for field in sorted(fields - {SKU}))])


def _row(number: int, line: int, columns: Sequence[str], values: Sequence[str], options: Mapping[str, Any]) -> AnyRow:
    cells = dict(zip(columns, values, strict=False))
    sku = cells.get(SKU) or None
    if len(values) != len(columns):
        return Malformed(number, line, sku, f"has {len(values)} cells, and not {len(columns)}")
    if sku is None:
        return Malformed(number, line, None, f"{SKU} is empty")
    parts: dict[str, dict[str, Any]] = {}
    wrong = []
    for name, cell in cells.items():
        if name != SKU and not cell.isspace() and cell:
            try:
                parts.setdefault(PART_OF[name], {})[name] = _VALUES.get(name, str)(cell)
            except _Wrong as exc:
                wrong.append(f"{name} {exc}")
    if wrong or not parts:
        return Malformed(number, line, sku, "; ".join(wrong) or f"has nothing but a {SKU}")
    return Row(number, line, sku, msgspec.json.encode({SKU: sku, **parts, **options}))


def _number(cell: str) -> msgspec.Raw:
    text = cell.strip()
    if not _NUMBER.fullmatch(text):
        raise _Wrong("must be a number such as 12.30")
    return msgspec.Raw(text.encode())


def _flag(cell: str) -> bool:
    try:
        return _FLAGS[cell.strip().lower()]
    except KeyError as exc:
        raise _Wrong("must be true or false") from exc


def _texts(cell: str) -> list[str]:
    if not cell.lstrip().startswith("["):
        return [text.strip() for text in cell.split("|") if text.strip()]
    try:
        found = strictjson.loads(cell)
    except (ValueError, RecursionError) as exc:
        raise _Wrong("must be a JSON array of strings, or strings with | between them") from exc
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise _Wrong("must be a JSON array of strings, or strings with | between them")
    return found


def _placed(first: int, last: int, why: str) -> str:
    return why if first >= last else f"lines {first} to {last}: {why}"


_VALUES: Mapping[str, Callable[[str], Any]] = {
    "price": _number,
    "original_price": _number,
    "quantity": _number,
    "available": _flag,
    "images": _texts,
}
"""How a cell is read; as the text that it is where nothing is said."""
