"""Pages that are rendered once: only of fresh parts, and no longer than these are there and fresh."""

import asyncio

import pytest

from bff.product import view
from bff.product.parts import SOURCES, SourceName
from clients.errors import Unavailable
from tests.unit.playing import Step, fails, script, turns
from tests.unit.shop import Shop, until


async def rendered(shop: Shop) -> bytes:
    """Ask for a page twice, so that it is rendered, and return its bytes as it was read."""
    await shop.page()
    page = await shop.page()
    return view.page(page.parts, view.content(page.parts))


async def test_a_page_whose_parts_all_came_from_the_cache_is_rendered_and_one_just_loaded_is_not() -> None:
    shop = Shop()
    await shop.page()
    assert shop.pages.hot("1") is None
    body = await rendered(shop)
    hot = shop.pages.hot("1")
    assert hot is not None
    assert (hot.body, hot.length, shop.hot) == (body, b"%d" % len(body), 1)
    assert hot.size > len(body)


async def test_it_is_looked_at_until_a_refresh_ahead_is_due_and_again_until_the_first_part_ends() -> None:
    shop = Shop(stock=script(Step(), Step(0.3)))
    await rendered(shop)
    for moment, is_hot in ((1.59, True), (1.6, False)):  # a fifth of stock's two seconds before their end
        await until(moment)
        assert (shop.pages.hot("1") is not None) == is_hot
    await shop.page()
    await turns()
    assert shop.calls["stock"] == [0.0, 1.6]
    assert shop.pages.hot("1") is not None  # the value is still fresh, and its refresh is on its way
    await until(1.91)
    assert shop.pages.hot("1") is None  # the refresh brought another value
    await shop.page()
    assert shop.pages.hot("1") is not None


async def test_it_is_not_looked_at_past_the_first_parts_fresh_time() -> None:
    shop = Shop(stock=script(Step(), fails(Unavailable("down"))))
    await rendered(shop)
    await until(1.7)
    await shop.page()
    assert shop.pages.hot("1") is not None
    await until(2.0)
    assert shop.pages.hot("1") is None


@pytest.mark.parametrize("name", SOURCES)
async def test_an_invalidation_of_any_part_ends_it(name: SourceName) -> None:
    shop = Shop()
    await rendered(shop)
    await shop.invalidate(name)
    assert shop.pages.hot("1") is None


async def test_its_eviction_ends_it() -> None:
    shop = Shop(max_entries=6)
    await rendered(shop)
    for sku in "2345":  # it was used, and has a second chance
        await shop.page(sku=sku)
    assert (shop.kept("info"), shop.pages.hot("1")) == (None, None)
    assert shop.memory.evicted > 0


@pytest.mark.parametrize("step", [Step(says=None), fails(Unavailable("down"))])
async def test_a_page_that_lacks_a_part_is_not_rendered(step: Step) -> None:
    shop = Shop(price=script(step))
    await rendered(shop)
    assert shop.pages.hot("1") is None


async def test_a_page_with_a_stale_part_is_not_rendered() -> None:
    shop = Shop(price=script(Step(), fails(Unavailable("down"))))
    await shop.page()
    await until(1.0)
    await shop.page()
    await asyncio.sleep(5.0)
    await shop.page()
    await shop.page()
    assert shop.pages.hot("1") is None


async def test_other_products_are_other_pages() -> None:
    shop = Shop()
    await rendered(shop)
    assert shop.pages.hot("2") is None
