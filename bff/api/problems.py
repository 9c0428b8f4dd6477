"""Errors as `application/problem+json` (RFC 9457), and the one table of failures to statuses."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from bff.api.context import Context, context_of
from bff.exchange import Answer, Field
from bff.product.parts import Reason

Kind = Literal[
    "product-unknown",
    "route-unknown",
    "method-not-allowed",
    "sku-invalid",
    "key-missing",
    "key-reused",
    "key-in-use",
    "body-invalid",
    "too-large",
    "source-timeout",
    "source-failed",
    "source-unavailable",
    "unauthorized",
    "forbidden",
    "not-configured",
    "conflict",
    "overloaded",
    "internal",
]

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1

_STATUSES: dict[Kind, tuple[int, str]] = {
    "key-missing": (400, "An idempotency key is needed"),
    "unauthorized": (401, "Who asks is not known"),
    "forbidden": (403, "Who asks may not do this"),
    "product-unknown": (404, "There is no such product"),
    "route-unknown": (404, "There is nothing here"),
    "method-not-allowed": (405, "This is not done here"),
    "conflict": (409, "What is there stands against it"),
    "key-in-use": (409, "The first request with this key is still being accepted"),
    "too-large": (413, "The body is too large"),
    "sku-invalid": (422, "This is no SKU"),
    "key-reused": (422, "The idempotency key was used for something else"),
    "body-invalid": (422, "The body is not as it must be"),
    "internal": (500, "Something broke"),
    "not-configured": (501, "This is not set up here"),
    "source-failed": (502, "A source that is needed failed"),
    "source-unavailable": (503, "A source that is needed is not asked at present"),
    "overloaded": (503, "Come again in a moment"),
    "source-timeout": (504, "A source that is needed did not answer in time"),
}

_FAILURES: dict[Reason, Kind] = {
    "timeout": "source-timeout",
    "unavailable": "source-failed",
    "rejected": "source-failed",
    "garbled": "source-failed",
}


def problem_answer(
    context: Context, kind: Kind, detail: str, fields: Iterable[Field] = (), status: int | None = None, **members: Any
) -> Answer:
    """Return the answer that an error is; nothing of it is ever stored by a cache. status: where not the kind's own."""
    usual, title = _STATUSES[kind]
    status = status or usual
    body = msgspec.json.encode(
        {
            "type": f"urn:bff:problem:{kind}",
            "title": title,
            "status": status,
            "detail": detail,
            "instance": context.path,
            "request_id": context.caller.request_id,
            **members,
        }
    )
    own = [(b"cache-control", b"no-store")]
    if status == 503:
        own.append((b"retry-after", b"%d" % RETRY_AFTER_SECONDS))
    return status, [*own, *fields, (b"content-length", b"%d" % len(body)), (b"content-type", MEDIA_TYPE.encode())], body


def problem(scope: Scope, kind: Kind, detail: str, fields: Iterable[Field] = (), **members: Any) -> Response:
    """Return the same as Starlette has answers."""
    status, fields, body = problem_answer(context_of(scope), kind, detail, fields, **members)
    response = Response(body, status)
    response.raw_headers = fields
    return response


def kind_of(reason: Reason) -> Kind:
    """Return what a page's failure is, by the reason for which a source is missing."""
    return _FAILURES.get(reason, "source-unavailable")
