"""Idempotency keys: used by many at once, for something else, and by who was cut off by a kill."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from tests.consistency.client import Answer
from tests.durable.asking import IN_USE, Clients, Request, change, is_replayed, reserve
from tests.durable.ledger import Owners
from tests.durable.nemesis import Nemesis
from tests.durable.pods import Pod, Site
from tests.durable.report import Result

AT_ONCE = 200
KEYS, TIMES = 20, 10  # of the crowd with several keys, each of which both API pods are asked with at the same time
STOCK = 100_000
ONE, SEVERAL, CUT = "G7200001", "G7200002", ("G7200003", "G7200004", "G7200005")
CUT_KEYS = 20
CUT_SECONDS = (0.0, 0.06)  # into what is under way
RETRY_SECONDS, SETTLE_SECONDS = 10.0, 60.0
FAULTS = {"delay_ms": 20}


def _price(sku: str, key: str, price: int = 1) -> Request:
    return change({"sku_id": sku, "price": {"price": price}}, key)


KINDS: dict[str, Callable[[str, str, int], Request]] = {"reservations": reserve, "changes": _price}


class Trial:
    """Keys that are tried out. ids: of what was accepted, by kind; slowest: seconds from a kill to an answer."""

    def __init__(self, site: Site, random: Random, say: Callable[[str], None]) -> None:
        self.result = Result("keys", site.database)
        self.clients = Clients(site.apis, AT_ONCE, random)
        self.nemesis = Nemesis(site, random, say)
        self.ids: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self.slowest = 0.0
        self._site = site
        self._random = random

    def __repr__(self) -> str:
        return f"<Trial {self.result}>"

    async def one_key(self, kind: str) -> None:
        """Have many ask at once with one key, and then for something else."""
        ask = KINDS[kind]
        await self._at_once(kind, [ask(ONE, kind, 1)] * AT_ONCE, 1)
        again = await self.clients.insist(ask(ONE, kind, 1))
        self.result.expect(is_replayed(again), f"a repeat was answered as if it were none: {again}")
        others = (ask(ONE, kind, 2), ask(SEVERAL, kind, 1))
        statuses = [(await self.clients.insist(other)).status for other in others]
        self.result.expect_equal(f"{kind}, answers to the key with something else", statuses, [422, 422])

    async def several_keys(self, kind: str) -> None:
        """Have many ask at once with several keys, each of them at every pod."""
        requests = [KINDS[kind](SEVERAL, f"{kind}-{number % KEYS}", 1) for number in range(KEYS * TIMES)]
        self._random.shuffle(requests)
        await self._at_once(kind, requests, KEYS)

    async def cut_off(self, sku: str) -> None:
        """Kill who is asked, in the middle of it; start him again at once, and ask again until there is an answer."""
        asked = [(kind, ask(sku, f"{sku}-{kind}-{nth}", 1)) for nth in range(CUT_KEYS) for kind, ask in KINDS.items()]
        asking = [asyncio.ensure_future(self._timed(request)) for _, request in asked]
        await asyncio.sleep(self._random.uniform(*CUT_SECONDS))
        killed_at = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._restart(pod) for pod in self._site.apis))
        answered = await asyncio.gather(*asking)
        self.slowest = max(self.slowest, *(at - killed_at for _, at in answered))
        for kind in KINDS:
            answers = [answer for (each, _), (answer, _) in zip(asked, answered, strict=True) if each == kind]
            self._note(kind, answers, CUT_KEYS)

    async def states(self) -> list[str]:
        """Wait until all that was accepted has ended, and return how."""
        paths = [f"/api/v1/{kind}/{each}" for kind, ids in self.ids.items() for each in ids]
        return list(await asyncio.gather(*(self._end(path) for path in paths)))

    async def _at_once(self, kind: str, requests: Sequence[Request], keys: int) -> None:
        """Ask all at once, once each, and then until each key has an answer."""
        answers = await asyncio.gather(*(self.clients.ask(request) for request in requests))
        statuses = Counter(answer.status for answer in answers)
        told = f"{kind}, {len(requests)} at once with {keys} keys: {dict(statuses)}"
        self.result.notes.append(told)
        self.result.expect(all(200 <= status < 300 or status == IN_USE for status in statuses), told)
        answers += await asyncio.gather(*(self.clients.insist(request) for request in dict.fromkeys(requests)))
        self._note(kind, [answer for answer in answers if answer.status != IN_USE], keys)

    def _note(self, kind: str, answers: Sequence[Answer], keys: int) -> None:
        accepted = [json.loads(answer.body)["id"] for answer in answers if answer.status == 202]
        self.result.expect_equal(f"{kind}, not accepted", len(answers) - len(accepted), 0)
        self.result.expect_equal(f"{kind}, accepted with {keys} keys", len(set(accepted)), keys)
        self.ids[kind].update(accepted)

    async def _timed(self, request: Request) -> tuple[Answer, float]:
        return await self.clients.insist(request), asyncio.get_running_loop().time()

    async def _restart(self, pod: Pod) -> None:
        await self.nemesis.kill(pod)
        await pod.launch()
        await pod.listening()

    async def _end(self, path: str) -> str:
        while (state := str((await self.clients.look(path))["state"])) in ("queued", "pending", "running"):
            await asyncio.sleep(0.2)
        return state


async def try_keys(site: Site, owners: Owners, random: Random, say: Callable[[str], None]) -> Result:
    """Try keys out, and compare with what the owners have done."""
    for sku in (ONE, SEVERAL, *CUT):
        await owners.put("stock", sku, quantity=STOCK)
    await owners.misbehave(**FAULTS)
    trial, loop = Trial(site, random, say), asyncio.get_running_loop()
    result, began = trial.result, loop.time()
    for kind in KINDS:
        await trial.one_key(kind)
        await trial.several_keys(kind)
    for sku in CUT:
        await trial.cut_off(sku)
    result.expect(trial.slowest <= RETRY_SECONDS, f"cut off, and answered only {trial.slowest:.1f} s later")
    async with asyncio.timeout(SETTLE_SECONDS):
        states = await trial.states()
    trial.clients.close()
    await _compare(trial, states, owners)
    result.counts |= {"seconds": round(loop.time() - began), "kills": trial.nemesis.killed.total(), "stuck": 0}
    result.notes += [f"slowest answer after a kill: {trial.slowest:.1f} s", f"answers: {dict(trial.clients.outcomes)}"]
    result.expect_none("a pod's error", site.errors())
    return result


async def _compare(trial: Trial, states: Sequence[str], owners: Owners) -> None:
    result, keys = trial.result, 1 + KEYS + len(CUT) * CUT_KEYS
    result.counts |= {"accepted": len(states), "confirmed": states.count("confirmed")}
    result.counts["succeeded"] = states.count("succeeded")
    result.expect_equal("states", set(states), {"confirmed", "succeeded"})
    taken = (await owners.ledger("stock")).reservations
    result.expect(taken.keys() == trial.ids["reservations"], "reservations at the owner that nobody was told of")
    written = Counter((write.key or "")[1:33] for write in (await owners.ledger("price")).writes)
    result.expect_equal("what changes have written, and how often", written, Counter(trial.ids["changes"]))
    result.counts["twice"] = max(0, len(taken) - keys) + max(0, written.total() - keys)
    result.expect_equal("effects twice", result.counts["twice"], 0)
