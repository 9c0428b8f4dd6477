"""A write's way: what is asked of the fence and of the owner, in which order, when, and what is said of its end."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx  # noqa: TID251 - the test plays the transport
import pytest

from bff.product.fence import Mark, Untold
from bff.product.parts import SourceName
from bff.product.writing import Declined, Failed, Outcome, Owner, Stored, Unanswered, Unwritten, Write, Writing
from bff.resilience.breaker import BreakerPolicy, Circuit
from clients import stock
from clients.given import read_given
from clients.shape import Shape
from clients.source import Caller, Contract, Source
from clients.write import Writer

CALLER = Caller("request-1", "0" * 31 + "1")
SECONDS = 5.0
GIVEN = read_given("stock", b'{"quantity": 3}', "7")
Play = Callable[[httpx.Request], Awaitable[httpx.Response]]


class Owning(httpx.AsyncBaseTransport):
    """An owner that is written to. plays: an end for each time, the last one for all later ones."""

    def __init__(self, *plays: Play) -> None:
        self._plays = list(plays)
        self.seen: list[tuple[float, httpx.Request]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((asyncio.get_running_loop().time(), request))
        return await (self._plays.pop(0) if len(self._plays) > 1 else self._plays[0])(request)


class Fencing:
    """A fence that notes what is asked of it. untold: of which; seconds: that each takes."""

    def __init__(self, *untold: str, seconds: float = 0.0) -> None:
        self._untold = untold
        self._seconds = seconds
        self.asked: list[tuple[str, float]] = []
        self.marked: list[tuple[str, str, float]] = []

    async def forget(self, skus: object, sources: object) -> None:
        raise AssertionError("a write marks")

    async def mark(self, source: SourceName, sku: str, seconds: float) -> Mark:
        self.marked.append((source, sku, seconds))
        await self._do("mark")
        return Mark(source, sku, b"token")

    async def lift(self, mark: Mark) -> None:
        assert mark == Mark("stock", "7", b"token")
        await self._do("lift")

    async def _do(self, what: str) -> None:
        self.asked.append((what, asyncio.get_running_loop().time()))
        await asyncio.sleep(self._seconds)
        if what in self._untold:
            raise Untold


class Site:
    """Writing to one owner, on the clock of the running loop."""

    def __init__(self, *plays: Play, fence: Fencing | None = None) -> None:
        clock = asyncio.get_running_loop().time
        contract = Contract("http://owner.test/{sku}", stock.read, Shape(), frozenset({404}), 1000, tuple)
        self.transport = Owning(*plays)
        self.fence = fence or Fencing()
        self.circuit = Circuit(BreakerPolicy(0.5, 1, 10, 5, 1), clock)
        self.numbers = iter(range(100))
        writer = Writer("stock", contract, self.transport, lambda: "00000000000000ab")
        source = Source(contract, self.transport, lambda: "00000000000000ab")
        owner = Owner(source, writer, self.circuit, SECONDS)
        self.writing = Writing({"stock": owner}, self.fence, clock, lambda: f"key-{next(self.numbers)}")

    async def write(self, if_match: str | None = None) -> Outcome:
        return await self.writing.write(Write("stock", "7", GIVEN, CALLER, if_match))

    @property
    def keys(self) -> list[str]:
        return [request.headers["idempotency-key"] for _, request in self.transport.seen]

    @property
    def asked(self) -> list[str]:
        return [what for what, _ in self.fence.asked]


def answer(status: int, body: bytes = b"", after: float = 0.0) -> Play:
    async def play(request: httpx.Request) -> httpx.Response:
        request.extensions["sending"]()
        await asyncio.sleep(after)
        return httpx.Response(status, content=body)

    return play


async def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


async def refuse_late(request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(SECONDS / 2)
    raise httpx.ConnectError("refused", request=request)


async def break_off(request: httpx.Request) -> httpx.Response:
    request.extensions["sending"]()
    raise httpx.ReadError("broken off", request=request)


FOUR = b'{"sku_id":"7","quantity":4,"available":true}'
ENDS: dict[str, tuple[Play, Outcome, list[str]]] = {
    "stored as the owner says": (answer(200, FOUR), Stored(FOUR), ["mark", "lift"]),
    "created as the owner says": (answer(201, FOUR), Stored(FOUR), ["mark", "lift"]),
    "stored as it was sent": (answer(204), Stored(GIVEN.shown), ["mark", "lift"]),
    "stored, and garbage": (answer(200, b"<html>"), Stored(GIVEN.shown), ["mark", "lift"]),
    **{f"{status}": (answer(status), Declined(status), ["mark", "lift"]) for status in (404, 409, 412, 422)},
    **{f"{status}": (answer(status), Failed(open=False), ["mark", "lift"]) for status in (301, 400, 401, 403)},
    **{f"{status}": (answer(status), Failed(open=False, passing=True), ["mark", "lift"]) for status in (408, 425, 429)},
    **{f"{status}": (answer(status), Failed(open=True), ["mark"]) for status in (500, 503)},
    "202": (answer(202), Failed(open=True, vague=True), ["mark"]),
    "broken off": (break_off, Unanswered(), ["mark"]),
    "late": (answer(200, FOUR, after=SECONDS + 1), Unanswered(), ["mark"]),
    "unreachable": (refuse, Unwritten("unreachable"), ["mark", "lift"]),
}


@pytest.mark.parametrize(("play", "outcome", "asked"), ENDS.values(), ids=ENDS)
async def test_an_end_is_said_and_the_mark_is_left_where_nobody_knows(
    play: Play, outcome: Outcome, asked: list[str]
) -> None:
    site = Site(play)
    assert await site.write() == outcome
    assert site.asked == asked
    assert site.fence.marked == [("stock", "7", 2 * SECONDS)]


@pytest.mark.parametrize(("play", "outcome", "_asked"), ENDS.values(), ids=ENDS)
async def test_a_mark_that_cannot_be_lifted_matters_to_what_is_stored_alone(
    play: Play, outcome: Outcome, _asked: list[str]
) -> None:
    expected = Stored(outcome.part, confirmed=False) if isinstance(outcome, Stored) else outcome
    assert await Site(play, fence=Fencing("lift")).write() == expected


async def test_nothing_is_written_where_not_every_pod_could_be_told() -> None:
    site = Site(answer(200, FOUR), fence=Fencing("mark"))
    assert await site.write() == Unwritten("untold")
    assert (site.asked, site.transport.seen) == (["mark"], [])


async def test_nothing_is_written_while_the_circuit_of_the_reads_is_open_and_it_does_not_stay_so_without_reads() -> (
    None
):
    site = Site(answer(200, FOUR))
    site.circuit.settle(site.circuit.acquire(), "bad")
    await asyncio.sleep(4.9)
    assert await site.write() == Unwritten("circuit_open")
    assert (site.asked, site.transport.seen) == ([], [])
    await asyncio.sleep(0.1)
    assert await site.write() == Stored(FOUR)
    assert site.circuit.state == "half_open"


async def test_a_write_takes_no_probe_from_the_reads() -> None:
    site = Site(answer(500))
    site.circuit.settle(site.circuit.acquire(), "bad")
    await asyncio.sleep(5)
    await site.write()
    site.circuit.settle(site.circuit.acquire(), "good")
    assert site.circuit.state == "closed"


async def test_what_never_left_is_sent_once_more_under_its_own_key() -> None:
    site = Site(refuse, answer(200, FOUR))
    assert [await site.write(), await site.write()] == [Stored(FOUR), Stored(FOUR)]
    assert site.keys == ['"key-0"', '"key-0"', '"key-1"']


@pytest.mark.parametrize("play", [break_off, answer(500), answer(429), answer(412)])
async def test_what_may_have_arrived_is_sent_once(play: Play) -> None:
    site = Site(play)
    await site.write()
    assert len(site.transport.seen) == 1


async def test_it_is_not_sent_again_where_no_time_is_left() -> None:
    site = Site(refuse_late, refuse_late, answer(200))
    assert await site.write() == Unwritten("unreachable")
    assert [time for time, _ in site.transport.seen] == [0.0, SECONDS / 2]


async def test_the_marking_is_in_the_time_of_the_whole_and_the_owner_is_told_what_is_left() -> None:
    site = Site(answer(200, FOUR, after=10), fence=Fencing(seconds=2))
    assert await site.write() == Unanswered()
    assert asyncio.get_running_loop().time() == SECONDS
    ((_, request),) = site.transport.seen
    assert request.headers["x-request-timeout-ms"] == "3000"


async def test_nothing_is_sent_where_marking_took_all_the_time() -> None:
    site = Site(answer(200, FOUR), fence=Fencing(seconds=SECONDS))
    assert await site.write() == Unwritten("unreachable")
    assert (site.asked, site.transport.seen) == (["mark", "lift"], [])


async def test_it_is_stored_when_the_fence_is_lifted_and_not_before() -> None:
    site = Site(answer(200, FOUR, after=1), fence=Fencing(seconds=1))
    await site.write()
    assert site.fence.asked == [("mark", 0.0), ("lift", 2.0)]
    assert asyncio.get_running_loop().time() == 3.0


async def test_what_the_owner_must_still_hold_is_passed_on() -> None:
    site = Site(answer(412))
    assert await site.write('"a", "b"') == Declined(412)
    assert site.transport.seen[0][1].headers["if-match"] == '"a", "b"'


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("seconds", [0.0, 1.0])
async def test_a_write_goes_on_to_its_end_whenever_its_caller_leaves(turns: int, seconds: float) -> None:
    site = Site(answer(200, FOUR, after=1), fence=Fencing(seconds=seconds))
    call = asyncio.ensure_future(site.write())
    for _ in range(turns):
        await asyncio.sleep(0 if seconds == 0 else 0.4)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await site.writing.aclose()
    started = turns > 0
    assert site.asked == (["mark", "lift"] if started else [])
    assert len(site.transport.seen) == int(started)
    assert repr(site.writing) == "<Writing 0 to stock>"


async def test_closing_waits_for_what_is_under_way() -> None:
    site = Site(answer(200, FOUR, after=1))
    call = asyncio.ensure_future(site.write())
    await asyncio.sleep(0)
    await site.writing.aclose()
    assert asyncio.get_running_loop().time() == 1.0
    assert await call == Stored(FOUR)


async def test_only_sources_with_an_owner_are_taken() -> None:
    writing = Site(answer(200)).writing
    assert [source for source in ("info", "price", "stock") if writing.takes(source)] == ["stock"]
