"""Selling, to whose process, stock service and database anything may happen at any point: each unit is sold once."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest

from bff.durable import batches, reservations
from bff.durable.claims import Worker
from bff.durable.driver import Connection
from bff.durable.keys import Key
from bff.durable.reservations import Reserved, Wish
from bff.durable.selling import Pace
from tests.unit.durable_shop import CALLER, PACE, Shop, live, lives
from tests.unit.durable_stock import Stock
from tests.unit.durable_tables import tables

Plan = Mapping[int, str]
FEW = ("crash", "answer lost")


def acts(place: str) -> Iterator[str]:
    """Give everything that can happen at a point."""
    yield from ("crash", "crash, and started again", "late", "reserved of 7")
    yield from ("given back of first", "given back of second", "given back of unknown")
    if place == "transaction":
        yield from ("away", "away once committed")
    elif place == "deduct":
        yield from ("request lost", "answer lost", "5xx", "garbled", "half an answer", "no results")
    else:
        yield from ("request lost", "answer lost")


async def run(plan: Plan, on: Connection | None = None) -> tuple[list[str], list[str]]:
    """Sell a little; return what is wrong, and the points that it came by. on: empty tables."""
    shop = Shop(Stock({"7": 3, "8": 1}), plan, tables=on or tables())
    for name, sku, quantity in (("first", "7", 2), ("second", "7", 2), ("third", "7", 1), ("other", "8", 1)):
        shop.reserve(name, sku, quantity)
    shop.reserve("unknown", "9")
    shop.reserve("given back at once", "8")
    shop.give_back("given back at once")
    try:
        await lives(shop)
        return shop.faults(), shop.trace
    finally:
        if on is None:
            shop.tables.close()


def after(plan: Plan, trace: Sequence[str]) -> Iterator[Plan]:
    """Give the plans that have one thing more, at a later point."""
    first = max(plan, default=-1) + 1
    for number, place in enumerate(trace[first:], first):
        for act in acts(place):
            yield {**plan, number: act}


async def test_whatever_happens_once_at_any_point_each_unit_is_sold_once_and_nothing_is_stuck() -> None:
    wrong = {}
    _, trace = await run({})
    for plan in after({}, trace):
        faults, _ = await run(plan)
        if faults:
            wrong[str(plan)] = faults
    assert wrong == {}


async def test_whatever_happens_twice_at_any_two_points_each_unit_is_sold_once_and_nothing_is_stuck() -> None:
    wrong = {}
    _, trace = await run({})
    for plan in after({}, trace[:8]):
        _, longer = await run(plan)
        for both in after(plan, longer[:9]):
            if both[max(both)] in FEW:
                faults, _ = await run(both)
                if faults:
                    wrong[str(both)] = faults
    assert wrong == {}


@pytest.mark.parametrize("seed", range(30))
async def test_workers_that_take_each_others_batches_sell_each_unit_once(seed: int) -> None:
    """Both are alive, and each is thought to be dead again and again; calls overtake each other at random."""
    chance = random.Random(seed)
    plan = {number: chance.choice([*acts("deduct"), "", "", ""]) for number in range(5, 60) if chance.random() < 0.3}
    quiet = {number: act for number, act in plan.items() if not act.startswith("crash")}
    shop = Shop(Stock({"7": 5, "8": 3}), quiet, delay=lambda: chance.uniform(0.0, 0.3))
    workers = [Worker(f"worker {number}", "1") for number in range(3)]
    sellings = [shop.selling(worker) for worker in workers]
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(part) for each in sellings for part in (each.run(), each.run_returns())]
    for number in range(20):
        name = ["first", "second", "unknown"][number] if number < 3 else f"{number}"
        shop.reserve(name, chance.choice(["7", "8"]))
        if chance.random() < 0.3:
            shop.give_back(f"{chance.randrange(number + 1)}")
        await asyncio.sleep(chance.uniform(0.0, 0.2))
        worker, selling = chance.choice(list(zip(workers, sellings, strict=True)))
        take = partial(batches.take_over, worker=worker, dead=[], before=shop.now + 1.0, now=shop.now)
        selling.resume(shop.do(take))
    while not shop.is_done():
        await asyncio.sleep(0.1)
        selling.resume(shop.do(partial(batches.take_over, worker=worker, dead=[], before=shop.now - 5.0, now=shop.now)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for selling in sellings:
        await selling.aclose()
    assert shop.faults() == []
    shop.tables.close()


async def test_a_release_that_overtakes_its_deduct_loses_no_stock() -> None:
    first = [3.0]  # the first call, a deduct, is long on its way
    shop = Shop(Stock({"7": 3}), delay=lambda: first.pop() if first else 0.0)
    shop.reserve("1", "7")
    life = asyncio.ensure_future(live(shop, Worker("one", "1")))
    await asyncio.sleep(1.0)
    shop.give_back("1")
    await life
    assert (shop.faults(), shop.stock.left) == ([], {"7": 3})
    assert shop.stock.answers == {"1": "released"}
    shop.tables.close()


async def test_a_batch_is_all_that_came_meanwhile_and_one_is_under_way_for_a_sku() -> None:
    shop = Shop(Stock({"7": 1000}), delay=lambda: 0.5)
    life = asyncio.ensure_future(live(shop, Worker("one", "1")))
    for number in range(100):
        shop.reserve(f"{number}", "7")
        await asyncio.sleep(0.02)
        assert shop.tables.rows("select count(*) from bff_batches")[0][0] <= 1
    while not shop.is_done():
        await asyncio.sleep(0.1)
    await life
    assert shop.faults() == []
    assert 2 <= len(shop.sent) <= 5  # one every second, and what came meanwhile in each
    shop.tables.close()


async def test_a_hot_sku_holds_up_no_other() -> None:
    shop = Shop(Stock({"hot": 10**6, **{f"sku {number}": 10 for number in range(20)}}), delay=lambda: 0.1)
    many(shop, 10_000, "hot")
    for number in range(20):
        shop.reserve(f"other {number}", f"sku {number}")
    life = asyncio.ensure_future(live(shop, Worker("one", "1")))
    while shop.tables.rows("select 1 from bff_reservations where id like 'other%' and state = 'queued'"):
        await asyncio.sleep(0.05)
    ((left,),) = shop.tables.rows("select count(*) from bff_reservations where state = 'queued'")
    assert left > 7000
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    shop.tables.close()


async def test_however_many_products_fail_the_others_are_sold() -> None:
    failing = [f"failing {number}" for number in range(100)]
    shop = Shop(Stock({"7": 10, **dict.fromkeys(failing, 10)}), delay=lambda: 0.1, failing=set(failing))
    for sku in failing:
        shop.reserve(sku, sku)
    life = asyncio.ensure_future(live(shop, Worker("one", "1")))
    await asyncio.sleep(5.0)
    shop.reserve("good", "7")
    await asyncio.sleep(5.0)
    assert list(shop.stock.taken) == ["good"]
    shop.failing.clear()
    await life
    assert shop.faults() == []
    shop.tables.close()


@pytest.mark.parametrize("rate", [1.0, 7.0, 50.0, 333.0])
@pytest.mark.parametrize("workers", [1, 2])
async def test_no_more_is_sent_than_the_rate_allows_and_not_much_less(rate: float, workers: int) -> None:
    shop = Shop(Stock({f"sku {number}": 10**6 for number in range(5)}), pace=replace(PACE, rate=rate))
    for number in range(5):
        many(shop, 400, f"sku {number}")
    lives = [asyncio.ensure_future(live(shop, Worker(f"worker {number}", "1"))) for number in range(workers)]
    await asyncio.sleep(5.0)
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    burst = max(1.0, rate * batches.PACED_SECONDS)
    for begun, (at, _) in enumerate(shop.sent):
        for until, (end, _) in enumerate(shop.sent[begun:], begun):
            total = sum(items for _, items in shop.sent[begun : until + 1])
            assert total <= rate * (end - at) + burst + 1e-6, (at, end)
    assert sum(items for _, items in shop.sent) >= min(2000.0, 0.8 * rate * 5.0)
    shop.tables.close()


async def test_what_waits_for_too_long_is_given_back_and_expired_and_nothing_before() -> None:
    shop = Shop(Stock({"7": 10}), dict.fromkeys(range(4000), "5xx"), pace=Pace(None, 60.0, 0.2))
    shop.reserve("old", "7")
    life = asyncio.ensure_future(live(shop, Worker("one", "1")))
    await asyncio.sleep(50.0)
    shop.reserve("young", "7")
    await asyncio.sleep(9.0)
    assert shop.tables.rows("select count(*) from bff_reservations where state = 'queued'") == [(2,)]
    await asyncio.sleep(5.0)
    found = shop.tables.rows("select id, state, reason from bff_reservations order by id")
    assert found == [("old", "rejected", "expired"), ("young", "queued", None)]
    shop.plan = {}
    await life
    assert shop.faults() == []
    assert list(shop.stock.taken) == ["young"]
    shop.tables.close()


async def test_a_stock_service_that_never_answers_an_item_is_not_asked_without_a_pause() -> None:
    shop = Shop(Stock({"7": 10}), dict.fromkeys(range(100_000), "no results"))
    shop.reserve("1", "7")
    life = asyncio.ensure_future(live(shop, Worker("one", "1")))
    await asyncio.sleep(60.0)
    assert 10 < len(shop.sent) < 120
    shop.plan = {}
    await life
    assert shop.faults() == []
    shop.tables.close()


def many(shop: Shop, count: int, sku: str) -> None:
    """Reserve one each, so many times."""
    wishes = [Wish(f"{sku} {number:05}", sku, 1, Key(CALLER, f"{sku} {number}", "print")) for number in range(count)]
    answers = shop.do(partial(reservations.accept, wishes=wishes, most=100_000, now=shop.now))
    assert all(isinstance(answer, Reserved) for answer in answers)
