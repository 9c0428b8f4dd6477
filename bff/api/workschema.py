"""The answers of durable work as OpenAPI shows them; documentation alone, as `bff.api.schema`."""

from typing import Any, Literal

from pydantic import BaseModel

from bff.api.schema import PARTS, REFUSALS, json_body, part_schema, refused


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
    400: refused("No idempotency key, or none that can be one"),
    404: refused("There is no such thing"),
    409: refused("It has ended, or the first request with this key is still being accepted"),
    501: refused("This is not set up here"),
    503: refused("The queue is full, or the database is away; see Retry-After"),
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
    return {**json_body(schema), "parameters": [KEY_PARAMETER]}


CHANGE_BODY = _change_body()
