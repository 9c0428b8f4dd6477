"""An application over a shop of played sources, the way ahead of it, and the connection that a test plays."""

from dataclasses import dataclass, field
from typing import Any, cast

from starlette.types import Message

from bff.api.edge import Edge
from bff.api.products import Products
from bff.api.public import public_app
from bff.api.quick import QuickPages
from bff.exchange import Answer, Asker, Exchange
from bff.viewlog.recorder import View
from tests.unit.shop import Shop

PAGE, AGG = b"/api/v1/products/1", b"/api/v1/products/agg/1"
Sent = list[tuple[bytes, bytes]]


@dataclass
class Waiting:
    """A connection whose request is answered later. given: every answer that it was given."""

    asker: Asker
    given: list[Answer] = field(default_factory=list)

    def answer(self, answer: Answer) -> None:
        self.given.append(answer)


class Site:
    """What both ways have counted and recorded, and what waits to be answered."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.counts: list[tuple[Any, ...]] = []
        self.views: list[View] = []
        self.waiting: list[Waiting] = []
        self.breaks = False
        products = Products(shop.pages, self.record, 0.8, shop.clock, lambda: "now")
        self.app = public_app(products, (), self.edge)
        self._quick = QuickPages(products, self.app)

    def edge(self, app: Any) -> Edge:
        return Edge(app, self.shop.clock, lambda _: 7, self.counted, log_all=True)

    def counted(self, *counted: Any) -> None:
        self.counts.append(counted)

    def record(self, view: View) -> None:
        if self.breaks:
            raise ValueError("secret")
        self.views.append(view)

    def later(self, asker: Asker) -> Exchange:
        self.waiting.append(Waiting(asker))
        return cast(Exchange, self.waiting[-1])

    def quick(self, target: bytes, sent: Sent) -> Answer | None:
        """Ask ahead of the application, for what can be answered at once."""
        answer = self._quick(target, sent, self.later)
        assert not isinstance(answer, Waiting), "it is answered later"
        return cast(Answer | None, answer)

    def ask(self, target: bytes, sent: Sent) -> Waiting:
        """Ask ahead of the application, for what is answered later."""
        waiting = self._quick(target, sent, self.later)
        assert isinstance(waiting, Waiting), "it is answered at once, or not at all"
        assert waiting.given == []
        return waiting

    def either(self, target: bytes, sent: Sent) -> list[Answer]:
        """Ask ahead of the application; the answer is in the list when it has come."""
        answer = self._quick(target, sent, self.later)
        assert answer is not None
        return answer.given if isinstance(answer, Waiting) else [cast(Answer, answer)]

    async def whole(self, target: bytes, sent: Sent) -> Answer:
        """Ask the application."""
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        async def receive() -> Message:
            raise AssertionError("a page has no body")

        path, _, query = target.partition(b"?")
        scope = {"type": "http", "method": "GET", "path": path.decode(), "raw_path": path, "query_string": query}
        await self.app({**scope, "headers": sent}, receive, send)
        start, body = messages
        return start["status"], list(start["headers"]), body["body"]

    async def warm(self) -> None:
        """Have the page rendered."""
        for _ in range(2):
            await self.shop.page()
