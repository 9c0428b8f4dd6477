"""JSON in which no object names anything twice: of two values, every reader would take another one."""

import json
from typing import Any


class Repeated(ValueError):
    """An object names something twice."""


def loads(text: str | bytes) -> Any:
    """Read JSON; ValueError or RecursionError where it is none, Repeated where it names something twice."""
    return json.loads(text, object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Repeated
    return found
