"""A page whose client leaves: what it waits for is abandoned, but nothing that anybody else wants."""

import asyncio
from collections.abc import Callable

import pytest

from bff.product.fanout import Page
from bff.product.pages import ClientLeft
from tests.unit.playing import HANGS, Knobs, Step, now, outcomes, script, start, turns
from tests.unit.shop import NEVER_KEPT, Shop, states, until


class Leaver:
    """A client that is looked at, and leaves when it is told to."""

    def __init__(self) -> None:
        self.left: Callable[[], None] | None = None
        self.watched: list[str] = []

    def start(self, left: Callable[[], None]) -> None:
        self.left = left
        self.watched.append("start")

    def stop(self) -> None:
        self.watched.append("stop")

    def leave(self) -> None:
        assert self.left is not None, "nobody looks"
        self.left()


def asking(shop: Shop, seconds: float = 0.8) -> tuple[Leaver, asyncio.Task[Page]]:
    client = Leaver()
    return client, start(shop.page(seconds, client=client))


async def test_a_page_whose_client_leaves_ends_at_once_and_makes_no_page() -> None:
    shop = Shop(info=script(HANGS), price=script(Step(0.5)))
    client, page = asking(shop)
    await until(0.1)
    client.leave()
    with pytest.raises(ClientLeft):
        await page
    await turns()
    assert (now(), shop.made, shop.at_rest) == (0.1, [], True)
    assert (shop.scripts["info"].ended, shop.scripts["price"].ended) == (1, 1)


async def test_a_client_that_stays_is_watched_while_its_page_waits_and_no_longer() -> None:
    shop = Shop(price=script(Step(0.2)))
    client, page = asking(shop)
    await turns()
    assert client.watched == ["start"]
    await page
    assert client.watched == ["start", "stop"]


async def test_a_client_whose_page_waits_for_nothing_is_not_watched() -> None:
    shop = Shop()
    await shop.page()
    client, page = asking(shop)
    await page
    assert client.watched == []


async def test_a_client_is_watched_still_where_its_page_waits_again() -> None:
    shop = Shop(info=script(Step(), Step(0.5)), lives={"info": NEVER_KEPT}, stock=script(Step(says=None), Step(0.1)))
    await shop.page()
    await until(0.8)
    client, page = asking(shop)
    await until(1.35)
    client.leave()
    assert await outcomes([page]) == [page.exception()]
    assert isinstance(page.exception(), ClientLeft)
    assert client.watched == ["start", "stop"]
    await turns()
    assert shop.at_rest


@pytest.mark.parametrize("how", ["leaves", "is cancelled", "is out of time"])
async def test_the_watching_ends_however_the_page_does(how: str) -> None:
    shop = Shop(info=script(HANGS))
    client, page = asking(shop, 0.3)
    await until(0.1)
    if how == "leaves":
        client.leave()
    elif how == "is cancelled":
        page.cancel()
    await outcomes([page])
    assert client.watched == ["start", "stop"]


async def test_a_load_goes_on_for_the_clients_that_stay() -> None:
    shop = Shop(info=script(Step(0.3)))
    leaver, left = asking(shop)
    _, stays = asking(shop)
    await until(0.1)
    leaver.leave()
    assert states(await stays) == {"info": "ok", "price": "ok", "stock": "ok"}
    assert isinstance((await outcomes([left]))[0], ClientLeft)
    assert shop.calls["info"] == [0.0]


async def test_a_load_that_a_client_without_time_has_left_to_the_service_goes_on() -> None:
    shop = Shop(info=script(Step(0.3)))
    _, hurried = asking(shop, 0.1)
    leaver, left = asking(shop)
    await hurried
    leaver.leave()
    await outcomes([left])
    await until(0.4)
    assert shop.kept("info") is not None


async def test_a_refresh_goes_on_though_the_client_that_began_it_leaves() -> None:
    shop = Shop(price=script(Step(), Step(0.3)), stock=script(Step(), HANGS))
    await shop.page()
    await until(6.0)
    client, page = asking(shop)  # stock is waited for, price is refreshed
    await until(6.1)
    client.leave()
    await outcomes([page])
    await until(6.4)
    entry = shop.kept("price")
    assert entry is not None
    assert (entry.began, shop.at_rest) == (6.0, True)


async def test_a_client_that_leaves_in_the_queue_takes_its_place_with_it() -> None:
    shop = Shop(stock=script(HANGS), knobs=Knobs(concurrency=1))
    asking(shop)
    await turns()
    client, page = start_other(shop)
    await turns()
    assert shop.played["stock"].bulkhead.waiting == 1
    client.leave()
    await outcomes([page])
    await turns()
    assert (shop.played["stock"].bulkhead.waiting, shop.calls["stock"]) == (0, [0.0])


def start_other(shop: Shop) -> tuple[Leaver, asyncio.Task[Page]]:
    client = Leaver()
    return client, start(shop.page(sku="2", client=client))


@pytest.mark.parametrize("later", range(8))
async def test_a_client_that_leaves_as_its_page_is_answered_breaks_nothing_at_any_turn(later: int) -> None:
    shop = Shop(info=script(Step(0.1, None)), price=script(Step(0.5)))
    client, page = asking(shop)
    await until(0.1)
    await turns(later)
    client.leave()
    await asyncio.wait({page})
    assert page.exception() is None or isinstance(page.exception(), ClientLeft)
    assert client.watched == ["start", "stop"]
    await until(1.0)
    assert shop.at_rest
