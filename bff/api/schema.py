"""The answers as OpenAPI shows them. Documentation alone: answers are made from bytes and never pass through here."""

from typing import Any, Literal

from pydantic import BaseModel

from bff.api.problems import MEDIA_TYPE


class Info(BaseModel):
    """What a product is called and looks like."""

    sku_id: str
    name: str
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    images: list[str] | None = None


class Price(BaseModel):
    """What a product costs."""

    sku_id: str
    price: float
    original_price: float | None = None
    currency: str | None = None


class Stock(BaseModel):
    """How many of a product there are."""

    sku_id: str
    quantity: int
    available: bool


class SourceState(BaseModel):
    """How a part was come by."""

    state: Literal["ok", "stale", "missing"]
    as_of: str | None
    reason: str | None


class Sources(BaseModel):
    """How each part was come by."""

    info: SourceState
    price: SourceState
    stock: SourceState


class Meta(BaseModel):
    """How whole and how old the page is."""

    complete: bool
    sources: Sources


class ProductPage(BaseModel):
    """The page. A part that is missing is null; `meta` says why."""

    info: Info | None
    price: Price | None
    stock: Stock | None
    meta: Meta


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    sources: Sources | None = None
    errors: list[FieldError] | None = None


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


SECURITY = "bearer"

PAGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ProductPage, "description": "The page, whole or partial"},
    304: {"description": "The client has this page already"},
    404: _problem("There is no such product"),
    422: _problem("This is no SKU"),
    502: _problem("A source that the page needs failed"),
    503: _problem("A source that the page needs is not asked at present; see Retry-After"),
    504: _problem("A source that the page needs did not answer in time"),
}

REFUSALS: dict[int | str, dict[str, Any]] = {
    401: _problem("No valid bearer token"),
    403: _problem("The token lacks the scope"),
    413: _problem("More than 1 MiB"),
    415: _problem("Not application/json"),
    422: _problem("Not what it must be; see errors"),
}

NOTICE_RESPONSES: dict[int | str, dict[str, Any]] = {
    204: {"description": "It is forgotten: who asks from now on is not given what was there before"},
    **REFUSALS,
    503: _problem("Not every pod could be told, or tokens cannot be checked; see Retry-After"),
}

PARTS: dict[str, type[BaseModel]] = {"info": Info, "price": Price, "stock": Stock}
_NEEDED = {"info": "name", "price": "price", "stock": "quantity"}

WRITE_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"description": "It is stored, which could not be confirmed to every pod; it is within ten seconds"},
    **REFUSALS,
    404: _problem("Its owner knows no such product"),
    409: _problem("What is stored stands against it"),
    412: _problem("What is stored is not what If-Match names"),
    501: _problem("This source cannot be written to"),
    502: _problem("Its owner did not say whether it is stored"),
    503: _problem("Nothing was written; see Retry-After"),
    504: _problem("It was sent, and its owner has not answered: repeat it"),
}

_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "What the owner must still hold: entity tags of the owner's, none of a page; passed on to it",
}


def part_body(source: str) -> dict[str, Any]:
    """Return how the writing of a part is described: the part's own object, its SKU optional."""
    return {**_body(part_schema(source)), "parameters": [_IF_MATCH]}


def part_schema(source: str) -> dict[str, Any]:
    """Return the schema of a part that is given to be written."""
    schema = PARTS[source].model_json_schema()
    return schema | {"required": [_NEEDED[source]], "additionalProperties": False}


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return how a body is described that a route reads by itself, after it has looked at who asks."""
    return _body(model.model_json_schema())


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "security": [{SECURITY: []}],
    }


class StepView(BaseModel):
    """A step of a change: the writing of one part."""

    name: str
    state: Literal["pending", "running", "done", "failed", "compensated", "superseded"]
    attempts: int
    started_at: str | None
    ended_at: str | None
    error: str | None


class Change(BaseModel):
    """A change of a product: all of its parts are written or, by compensation, none."""

    id: str
    sku_id: str
    state: Literal["pending", "running", "succeeded", "compensated", "failed", "cancelled", "timed_out"]
    steps: list[StepView]
    created_at: str
    updated_at: str
    error: str | None


class Changes(BaseModel):
    """Changes, newest first. next: the cursor of those that follow."""

    items: list[Change]
    next: str | None


class Reservation(BaseModel):
    """A reservation; a confirmed one is a sale."""

    id: str
    sku_id: str
    quantity: int
    state: Literal["queued", "confirmed", "rejected", "released"]
    reason: Literal["insufficient", "unknown_sku", "expired"] | None
    created_at: str
    updated_at: str


_DURABLE: dict[int | str, dict[str, Any]] = {
    **REFUSALS,
    400: _problem("No idempotency key, or none that can be one"),
    404: _problem("There is no such thing"),
    409: _problem("It has ended, or the first request with this key is still being accepted"),
    501: _problem("This is not set up here"),
    503: _problem("The queue is full, or the database is away; see Retry-After"),
}
CHANGE_RESPONSES: dict[int | str, dict[str, Any]] = {**_DURABLE, 202: {"model": Change, "description": "Accepted"}}
RESERVATION_RESPONSES: dict[int | str, dict[str, Any]] = {
    **_DURABLE,
    202: {"model": Reservation, "description": "Accepted, and on disk"},
}
EVENT_RESPONSES: dict[int | str, dict[str, Any]] = {
    **_DURABLE,
    200: {"description": "The events, until the last", "content": {"text/event-stream": {}}},
    204: {"description": "There is nothing after Last-Event-ID, and will be nothing"},
}


KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "A repeat with the same key gets the first answer again, and has no other effect",
}


def _change_body() -> dict[str, Any]:
    parts = {name: {**part_schema(name), "description": "The part's own object"} for name in PARTS}
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["sku_id"],
        "anyOf": [{"required": [name]} for name in PARTS],
        "properties": {
            "sku_id": {"type": "string"},
            **parts,
            "timeout_seconds": {"type": "number", "minimum": 1, "maximum": 3600, "default": 60},
            "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": 5},
        },
    }
    return {**_body(schema), "parameters": [KEY_PARAMETER]}


CHANGE_BODY = _change_body()
