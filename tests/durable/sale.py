"""The flash sale: so many more buyers than units, and processes killed while they buy."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.consistency.client import Broken
from tests.durable.asking import Clients, Request, is_replayed, reserve
from tests.durable.ledger import Ledger, Owners
from tests.durable.nemesis import Kills, Nemesis
from tests.durable.pods import POSTGRES, SQLITE, Site
from tests.durable.report import Result

BUYERS, UNITS = 10_000, 100
OFFERED_SECONDS = 2.0
CONNECTIONS = 300
SKU = "G7100100"
KILLS = {SQLITE: Kills(6, (0.4, 1.6)), POSTGRES: Kills(10, (0.2, 1.0))}
FAULTS = {"delay_ms": 30, "lose_answers": 0.1}
ACCEPT_SECONDS, SETTLE_SECONDS = 150.0, 60.0
PAUSE_SECONDS = (0.2, 0.8)
LOOK_SECONDS = 1.0
AGAIN = 200  # buyers who ask once more when all is over
ANSWERS = frozenset({"200", "202", "409", "503"})

_CONFIRMED, _REJECTED, _QUEUED = "confirmed", "rejected insufficient", "queued"
_FIRST_ANSWERS = {_CONFIRMED: "deducted", _REJECTED: "insufficient"}


@dataclass
class Buyer:
    """Someone who wants one unit. id: of the reservation, "" before it is accepted; state: as it was last seen."""

    request: Request
    id: str = ""
    state: str = ""


class Sale:
    """All buyers, and how they fare. replayed: how many were accepted before they were told so; last_at: an answer."""

    def __init__(self, site: Site, random: Random) -> None:
        self.clients = Clients(site.apis, CONNECTIONS, random)
        self.buyers = [Buyer(reserve(SKU, f"buyer-{number}")) for number in range(BUYERS)]
        self.replayed = 0
        self.last_at = 0.0
        self._site = site
        self._random = random

    def __repr__(self) -> str:
        return f"<Sale {self.accepted} accepted, {self.clients!r}>"

    @property
    def accepted(self) -> int:
        """How many buyers have a reservation."""
        return sum(1 for buyer in self.buyers if buyer.id)

    async def offer(self) -> None:
        """Have every buyer ask, within so many seconds, until each has a reservation or the time is up."""
        try:
            async with asyncio.timeout(ACCEPT_SECONDS), asyncio.TaskGroup() as group:
                for buyer in self.buyers:
                    group.create_task(self._buy(buyer, self._random.uniform(0, OFFERED_SECONDS)))
        except TimeoutError:
            return  # how many were accepted is counted

    async def settle(self, until: float) -> None:
        """Have every buyer look what became of his reservation, until that is known or the time is up."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            found = await self._site.backlog()  # an estimate that spares thousands of looks
            if found is not None and not found["queued"]:
                await asyncio.gather(*(self._look(buyer) for buyer in self.buyers if buyer.state in ("", _QUEUED)))
                if not any(buyer.state == _QUEUED for buyer in self.buyers):
                    return
            await asyncio.sleep(LOOK_SECONDS)

    async def ask_again(self) -> int:
        """Have some ask once more with their keys; return how many were told of another reservation than the first."""
        buyers = [buyer for buyer in self.buyers if buyer.id][:AGAIN]
        answers = await asyncio.gather(*(self.clients.insist(buyer.request) for buyer in buyers))
        ids = [json.loads(answer.body).get("id") if is_replayed(answer) else None for answer in answers]
        return sum(1 for buyer, found in zip(buyers, ids, strict=True) if buyer.id != found)

    async def _buy(self, buyer: Buyer, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        while not buyer.id:
            try:
                answer = await self.clients.ask(buyer.request)
            except Broken:
                continue
            if answer.status == 202:
                buyer.id = json.loads(answer.body)["id"]
                self.replayed += is_replayed(answer)
                self.last_at = asyncio.get_running_loop().time()
            else:
                await asyncio.sleep(self._random.uniform(*PAUSE_SECONDS))

    async def _look(self, buyer: Buyer) -> None:
        if buyer.id:
            found = await self.clients.look(f"/api/v1/reservations/{buyer.id}")
            buyer.state = " ".join(filter(None, (found["state"], found["reason"])))


async def sell(site: Site, owners: Owners, random: Random, say: Callable[[str], None]) -> Result:
    """Run the sale, and compare what buyers were told with what the owner has done."""
    await owners.put("stock", SKU, quantity=UNITS)
    await owners.misbehave(**FAULTS)
    sale, nemesis, loop = Sale(site, random), Nemesis(site, random, say), asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        group.create_task(nemesis.run(KILLS[site.database]))
        group.create_task(sale.offer())
    say(f"{sale.accepted:,} accepted in {sale.last_at - began:.1f} s, last kill after {nemesis.last_at - began:.1f} s")
    await sale.settle(max(sale.last_at, nemesis.last_at) + SETTLE_SECONDS)
    seconds, others = round(loop.time() - began), await sale.ask_again()
    sale.clients.close()
    result = judge(sale.buyers, await owners.ledger("stock"), site.database)
    result.expect_equal("buyers whose key led to another reservation later", others, 0)
    result.counts |= {"seconds": seconds, "kills": nemesis.killed.total()}
    _tell(result, sale, nemesis)
    result.expect_none("a pod's error", site.errors())
    return result


def _tell(result: Result, sale: Sale, nemesis: Nemesis) -> None:
    answers = sale.clients.outcomes
    others = {name for name in answers if name.isdigit()} - ANSWERS
    result.expect(not others, f"answers that should not be: {sorted(others)}")
    result.notes += [f"killed: {dict(nemesis.killed)}", f"answers: {dict(answers)}"]
    result.notes.append(f"accepted, and told so by a repeat: {sale.replayed}")


def judge(buyers: list[Buyer], ledger: Ledger, database: str) -> Result:
    """Compare what buyers were told with the owner's ledger."""
    states = Counter(buyer.state or _QUEUED for buyer in buyers if buyer.id)
    expected = {"accepted": BUYERS, "confirmed": UNITS, "rejected": BUYERS - UNITS, "stuck": 0}
    found = (len({buyer.id for buyer in buyers if buyer.id}), states[_CONFIRMED], states[_REJECTED], states[_QUEUED])
    result = Result("sale", database, dict(zip(expected, found, strict=True)))
    for name, number in expected.items():
        result.expect_equal(name, result.counts[name], number)
    result.expect_equal("other states", states.keys() - {_CONFIRMED, _REJECTED, _QUEUED}, set())
    _compare(buyers, ledger, result)
    return result


def _compare(buyers: list[Buyer], ledger: Ledger, result: Result) -> None:
    account, taken = ledger.skus[SKU], ledger.reservations
    live = sum(each.quantity or 0 for each in taken.values() if each.status == "deducted" and not each.released)
    result.counts["oversold"] = max(0, live - UNITS)
    result.expect_equal("the owner's quantity", account.quantity, 0)
    result.expect_equal("the owner's live deductions", account.deducted, UNITS)
    result.expect_equal("the owner's live deductions, one by one", live, UNITS)
    result.expect_equal("what the owner has, and has given", account.quantity + account.deducted, UNITS)
    strangers = taken.keys() - {buyer.id for buyer in buyers}
    result.expect(not strangers, f"reservations at the owner that no buyer knows: {len(strangers)}")
    told = {buyer.id: _FIRST_ANSWERS.get(buyer.state) for buyer in buyers if buyer.id}
    differing = [each for each, answer in told.items() if each not in taken or taken[each].status != answer]
    result.expect(not differing, f"told otherwise than the owner answered first: {len(differing)}, {differing[:3]}")
    result.expect_equal("what the owner's ledger has forgotten", ledger.forgotten, 0)
