"""The `Idempotency-Key` header, and the answers that belong to its use."""

import re

from fastapi import Request
from starlette.responses import Response

from bff.api.auth import Refused
from bff.api.problems import problem
from bff.auth.caller import Principal
from bff.durable.keys import Key, fingerprint

MAX_LENGTH = 255
_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')  # RFC 8941, 3.3.3
_ESCAPED = re.compile(r"\\(.)")
_BARE = re.compile(r"[\x21\x23-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


def key_name(request: Request) -> str:
    """Return the key that a request brings, quoted or bare; raises Refused."""
    values = request.headers.getlist("idempotency-key")
    if not values:
        raise Refused("key-missing", "Send an Idempotency-Key: a repeat with the same one has no second effect.")
    text = values[0].strip(" \t")
    if (quoted := _STRING.fullmatch(text)) is not None:
        name = _ESCAPED.sub(r"\1", quoted[1])
    else:
        name = text if _BARE.fullmatch(text) else ""
    if len(values) > 1 or not 1 <= len(name) <= MAX_LENGTH:
        raise Refused("key-missing", f"An Idempotency-Key is 1 to {MAX_LENGTH} printable ASCII characters, sent once.")
    return name


def key_of(request: Request, caller: Principal, name: str, body: object) -> Key:
    """Return a caller's key and what it is used for. body: as it was parsed."""
    return Key(caller.name, name, fingerprint(request.method, request.url.path, body))


def reused(request: Request) -> Response:
    """Answer a key that was used for something else."""
    return problem(request.scope, "key-reused", "It was used with another method, path or body.")


def in_use(request: Request) -> Response:
    """Answer a key whose first use is still being accepted."""
    return problem(request.scope, "key-in-use", "Ask again in a moment.")


def accepted(body: bytes, location: str, *, replayed: bool) -> Response:
    """Answer what was accepted, now or before."""
    headers = {"location": location, "cache-control": "no-store"}
    if replayed:
        headers["idempotent-replayed"] = "true"
    return Response(body, 202, headers, media_type="application/json")
