"""The outermost layer: whatever breaks inside is a 500 without a word about how, counted once."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.api.edge import Edge

Counts = list[tuple[str, str, int]]


def edged(app: ASGIApp, counts: Counts) -> Edge:
    def counted(route: str, method: str, status: int, seconds: float) -> None:
        counts.append((route, method, status))

    return Edge(app, lambda: 0.0, random.getrandbits, counted, log_all=False)


async def ask(app: ASGIApp) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "GET", "path": "/x", "raw_path": b"/x", "headers": []}
    await app(scope, receive, send)
    return sent


def breaking(before: Callable[[], Response] | None = None) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if before is not None:
            await before()(scope, receive, send)
        raise ValueError("secret")

    return app


async def test_a_request_that_breaks_is_a_problem_that_says_nothing_of_how() -> None:
    counts: Counts = []
    start, body = await ask(edged(breaking(), counts))
    headers = dict(start["headers"])
    problem: dict[str, Any] = json.loads(body["body"])
    assert (start["status"], problem["type"]) == (500, "urn:bff:problem:internal")
    assert headers[b"x-request-id"].decode() == problem["request_id"]
    assert "secret" not in body["body"].decode()
    assert counts == [("unmatched", "GET", 500)]


async def test_a_request_that_breaks_after_its_answer_has_begun_sends_no_second_one() -> None:
    counts: Counts = []
    sent = await ask(edged(breaking(lambda: Response("ok")), counts))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert counts == [("unmatched", "GET", 200)]


async def test_a_request_that_is_cancelled_is_counted_as_one_whose_client_left() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    counts: Counts = []
    with pytest.raises(asyncio.CancelledError):
        await ask(edged(app, counts))
    assert counts == [("unmatched", "GET", 499)]


async def test_what_is_no_http_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return None

    await edged(app, [])({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]
