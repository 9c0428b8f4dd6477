"""What a page does with values of every age: fresh, about to end, revalidating, stale, past their bound."""

import asyncio

import pytest

from bff.cache.entry import Lifetimes
from bff.product.parts import Missing, Stale
from clients.errors import Rejected, Unavailable
from tests.unit.playing import HANGS, Step, fails, now, script, start, turns
from tests.unit.shop import NEVER_KEPT, Shop, states, until

DOWN = fails(Unavailable("down"))
NO = fails(Rejected("418"))


async def price_at(shop: Shop, *moments: float) -> list[str]:
    """Ask for a page at each moment, and return what its price was."""
    seen = []
    for moment in moments:
        await until(moment)
        seen.append(states(await shop.page())["price"])
        await turns()
    return seen


async def test_a_fresh_value_is_served_without_a_question() -> None:
    shop = Shop()
    assert await price_at(shop, 0.0, 3.9) == ["ok", "ok"]
    assert shop.calls["price"] == [0.0]
    assert [result for name, result in shop.lookups if name == "price"] == ["miss", "fresh"]


async def test_a_value_that_is_read_shortly_before_its_end_is_refreshed_once() -> None:
    shop = Shop(price=script(Step(), Step(0.1)))
    assert await price_at(shop, 0.0, 4.0, 4.05, 4.09, 4.2, 7.9) == ["ok"] * 6
    assert shop.calls["price"] == [0.0, 4.0]


async def test_a_refresh_ahead_that_failed_is_not_repeated_until_the_end() -> None:
    shop = Shop(price=script(Step(), NO))
    assert await price_at(shop, 0.0, 4.1, 4.5, 4.9, 5.5) == ["ok", "ok", "ok", "ok", "stale rejected"]
    assert shop.calls["price"] == [0.0, 4.1, 5.5]


async def test_a_value_past_its_fresh_time_is_served_at_once_while_one_refresh_runs() -> None:
    shop = Shop(price=script(Step(), Step(0.5)))
    await shop.page()
    await until(6.0)
    pages = [start(shop.page()) for _ in range(5)]
    await asyncio.wait(pages)
    assert now() == 6.0
    assert {states(page.result())["price"] for page in pages} == {"stale revalidating"}
    await until(6.6)
    assert states(await shop.page())["price"] == "ok"
    assert shop.calls["price"] == [0.0, 6.0]


async def test_a_refresh_goes_on_though_every_client_leaves() -> None:
    shop = Shop(price=script(Step(), Step(0.5)), lives={"stock": NEVER_KEPT}, stock=script(Step(), HANGS))
    await shop.page()
    await until(6.0)
    page = start(shop.page())
    await until(6.1)
    page.cancel()
    assert await price_at(shop, 6.6) == ["ok"]
    assert shop.calls["price"] == [0.0, 6.0]


async def test_a_refresh_goes_on_though_the_only_page_that_came_to_wait_for_it_leaves() -> None:
    shop = Shop(price=script(Step(), Step(0.5)))
    assert await price_at(shop, 0.0, 9.9) == ["ok", "stale revalidating"]
    await until(10.0)
    page = start(shop.page())  # past the revalidate time: it joins the refresh
    await until(10.1)
    page.cancel()
    assert await price_at(shop, 10.5) == ["ok"]
    assert shop.calls["price"] == [0.0, 9.9]


async def test_after_a_failed_refresh_the_reason_is_how_it_failed_until_one_succeeds() -> None:
    shop = Shop(price=script(Step(), NO, Step()))
    assert await price_at(shop, 0.0, 6.0, 7.0, 8.0) == ["ok", "stale revalidating", "stale rejected", "ok"]
    assert shop.calls["price"] == [0.0, 6.0, 7.0]


async def test_past_the_revalidate_time_a_value_is_served_only_where_the_source_was_asked_and_failed() -> None:
    shop = Shop(price=script(Step(), fails(Rejected("418"), after=0.2), Step(0.2)))
    assert await price_at(shop, 0.0, 20.0) == ["ok", "stale rejected"]
    assert now() == 20.2
    assert await price_at(shop, 30.0) == ["ok"]
    assert now() == 30.2


