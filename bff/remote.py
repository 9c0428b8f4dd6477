"""Commands to a running service, through its admin listener."""

import json
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request, UnknownHandler

SECONDS = 10.0


class NotDone(Exception):
    """The service did not do it, or could not be reached; the text says why."""


def invalidate(admin_url: str, skus: Sequence[str], sources: Sequence[str]) -> None:
    """Have parts forgotten, of all sources where none is named; raise NotDone."""
    body: dict[str, Any] = {"sku_ids": list(skus)}
    if sources:
        body["sources"] = list(sources)
    _ask(admin_url, "/cache/invalidate", body)


def stats(admin_url: str) -> Mapping[str, Mapping[str, int]]:
    """Return what each tier of the cache holds; raise NotDone."""
    found: Mapping[str, Mapping[str, int]] = json.loads(_ask(admin_url, "/cache", None))
    return found


def _ask(admin_url: str, path: str, body: Any) -> bytes:
    opener = OpenerDirector()  # with these alone it knows no proxies and no redirects
    for handler in (HTTPHandler(), HTTPSHandler(), UnknownHandler()):
        opener.add_handler(handler)
    data = None if body is None else json.dumps(body).encode()
    try:
        request = Request(admin_url.rstrip("/") + path, data, {"Content-Type": "application/json"})  # noqa: S310
        with opener.open(request, timeout=SECONDS) as response:
            status, answer = response.status, bytes(response.read())
    except (OSError, HTTPException, ValueError) as exc:
        raise NotDone(f"{admin_url}: {exc}") from exc
    if status >= 300:
        raise NotDone(f"{admin_url}: {_told(answer) or f'status {status}'}")
    return answer


def _told(answer: bytes) -> str:
    """Return what a problem says is wrong."""
    try:
        problem = json.loads(answer)
        errors = [f"{error['field']} {error['message']}" for error in problem.get("errors", ())]
        return "; ".join(errors) or str(problem["detail"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
