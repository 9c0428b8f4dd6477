"""Pages, as they are asked for: rendered once and still fresh, begun with a callback, or awaited."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from bff.product.fanout import Done, FanOut, Needs, Page
from bff.product.rendered import RenderedPage
from clients.source import Caller


class ClientLeft(Exception):
    """The client left before its page was answered."""


class Client(Protocol):
    """Whoever a page is for, as far as it may leave."""

    def start(self, left: Callable[[], None]) -> None:
        """Have something done when it leaves."""

    def stop(self) -> None:
        """Look no more."""


class Pages:
    """Loads pages."""

    def __init__(self, needs: Needs, hot_page_made: Callable[[], None]) -> None:
        self._needs = needs
        self._hot_page_made = hot_page_made

    def hot(self, sku: str) -> RenderedPage | None:
        """Return the page of a product as it was rendered, where all of its parts are still fresh."""
        rendered: RenderedPage | None = self._needs.memory.rendered(sku)
        if rendered is None or (now := self._needs.clock()) >= rendered.until:
            return None
        trust = self._needs.trust
        if now >= trust.until or rendered.epoch != trust.epoch:
            return None
        self._hot_page_made()
        return rendered

    def begin(self, sku: str, caller: Caller, deadline: float, done: Done) -> FanOut:
        """Begin a page that is done by the deadline, whatever its sources do, and maybe at once."""
        page = FanOut(self._needs, sku, caller, deadline, done)
        page.begin()
        return page

    async def load(self, sku: str, caller: Caller, deadline: float, client: Client | None = None) -> Page:
        """Return the page of a product by the deadline.

        Raises ClientLeft; then, and when cancelled, loads that nobody else waits for are abandoned.
        """
        asked = _Asked()
        page = self.begin(sku, caller, deadline, asked.done)
        if asked.answer.done():
            return await asked.answer
        if client is not None:
            client.start(asked.client_left)
        try:
            return await asked.answer
        except (asyncio.CancelledError, ClientLeft):
            page.leave()
            raise
        finally:
            if client is not None:
                client.stop()


class _Asked:
    """A page that somebody awaits."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Page] = asyncio.get_running_loop().create_future()

    def done(self, page: Page | Exception) -> None:
        if self.answer.done():
            return  # the client left, or the task was cancelled, in this very turn
        if isinstance(page, Exception):
            self.answer.set_exception(page)
        else:
            self.answer.set_result(page)

    def client_left(self) -> None:
        if not self.answer.done():
            self.answer.set_exception(ClientLeft())
