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


PAGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ProductPage, "description": "The page, whole or partial"},
    304: {"description": "The client has this page already"},
    404: _problem("There is no such product"),
    422: _problem("This is no SKU"),
    502: _problem("A source that the page needs failed"),
    503: _problem("A source that the page needs is not asked at present; see Retry-After"),
    504: _problem("A source that the page needs did not answer in time"),
}
