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


def refused(description: str) -> dict[str, Any]:
    """Return how an answer is described that is a problem."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


SECURITY = "bearer"

PAGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ProductPage, "description": "The page, whole or partial"},
    304: {"description": "The client has this page already"},
    404: refused("There is no such product"),
    422: refused("This is no SKU"),
    502: refused("A source that the page needs failed"),
    503: refused("A source that the page needs is not asked at present; see Retry-After"),
    504: refused("A source that the page needs did not answer in time"),
}

REFUSALS: dict[int | str, dict[str, Any]] = {
    401: refused("No valid bearer token"),
    403: refused("The token lacks the scope"),
    413: refused("More than 1 MiB"),
    415: refused("Not application/json"),
    422: refused("Not what it must be; see errors"),
}

NOTICE_RESPONSES: dict[int | str, dict[str, Any]] = {
    204: {"description": "It is forgotten: who asks from now on is not given what was there before"},
    **REFUSALS,
    503: refused("Not every pod could be told, or tokens cannot be checked; see Retry-After"),
}

PARTS: dict[str, type[BaseModel]] = {"info": Info, "price": Price, "stock": Stock}
_NEEDED = {"info": "name", "price": "price", "stock": "quantity"}

WRITE_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"description": "It is stored, which could not be confirmed to every pod; it is within ten seconds"},
    **REFUSALS,
    404: refused("Its owner knows no such product"),
    409: refused("What is stored stands against it"),
    412: refused("What is stored is not what If-Match names"),
    501: refused("This source cannot be written to"),
    502: refused("Its owner did not say whether it is stored"),
    503: refused("Nothing was written; see Retry-After"),
    504: refused("It was sent, and its owner has not answered: repeat it"),
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
    return {**json_body(part_schema(source)), "parameters": [_IF_MATCH]}


def part_schema(source: str) -> dict[str, Any]:
    """Return the schema of a part that is given to be written."""
    schema = PARTS[source].model_json_schema()
    return schema | {"required": [_NEEDED[source]], "additionalProperties": False}


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return how a body is described that a route reads by itself, after it has looked at who asks."""
    return json_body(model.model_json_schema())


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """Return how a route is described that takes JSON from those who are known."""
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "security": [{SECURITY: []}],
    }