async def test_a_value_is_served_until_its_bound_and_never_at_it() -> None:
    shop = Shop(price=script(Step(), NO))
    bound = 5.0 + 120.0
    assert await price_at(shop, 0.0, bound - 0.001, bound) == ["ok", "stale rejected", "missing rejected"]


async def test_past_the_bound_the_reason_is_how_the_source_failed() -> None:
    shop = Shop(price=script(Step(), HANGS))
    assert await price_at(shop, 0.0, 1000.0) == ["ok", "missing timeout"]


async def test_a_page_out_of_time_serves_what_is_within_its_bound() -> None:
    shop = Shop(price=script(Step(), HANGS))
    assert await price_at(shop, 0.0, 50.0) == ["ok", "stale timeout"]
    assert now() == 50.8


async def test_a_404_replaces_a_value_at_once() -> None:
    shop = Shop(price=script(Step(), Step(says=None), DOWN))
    assert await price_at(shop, 0.0, 20.0, 21.0, 26.0) == [
        "ok",
        "missing not_found",
        "missing not_found",
        "missing unavailable",
    ]


async def test_an_invalidated_value_is_served_no_more() -> None:
    shop = Shop(price=script(Step(), NO))
    await shop.page()
    await shop.invalidate("price")
    assert await price_at(shop, 1.0) == ["missing rejected"]


async def test_a_value_whose_fresh_time_ends_while_the_page_waits_is_asked_for_again() -> None:
    shop = Shop(info=script(Step(), Step(0.5)), lives={"info": NEVER_KEPT, "stock": Lifetimes(2, 0, 5, 1)})
    await shop.page()
    await until(1.8)
    page = await shop.page()
    stock = page.parts["stock"].entry
    assert stock is not None
    assert (states(page)["stock"], stock.began) == ("ok", 1.8)  # refreshed ahead meanwhile
    assert now() == pytest.approx(2.3)


async def test_a_404_that_is_forgotten_while_the_page_waits_is_asked_for_again() -> None:
    shop = Shop(info=script(Step(), Step(0.5)), lives={"info": NEVER_KEPT}, stock=script(Step(says=None), Step(0.1)))
    await shop.page()
    await until(0.8)
    assert states(await shop.page()) == {"info": "ok", "price": "ok", "stock": "ok"}
    assert now() == pytest.approx(1.4)


async def test_a_stale_value_whose_bound_passes_while_the_page_waits_is_withheld() -> None:
    lives = {"info": NEVER_KEPT, "price": Lifetimes(1, 1, 0, 1)}
    shop = Shop(info=script(Step(), Step(0.5)), price=script(Step(), Step(0.7)), lives=lives)  # type: ignore[arg-type]
    await shop.page()
    await until(1.8)
    page = await shop.page(0.6)
    assert page.parts["price"] == Missing("timeout", "join")


async def test_a_value_that_stood_in_for_a_failed_source_is_withheld_too_where_its_bound_passes() -> None:
    lives = {"info": NEVER_KEPT, "price": Lifetimes(1, 0, 0.5, 1)}
    shop = Shop(info=script(Step(), Step(0.5)), price=script(Step(), NO), lives=lives)  # type: ignore[arg-type]
    await shop.page()
    await until(1.2)
    page = await shop.page()
    part = page.parts["price"]
    assert now() == 1.7
    assert not isinstance(part, Stale), f"sent {now() - part.entry.bound:.1f} s past its bound"


async def test_a_joined_failure_does_not_make_a_newer_value_stale() -> None:
    shop = Shop(price=script(HANGS, HANGS, Step()), required=frozenset())
    old = start(shop.page())
    await until(0.7)
    await shop.invalidate("price")
    assert states(await shop.page())["price"] == "ok"
    assert states(await old)["price"] != "stale timeout"
    assert await price_at(shop, 6.0) == ["stale revalidating"]
