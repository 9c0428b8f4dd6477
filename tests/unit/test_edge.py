"""The outermost layer: whatever breaks inside is a 500 without a word about how, counted once."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.api.edge import Edge
from bff.api.products import Products
from bff.api.public import public_app
from bff.cache.memory import MemoryTier
from bff.cache.trust import Trust
from bff.product.fanout import Needs, Page
from bff.product.pages import Client, Pages
from bff.resilience.alarms import Alarms
from clients.source import Caller

Counts = list[tuple[str, str, int]]


def edged(app: ASGIApp, counts: Counts) -> Edge:
    def counted(route: str, method: str, status: int, seconds: float) -> None:
        counts.append((route, method, status))

    return Edge(app, lambda: 0.0, random.getrandbits, counted, log_all=False)


async def ask(app: ASGIApp, path: str = "/x") -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()  # the client stays
        return {}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": []}
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


async def test_a_request_that_the_end_of_the_grace_cuts_off_is_told_to_come_again() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    counts: Counts = []
    start, body = await ask(edged(app, counts))
    assert (start["status"], json.loads(body["body"])["type"]) == (503, "urn:bff:problem:overloaded")
    assert dict(start["headers"])[b"retry-after"] == b"1"
    assert counts == [("unmatched", "GET", 503)]


async def test_a_route_that_breaks_is_the_same_problem_through_the_whole_application() -> None:
    class Broken(Pages):
        async def load(self, sku: str, caller: Caller, deadline: float, client: Client | None = None) -> Page:
            raise ValueError("secret")

    counts: Counts = []
    pages = Broken(Needs({}, MemoryTier((), 1, 1), Trust(), frozenset(), float, Alarms(float), print, print), print)
    products = Products(pages, print, 1.0, float, str)
    start, body = await ask(public_app(products, (), lambda app: edged(app, counts)), "/api/v1/products/1")
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (500, b"application/problem+json")
    assert json.loads(body["body"])["type"] == "urn:bff:problem:internal"
    assert [count[2] for count in counts] == [500]


async def test_what_is_no_http_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return None

    await edged(app, [])({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]
