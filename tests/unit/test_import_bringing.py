"""Rows on their way: so many at once, those of one product in their order, whatever comes of each."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.imports.bringing import MOST_UNDER_WAY, Bringing
from bff.imports.follower import PAUSE_SECONDS, THOROUGH, Follower
from bff.imports.ledger import Ledger
from bff.imports.rows import AnyRow, Malformed, Outcome, Row
from bff.imports.service import Accepted, Stopped
from tests.unit.playing import in_virtual_time, now, start

WHOSE = {"digest": "d", "total": 0}


def row(number: int, sku: str | None) -> Row:
    return Row(number, number + 1, sku, b"{}")


class Shop:
    """A service that accepts at once, and works on so many changes at once, the oldest first.

    does: how a row ends, as a state and the seconds that it takes; where it is None, at once and well.
    takes: the seconds until one is accepted.
    """

    def __init__(
        self, does: Callable[[Row], tuple[str, float]] | None = None, takes: Callable[[], float] = lambda: 0.01
    ) -> None:
        self.does = does or (lambda _: ("succeeded", 0.0))
        self.takes = takes
        self.accepted: list[Row] = []
        self.looks: Counter[str] = Counter()
        self.under_way = self.most_under_way = 0
        self._ends: dict[str, Outcome] = {}
        self._slots = asyncio.Semaphore(20)
        self._tasks: list[asyncio.Task[None]] = []

    async def accept(self, asked: Row) -> Accepted | Outcome:
        await asyncio.sleep(self.takes())
        self.accepted.append(asked)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        change_id = f"c{asked.number}"
        self._tasks.append(start(self._work(asked, change_id)))
        return Accepted(change_id, replayed=False)

    async def ended(self, change_id: str) -> Outcome | None:
        self.looks[change_id] += 1
        await asyncio.sleep(0.001)
        return self._ends.get(change_id)

    async def _work(self, asked: Row, change_id: str) -> None:
        state, seconds = self.does(asked)
        async with self._slots:
            await asyncio.sleep(seconds)
        self.under_way -= 1
        self._ends[change_id] = Outcome(state, None, change_id)  # type: ignore[arg-type] # what the script says


def ledger(folder: Path, total: int) -> Ledger:
    return Ledger.open(folder / "state", WHOSE | {"total": total}, total)


def bringing(
    shop: Shop, kept: Ledger, accept: Callable[[Row], Awaitable[Accepted | Outcome]] | None = None
) -> Bringing:
    return Bringing(accept or shop.accept, Follower(shop.ended, 16), kept, lambda _: None)


def states(kept: Ledger) -> dict[int, str]:
    return {told["number"]: told["state"] for told in kept.told()}


async def test_every_row_comes_to_its_end_and_no_more_are_under_way_than_may_be(tmp_path: Path) -> None:
    shop, kept = Shop(lambda _: ("succeeded", 0.1)), ledger(tmp_path, 2000)
    await bringing(shop, kept).run(row(number, f"G{number}") for number in range(1, 2001))
    assert (kept.ended, kept.succeeded) == (2000, 2000)
    assert shop.most_under_way == MOST_UNDER_WAY
    assert shop.looks.total() < 3 * 2000
    kept.close()


def overtaken(seed: int, folder: Path, *, named: bool) -> int:
    """Bring rows of a few products, each of which takes what it takes, and count how many came too early.

    named: whether the rows say of which product they are.
    """
    chance = random.Random(seed)
    products = {number: f"G{chance.randrange(8)}" for number in range(1, 200)}

    async def run() -> int:
        ends = ["succeeded", "failed", "timed_out"]
        shop = Shop(lambda _: (chance.choice(ends), chance.random()), chance.random)
        kept = ledger(folder, len(products))
        await bringing(shop, kept).run(row(number, sku if named else None) for number, sku in products.items())
        assert kept.ended == len(products)
        kept.close()
        highest: Counter[str] = Counter()
        early = 0
        for number in (each.number for each in shop.accepted):
            early += number < highest[products[number]]
            highest[products[number]] = max(number, highest[products[number]])
        return early

    return in_virtual_time(run())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_rows_of_one_product_never_overtake_each_other(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert overtaken(seed, tmp_path_factory.mktemp("order"), named=True) == 0


def test_control_rows_of_which_it_is_not_known_do(tmp_path: Path) -> None:
    assert overtaken(1, tmp_path, named=False) > 0


async def test_a_product_has_one_change_at_a_time_and_others_do_not_wait_for_it(tmp_path: Path) -> None:
    at_work: Counter[str | None] = Counter()
    most: Counter[str | None] = Counter()
    shop, kept = Shop(lambda asked: ("succeeded", 5.0 if asked.sku_id == "SLOW" else 0.0)), ledger(tmp_path, 43)
    accept = shop.accept

    async def watched(asked: Row) -> Accepted | Outcome:
        at_work[asked.sku_id] += 1
        most[asked.sku_id] = max(most[asked.sku_id], at_work[asked.sku_id])
        return await accept(asked)

    run = bringing(shop, kept, watched)
    finished: list[tuple[float, int]] = []
    record = kept.record

    def recorded(asked: AnyRow, outcome: Outcome) -> None:
        at_work[asked.sku_id] -= 1
        finished.append((now(), asked.number))
        record(asked, outcome)

    vars(kept)["record"] = recorded
    await run.run([row(number, "SLOW" if number <= 3 else f"G{number}") for number in range(1, 44)])
    assert most["SLOW"] == 1
    assert [number for _, number in finished[-3:]] == [1, 2, 3]
    assert all(at < 2 for at, number in finished if number > 3)
    kept.close()


async def test_what_is_malformed_or_refused_is_on_record_and_the_rest_goes_on(tmp_path: Path) -> None:
    shop, kept = Shop(), ledger(tmp_path, 4)

    async def accept(asked: Row) -> Accepted | Outcome:
        return Outcome("refused", "no") if asked.number == 3 else await shop.accept(asked)

    rows: list[AnyRow] = [row(1, "A"), Malformed(2, 3, "A", "bad"), row(3, "A"), row(4, "A")]
    await bringing(shop, kept, accept).run(rows)
    assert states(kept) == {1: "succeeded", 2: "malformed", 3: "refused", 4: "succeeded"}
    kept.close()


async def test_rows_behind_one_that_is_left_to_the_next_run_are_left_too_where_they_are_of_its_product(
    tmp_path: Path,
) -> None:
    shop, kept = Shop(), ledger(tmp_path, 5)

    async def accept(asked: Row) -> Accepted | Outcome:
        return Outcome("broken", "no") if asked.number == 2 else await shop.accept(asked)

    await bringing(shop, kept, accept).run([row(1, "A"), row(2, "A"), row(3, "B"), row(4, "A"), row(5, None)])
    assert states(kept) == {1: "succeeded", 2: "broken", 3: "succeeded", 4: "broken", 5: "succeeded"}
    assert [kept.has(number) for number in range(1, 6)] == [True, False, True, False, True]
    kept.close()


async def test_what_has_ended_is_not_asked_for_again(tmp_path: Path) -> None:
    shop, kept = Shop(), ledger(tmp_path, 600)
    for number in range(1, 600):
        kept.record(row(number, "A"), Outcome("succeeded"))
    await bringing(shop, kept).run(row(number, "A") for number in range(1, 601))
    assert [each.number for each in shop.accepted] == [600]
    kept.close()


async def test_what_was_accepted_is_followed_and_not_asked_for_again(tmp_path: Path) -> None:
    shop, kept = Shop(), ledger(tmp_path, 3)
    await shop.accept(row(2, "A"))
    kept.record_accepted(row(2, "A"), "c2")
    await bringing(shop, kept).run(row(number, "A") for number in (1, 2, 3))
    assert [each.number for each in shop.accepted] == [2, 1, 3]
    assert kept.succeeded == 3
    kept.close()


async def test_a_stop_is_one_error_and_what_has_ended_stays_on_record(tmp_path: Path) -> None:
    shop, kept = Shop(), ledger(tmp_path, 100)

    async def accept(asked: Row) -> Accepted | Outcome:
        if asked.number > 50:
            await asyncio.sleep(10)
            raise Stopped("the token is none")
        return await shop.accept(asked)

    with pytest.raises(Stopped, match=r"^the token is none$"):
        await bringing(shop, kept, accept).run(row(number, None) for number in range(1, 101))
    assert kept.ended == 50
    kept.close()


async def test_a_record_that_cannot_be_written_stops_the_whole(tmp_path: Path) -> None:
    shop, kept = Shop(), ledger(tmp_path, 2)

    def full(asked: AnyRow, outcome: Outcome) -> None:
        raise OSError(28, "No space left on device")

    vars(kept)["record"] = full
    with pytest.raises(Stopped, match="No space left on device"):
        await bringing(shop, kept).run([row(1, "A"), row(2, "B")])
    kept.close()


async def test_what_ends_behind_others_that_do_not_is_seen_all_the_same() -> None:
    ends: dict[str, Outcome] = {"c99": Outcome("succeeded")}
    looks = 0

    async def ended(change_id: str) -> Outcome | None:
        nonlocal looks
        looks += 1
        return ends.get(change_id)

    follower = Follower(ended, 16)
    waiting = [start(follower.end_of(f"c{number}")) for number in range(100)]
    running = start(follower.run())
    await waiting[99]
    assert now() <= THOROUGH * PAUSE_SECONDS + 0.1
    assert looks <= 16 * THOROUGH + 100
    assert (len(follower), repr(follower)) == (99, "<Follower of 99>")
    for task in (running, *waiting):
        task.cancel()
    await asyncio.gather(running, *waiting, return_exceptions=True)
