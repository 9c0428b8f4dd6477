"""Who asks for changes, stops some of them, and looks at all of them until they have ended."""

import asyncio
import json
from collections import Counter
from random import Random

from tests.durable.asking import Clients, Request
from tests.durable.events import NoStream, stream
from tests.durable.orders import ENDS, Order, orders
from tests.durable.pods import Site

OFFERED_SECONDS = 12.0
CONNECTIONS = 40
LOOK_SECONDS = 0.4
STREAM_SECONDS = 0.5
FOLLOWED_EVERY = 4  # of so many changes one is followed by its events as they come
LATE = 10  # changes of which more is asked after their last event


class Watch:
    """All orders, and what is seen of them."""

    def __init__(self, site: Site, random: Random) -> None:
        self.clients = Clients(site.apis, CONNECTIONS, random)
        self.orders = list(orders(random))
        self._site = site
        self._random = random

    def __repr__(self) -> str:
        return f"<Watch {Counter(order.state for order in self.orders)}, {self.clients!r}>"

    async def run(self, over: asyncio.Event) -> None:
        """Have all of it asked for, and return when all has ended, or the time is over."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._see_through(order)) for order in self.orders]
            tasks += [group.create_task(self._follow(order)) for order in self.orders[::FOLLOWED_EVERY]]
            while not over.is_set() and not all(task.done() for task in tasks):
                await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()

    async def read_events(self) -> None:
        """Read all events of each change, and of one that has not ended those that there are."""
        for order in self.orders:
            if order.id:
                await self._read(order)

    async def statuses_after_the_end(self) -> set[int]:
        """Return what some are answered who have had the last event and ask for more."""
        return {await self._status_after(order) for order in self.orders[:LATE] if order.state in ENDS}

    async def _see_through(self, order: Order) -> None:
        await asyncio.sleep(self._random.uniform(0, OFFERED_SECONDS))
        answer = await self.clients.insist(order.request)
        if answer.status != 202:
            order.refused = f"{answer.status} {answer.body!r}"
            return
        order.id = json.loads(answer.body)["id"]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(order))
            if order.cancel_seconds is not None:
                group.create_task(self._cancel(order, order.cancel_seconds))

    async def _look(self, order: Order) -> None:
        while order.state not in ENDS:
            found = await self.clients.look(f"/api/v1/changes/{order.id}")
            if not order.seen or found != order.seen[-1]:
                order.seen.append(found)
            await asyncio.sleep(LOOK_SECONDS)

    async def _cancel(self, order: Order, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        order.cancelled = (await self.clients.insist(Request("DELETE", f"/api/v1/changes/{order.id}"))).status

    async def _follow(self, order: Order) -> None:
        while not order.refused and not (order.followed and order.followed[-1]["event"] == "ended"):
            if order.id:
                try:
                    async for event in stream(self._url, order.id, len(order.followed)):
                        order.followed.append(event)
                except NoStream:
                    pass  # the database is away; that nothing else is the cause, the end shows
            await asyncio.sleep(0.2)

    async def _read(self, order: Order) -> None:
        try:
            async with asyncio.timeout(None if order.state in ENDS else STREAM_SECONDS):
                async for event in stream(self._url, order.id, 0):
                    order.events.append(event)
        except TimeoutError:
            return

    async def _status_after(self, order: Order) -> int:
        try:
            return len([event async for event in stream(self._url, order.id, len(order.events))])
        except NoStream as exc:
            return exc.status

    @property
    def _url(self) -> str:
        up = [pod.url for pod in self._site.apis if pod.is_up]
        return self._random.choice(up or [self._site.apis[0].url])
