"""The body that asks for a change."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError

from bff import strictjson
from bff.api.sku import is_sku
from bff.durable.changes import Part
from bff.product.parts import SOURCES, SourceName
from bff.product.writing import Writing
from clients.errors import Wrong
from clients.given import MAX_ERRORS, Given, read_given

TIMEOUT_SECONDS = 60.0
MOST_SECONDS = 3600
PRIORITY = 5
LEAST_URGENT = 9
FINER = "has an amount that is finer than its owner's units"

_FIELDS = ("sku_id", *SOURCES, "timeout_seconds", "priority")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

Error = tuple[tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. priority: 0, first, to 9."""

    sku_id: str
    parts: tuple[Part, ...]
    timeout_seconds: float
    priority: int

    @property
    def told_apart_by(self) -> list[Any]:
        """What two equal bodies have in common, however they are written."""
        shown = [[part.source, part.sent] for part in self.parts]
        return [self.sku_id, shown, self.timeout_seconds, self.priority]


def read_asked(body: bytes, writing: Writing) -> Asked:
    """Read the body; RequestValidationError with what is wrong with it, or the first MAX_ERRORS of it."""
    document, members = _members(body)
    errors = list(islice(_faults(document), MAX_ERRORS))
    given: dict[SourceName, Given] = {}
    for source in SOURCES if _is_sku(document.get("sku_id")) else ():
        if source in members:
            try:
                given[source] = _part(source, bytes(members[source]), document["sku_id"], writing)
            except Wrong as exc:
                errors += [((source, field) if field else (source,), message) for field, message in exc.errors]
    if errors:
        raise _invalid(errors[:MAX_ERRORS])
    parts = tuple(Part(name, part.sent.decode(), part.shown.decode()) for name, part in given.items())
    timeout, priority = document.get("timeout_seconds", TIMEOUT_SECONDS), document.get("priority", PRIORITY)
    return Asked(document["sku_id"], parts, float(timeout), priority)


def _members(body: bytes) -> tuple[dict[str, Any], dict[str, msgspec.Raw]]:
    """Return an object's members, read and as they were written."""
    try:
        document = strictjson.loads(body.decode("utf-8"))
        if not isinstance(document, dict):
            raise _invalid([((), "must be a JSON object")])
        return document, _fields(body)  # stricter: neither NaN nor half a character
    except strictjson.Repeated as exc:
        raise _invalid([((), "names something twice")]) from exc
    except (ValueError, RecursionError, msgspec.MsgspecError) as exc:
        raise _invalid([((), "must be JSON")]) from exc


def _part(source: SourceName, raw: bytes, sku: str, writing: Writing) -> Given:
    if not writing.takes(source):
        raise Wrong([("", "is of a service that cannot be written to")])
    given = read_given(source, raw, sku)
    if not writing.fits(source, given):
        raise Wrong([("", FINER)])
    return given


def _faults(document: dict[str, Any]) -> Iterator[Error]:
    for field in document:
        if field not in _FIELDS:
            yield (field,), "is not known"
    sku = document.get("sku_id")
    if sku is None:
        yield ("sku_id",), "is needed"
    elif not _is_sku(sku):
        yield ("sku_id",), "must be a SKU"
    if not document.keys() & set(SOURCES):
        yield (), "must have at least one of info, price and stock"
    timeout, priority = document.get("timeout_seconds", TIMEOUT_SECONDS), document.get("priority", PRIORITY)
    if not _is_number(timeout, float, int) or not 1 <= timeout <= MOST_SECONDS:
        yield ("timeout_seconds",), f"must be a number from 1 to {MOST_SECONDS}"
    if not _is_number(priority, int) or not 0 <= priority <= LEAST_URGENT:
        yield ("priority",), f"must be an integer from 0 to {LEAST_URGENT}"


def _is_sku(value: Any) -> bool:
    return isinstance(value, str) and is_sku(value)


def _is_number(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _invalid(errors: list[Error]) -> RequestValidationError:
    return RequestValidationError([{"type": "change", "loc": ("body", *where), "msg": why} for where, why in errors])
