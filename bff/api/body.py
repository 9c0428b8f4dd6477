"""Bodies of requests: how much is read of them, of what type, and what JSON is taken for."""

from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from bff import strictjson

MAX_BYTES = 1024 * 1024
Model = TypeVar("Model", bound=BaseModel)


async def read(request: Request) -> bytes:
    """Return a request's body; HTTPException 413 where it is longer than MAX_BYTES."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413)
    return bytes(body)


async def read_json(request: Request) -> bytes:
    """Return the body of a request that says it is JSON; HTTPException 415 where it says anything else, or 413."""
    kinds = request.headers.getlist("content-type")
    if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415)
    return await read(request)


def parsed(model: type[Model], body: bytes) -> Model:
    """Return a body as a model has it; RequestValidationError where it is not so, or names anything twice."""
    try:
        strictjson.loads(body)
    except (ValueError, RecursionError) as exc:
        why = "names something twice" if isinstance(exc, strictjson.Repeated) else "must be JSON"
        raise RequestValidationError([{"type": "json", "loc": ("body",), "msg": why}]) from exc
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        raise RequestValidationError([{**error, "loc": ("body", *error["loc"])} for error in exc.errors()]) from exc
