"""The engine on each kind of database: each step of a change in its order, and again from where it was left."""

import asyncio
import threading
from functools import partial

import pytest

from bff.durable.claims import Claim
from bff.durable.engine import Engine, NotLaunched
from bff.durable.steps import Usurped
from tests.service.durabledb import soon, until
from tests.service.engines import CLAIM, WAY, Steps, place, running


def pool() -> str:
    """Return the name of the pool of threads that this one is of."""
    return threading.current_thread().name.rpartition("_")[0]


async def test_a_change_is_done_step_by_step_on_the_loop_of_the_service_which_keeps_its_threads(
    engine_url: str,
) -> None:
    steps = Steps()
    pools = {await asyncio.to_thread(pool)}
    async with running(engine_url, steps) as engine:
        await engine.run(CLAIM)
        await steps.until("end")
        assert (steps.names(), steps.loops) == (WAY, {asyncio.get_running_loop()})
        assert repr(engine) == "<Engine one running>"
        pools.add(await asyncio.to_thread(pool))
    pools.add(await asyncio.to_thread(pool))
    assert len(pools) == 1
    assert repr(engine) == "<Engine one>"


async def test_a_change_whose_part_is_not_written_goes_back_in_reverse(engine_url: str) -> None:
    steps = Steps(write_price="failed", undo_price="nothing", undo_info="undone", end="compensated")
    async with running(engine_url, steps) as engine:
        await engine.run(CLAIM)
        await steps.until("end")
        assert steps.names() == ["write info", "write price", "undo price", "undo info", "end"]


async def test_a_claim_that_is_given_twice_is_done_once_and_one_of_a_higher_epoch_anew(engine_url: str) -> None:
    steps = Steps()
    steps.go.clear()
    async with running(engine_url, steps) as engine:
        await engine.run(CLAIM)
        await steps.until("write info")
        await asyncio.gather(*(engine.run(CLAIM) for _ in range(3)))
        steps.go.set()
        await steps.until("end")
        await engine.run(CLAIM)
        await engine.run(Claim("change", 2, CLAIM.sources))
        await steps.until("end", epoch=2)
        assert (steps.names(), steps.names(epoch=2)) == (WAY, WAY)


async def test_many_changes_are_done_at_once(engine_url: str) -> None:
    steps = Steps()
    async with running(engine_url, steps) as engine:
        for number in range(20):
            await engine.run(Claim(f"{number}", 1, ("stock",)))
        for number in range(20):
            await steps.until("end", f"{number}")
        assert sorted(steps.done) == sorted((f"{n}", 1, name) for n in range(20) for name in ("write stock", "end"))


async def test_what_is_under_way_at_a_stop_is_asked_for_again_after_it_from_its_first_step(engine_url: str) -> None:
    before = Steps("write price")
    async with running(engine_url, before) as engine:
        await engine.run(CLAIM)
        await before.until("write price")
    await until(lambda: before.cancelled == 1)  # and nothing of it goes on here
    after = Steps()
    async with running(engine_url, after):
        await after.until("end")
        assert after.names() == WAY


async def test_a_step_that_is_another_process_to_end_stays_for_it(engine_url: str) -> None:
    before = Steps(write_price=Usurped())
    async with running(engine_url, before) as engine:
        await engine.run(CLAIM)
        await before.until("write price")
        await engine.run(Claim("other", 1, ("info",)))
        await before.until("end", "other")
    after = Steps()
    async with running(engine_url, after):
        await after.until("end")
        assert after.names() == WAY
        assert after.names("other") == []


async def test_a_step_that_breaks_harms_no_other_change(engine_url: str) -> None:
    steps = Steps(write_price=ZeroDivisionError())
    async with running(engine_url, steps) as engine:
        await engine.run(CLAIM)
        await steps.until("write price")
        await engine.run(Claim("other", 1, ("info",)))
        await steps.until("end", "other")
        assert engine.running
        assert steps.names() == WAY[:2]


async def test_who_has_another_name_does_not_go_on_with_it(engine_url: str) -> None:
    before, other, after = Steps(), Steps(), Steps()
    before.go.clear()
    async with running(engine_url, before) as engine:
        await engine.run(CLAIM)
        await before.until("write info")
    async with running(engine_url, other, executor="two") as engine:
        await engine.run(Claim("its own", 1, ("info",)))
        await other.until("end", "its own")
        assert other.names() == []
    async with running(engine_url, after):
        await after.until("end")


async def test_what_it_is_to_forget_is_gone(engine_url: str) -> None:
    steps = Steps()
    async with running(engine_url, steps) as engine:
        for epoch in (1, 2):
            await engine.run(Claim("change", epoch, ("info",)))
            await steps.until("end", epoch=epoch)
        await engine.purge([("change", 2), ("unheard of", 3)])
        await engine.purge([])
        for epoch in (1, 2):  # which it would not do again if it knew them
            await engine.run(Claim("change", epoch, ("info",)))
        await until(lambda: len(steps.done) == 8)


async def test_it_takes_nothing_before_it_is_started_nor_after_it_is_stopped(engine_url: str) -> None:
    engine = Engine(place(engine_url), Steps().perform)
    for _ in range(2):
        for ask in (partial(engine.run, CLAIM), partial(engine.purge, [("change", 1)])):
            with pytest.raises(NotLaunched):
                await ask()
        await engine.start()
        assert engine.running
        await engine.aclose()
        assert not engine.running
        await engine.aclose()


async def test_of_two_in_a_process_the_second_is_refused_until_the_first_is_stopped(engine_url: str) -> None:
    second = Engine(place(engine_url, "two"), Steps().perform)
    async with running(engine_url, Steps()):
        with pytest.raises(NotLaunched):
            await second.start()
        assert not second.running
        await second.aclose()
    await second.start()
    await second.aclose()


async def test_a_stop_during_a_start_stops_it(engine_url: str) -> None:
    engine, later = Engine(place(engine_url), Steps().perform), Steps()
    start = asyncio.ensure_future(engine.start())
    await asyncio.sleep(0)
    async with soon():
        await engine.aclose()
        await asyncio.gather(start, return_exceptions=True)
    assert not engine.running
    async with running(engine_url, later) as after:
        await after.run(CLAIM)
        await later.until("end")
