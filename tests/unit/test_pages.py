"""A page out of three sources: at once, by its deadline, and as soon as nothing can change it."""

import asyncio
import gc

import pytest

from bff.cache.entry import Lifetimes
from bff.product.parts import Missing, Ok
from bff.product.view import Failed, Found, Unknown
from clients.errors import Garbled, Rejected, Throttled, Unavailable
from tests.unit.playing import HANGS, Knobs, Step, fails, now, opened, outcomes, script, start, turns
from tests.unit.shop import NEVER_KEPT, Shop, states, until, vias

GONE = Step(says=None)


async def test_a_page_takes_its_slowest_source_and_not_their_sum() -> None:
    shop = Shop(info=script(Step(0.1)), price=script(Step(0.2)), stock=script(Step(0.3)))
    page = await shop.page()
    assert now() == 0.3
    assert shop.calls == {"info": [0.0], "price": [0.0], "stock": [0.0]}
    assert (page.verdict, states(page)) == (Found(), {"info": "ok", "price": "ok", "stock": "ok"})
    assert page.waited == {"info": 0.1, "price": 0.2, "stock": 0.3}
    assert (vias(page), shop.made) == (["load"] * 3, [page.parts])


async def test_a_page_comes_at_its_deadline_whatever_a_source_does() -> None:
    shop = Shop(stock=script(HANGS))
    page = await shop.page()
    assert now() == 0.8
    assert states(page) == {"info": "ok", "price": "ok", "stock": "missing timeout"}
    assert shop.calls["stock"] == [0.0, 0.6]


async def test_a_part_knows_when_its_last_attempt_began() -> None:
    shop = Shop(price=script(fails(Unavailable("down"), after=0.25), Step(0.1)))
    page = await shop.page()
    part = page.parts["price"]
    assert isinstance(part, Ok)
    assert (part.entry.began, part.entry.as_of) == (0.25, b"2026-01-01T00:00:00.250Z")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (fails(Unavailable("x")), "unavailable"),
        (fails(Rejected("418")), "rejected"),
        (fails(Garbled("x")), "garbled"),
        (fails(Throttled("429")), "overloaded"),
        (HANGS, "timeout"),
        (GONE, "not_found"),
        (fails(ValueError("a bug of ours")), "unavailable"),
    ],
)
async def test_however_a_source_fails_the_page_has_its_reason(step: Step, reason: str) -> None:
    page = await Shop(price=script(step)).page()
    assert states(page) == {"info": "ok", "price": f"missing {reason}", "stock": "ok"}
    assert page.verdict == Found()


async def test_an_open_circuit_is_a_reason() -> None:
    shop = Shop()
    opened(shop.played["price"].circuit, 20)
    assert states(await shop.page())["price"] == "missing circuit_open"
    assert shop.calls["price"] == []


async def test_a_404_of_a_required_source_is_answered_at_once() -> None:
    shop = Shop(info=script(Step(0.1, None)), price=script(HANGS), stock=script(Step(0.3)))
    page = await shop.page()
    assert (now(), page.verdict) == (0.1, Unknown())
    assert page.parts["price"] == page.parts["stock"] == Missing(None, "load")
    await until(0.4)
    assert shop.cache.of("stock").current("1") is not None  # what was asked for goes on


async def test_a_failure_that_nothing_can_change_is_answered_at_once() -> None:
    shop = Shop(info=script(fails(Rejected("418"), 0.1)), price=script(HANGS))
    assert (await shop.page()).verdict == Failed("info", "rejected")
    assert now() == 0.1


async def test_a_failure_waits_for_another_required_source_that_may_say_404() -> None:
    both = frozenset({"info", "price"})
    shop = Shop(required=both, info=script(fails(Rejected("418"))), price=script(Step(0.3, None)))  # type: ignore[arg-type]
    assert (await shop.page()).verdict == Unknown()
    assert now() == 0.3


async def test_a_remembered_404_of_a_required_source_asks_nobody() -> None:
    shop = Shop(info=script(GONE), price=script(Step(2.0)), knobs=Knobs(attempts=1))
    await shop.page()
    await until(4.9)
    page = await shop.page()
    assert (page.verdict, now()) == (Unknown(), 4.9)
    assert vias(page)[:2] == ["cache", "none"]
    assert shop.calls == {"info": [0.0], "price": [0.0], "stock": [0.0]}


async def test_a_remembered_404_is_forgotten_in_its_time() -> None:
    shop = Shop(info=script(GONE, Step()))
    await shop.page()
    await until(5.0)
    assert (await shop.page()).verdict == Found()


