"""JSON lines: each a body of `POST /api/v1/changes`, sent as it is written, with what it leaves unsaid at its end."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from bff import strictjson
from bff.imports.lines import BadLine, Lines
from bff.imports.rows import AnyRow, Malformed, Row

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def rows(lines: Lines, options: Mapping[str, Any]) -> Iterator[AnyRow]:
    """Give the rows of JSON lines; blank ones are none. options: members of every body that does not have them."""
    number = 0
    while True:
        try:
            text = next(lines).strip()
        except StopIteration:
            return
        except BadLine as exc:
            number += 1
            yield Malformed(number, lines.number, None, str(exc))
        else:
            if text:
                number += 1
                yield _row(number, lines.number, text, options)


def _row(number: int, line: int, text: str, options: Mapping[str, Any]) -> AnyRow:
    try:
        document = strictjson.loads(text)
        _object(text)  # stricter: Python takes NaN for JSON
    except (ValueError, RecursionError, msgspec.MsgspecError) as exc:
        why = "names something twice" if isinstance(exc, strictjson.Repeated) else "must be a JSON object"
        return Malformed(number, line, None, why)
    sku = document.get("sku_id")
    unsaid = {name: value for name, value in options.items() if name not in document}
    return Row(number, line, sku if isinstance(sku, str) else None, _with(text, unsaid, empty=not document))


def _with(text: str, members: Mapping[str, Any], *, empty: bool) -> bytes:
    """Add members to an object's text, of which nothing else is touched."""
    if not members:
        return text.encode()
    return f"{text[:-1]}{'' if empty else ','}{json.dumps(members)[1:]}".encode()