async def test_a_remembered_404_of_an_optional_source_is_not_asked_again() -> None:
    shop = Shop(price=script(GONE))
    await shop.page()
    await until(1.0)
    assert states(await shop.page())["price"] == "missing not_found"
    assert shop.calls["price"] == [0.0]
    assert ("price", "not_found") in shop.lookups


async def test_pages_at_once_share_one_call_to_each_source() -> None:
    shop = Shop(price=script(Step(0.2)))
    pages = [await task for task in [start(shop.page()) for _ in range(10)]]
    assert shop.calls == {"info": [0.0], "price": [0.0], "stock": [0.0]}
    assert [page.parts["price"].via for page in pages] == ["load"] + ["join"] * 9


async def test_no_page_joins_what_was_under_way_before_an_invalidation() -> None:
    shop = Shop(price=script(Step(0.5, b'"old"'), Step(0.1, b'"new"')))
    old = start(shop.page())
    await until(0.2)
    await shop.invalidate("price")
    new = await shop.page()
    assert new.parts["price"].entry.body == b'"new"'  # type: ignore[union-attr]
    assert now() == pytest.approx(0.3)
    part = (await old).parts["price"]
    assert isinstance(part, Ok)
    assert (part.entry.body, part.stored) == (b'"old"', False)
    assert shop.cache.of("price").current("1").body == b'"new"'  # type: ignore[union-attr]


async def test_a_clients_short_deadline_ends_its_waiting_and_not_the_call() -> None:
    shop = Shop(info=script(Step(0.5)), required=frozenset())
    page = await shop.page(seconds=0.1)
    assert (now(), states(page)["info"]) == (0.1, "missing timeout")
    await until(0.6)
    assert shop.scripts["info"].given == [0.8]  # the call has its own life
    assert (await shop.page(seconds=0.001)).parts["info"].via == "cache"
    assert now() == 0.6
    assert repr(shop.played["info"].circuit) == "<Circuit closed 0/1>"


async def test_a_time_that_is_over_still_gets_what_is_in_the_cache() -> None:
    shop = Shop(price=script(Step(), HANGS), stock=script(Step(), HANGS))
    await shop.page()
    await until(50.0)
    assert states(await shop.page(seconds=-1.0)) == {"info": "ok", "price": "stale timeout", "stock": "missing timeout"}


async def test_time_that_ran_out_in_the_queue_is_overload() -> None:
    shop = Shop(stock=script(HANGS), knobs=Knobs(concurrency=1, attempts=1, attempt_seconds=5.0))
    pages = await outcomes([shop.page(sku="1"), shop.page(sku="2")])
    assert [states(page)["stock"] for page in pages] == ["missing timeout", "missing overloaded"]
    assert now() == 0.8


async def test_a_short_deadline_that_ends_in_the_queue_is_overload_too() -> None:
    shop = Shop(stock=script(HANGS), knobs=Knobs(concurrency=1))
    holder = start(shop.page())
    await turns()
    page = await shop.page(seconds=0.1, sku="2")
    assert states(page)["stock"] == "missing overloaded"
    await holder


async def test_a_call_that_nobody_waits_for_any_more_is_cancelled() -> None:
    shop = Shop(info=script(HANGS))
    tasks = [start(shop.page()), start(shop.page())]
    await until(0.1)
    tasks[0].cancel()
    await turns()
    assert shop.scripts["info"].ended == 0
    tasks[1].cancel()
    await turns()
    assert (shop.scripts["info"].ended, shop.at_rest, now()) == (1, True, 0.1)


async def test_at_the_end_of_the_service_those_who_still_wait_get_a_page() -> None:
    shop = Shop(price=script(HANGS))
    waiting = start(shop.page())
    await until(0.1)
    await shop.aclose()
    assert states(await waiting)["price"] == "missing unavailable"
    assert now() == 0.1


async def test_what_is_never_kept_is_asked_for_every_time() -> None:
    shop = Shop(lives={"stock": NEVER_KEPT, "price": Lifetimes(0, 0, 0, 0)})
    for _ in range(3):
        assert states(await shop.page()) == {"info": "ok", "price": "ok", "stock": "ok"}
        await asyncio.sleep(1.0)
    assert shop.calls == {"info": [0.0], "price": [0.0, 1.0, 2.0], "stock": [0.0, 1.0, 2.0]}


async def test_pages_leave_nothing_that_only_a_collection_would_free() -> None:
    shop = Shop(price=script(Step(0.1)))
    await shop.page()
    gc.collect()
    gc.disable()
    try:
        for number in range(100):
            await shop.page(sku=str(number))
            await shop.page(sku=str(number))
        await asyncio.sleep(1.0)
        assert gc.collect() < 100  # of a hundred pages, not a cycle each
    finally:
        gc.enable()
