"""Deducting over real sockets: from the sample stock service, and what each failure of another one becomes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from bff.demo.launch import environment
from bff.demo.product import PARTS
from clients.deduct import MAX_ANSWER_BYTES, Deductor, Item
from clients.errors import Garbled, NotSent, Postponed, Rejected, Throttled, Unavailable, Unknown, UpstreamError
from clients.http import Transport
from clients.source import Caller
from tests.service.sockets import eventually, transported
from tests.service.test_demo_sources import Source, running
from tests.service.test_demo_stock import FULL, account, ledger
from tests.service.test_transport import HALF, UNREACHABLE
from tests.upstreams import Script, Upstream, always, hang, raw, reset

CALLER = Caller("request-1", "0" * 31 + "1")
AMPLE = 5.0
SHORT = 0.1
ONE = (Item("a", "1001", 1),)
DONE = '{"results": [{"reservation_id": "a", "status": "deducted"}]}'


def to(deduct_url: str, release_url: str, transport: Transport) -> Deductor:
    return Deductor(deduct_url, release_url, transport, tuple, lambda: "00000000000000ab")


@asynccontextmanager
async def selling() -> AsyncIterator[tuple[Deductor, Source]]:
    """Run the sample stock service, and what deducts from it."""
    async with running() as sources:
        urls = environment({name: source.url for name, source in zip(PARTS, sources, strict=True)})
        deductor = to(urls["BFF_STOCK__DEDUCT_URL"], urls["BFF_STOCK__RELEASE_URL"], Transport())
        try:
            yield deductor, sources[2]
        finally:
            await deductor.aclose()


@asynccontextmanager
async def deducting(script: Script) -> AsyncIterator[tuple[Deductor, Transport, Upstream]]:
    async with transported(script) as (transport, up):
        yield to(f"{up.url}/deduct", f"{up.url}/release", transport), transport, up


Call = Callable[[Deductor, float], asyncio.Future[object]]


def deduct_one(deductor: Deductor, seconds: float) -> asyncio.Future[object]:
    return asyncio.ensure_future(deductor.deduct("batch", ONE, CALLER, seconds))


def release_one(deductor: Deductor, seconds: float) -> asyncio.Future[object]:
    return asyncio.ensure_future(deductor.release(["a"], CALLER, seconds))


CALLS = (deduct_one, release_one)


def items(*ids: str, quantity: int = 1, sku: str = "1001") -> list[Item]:
    return [Item(each, sku, quantity) for each in ids]


# from the sample stock service


async def test_each_item_is_answered_by_itself() -> None:
    async with selling() as (deductor, stock):
        await deductor.release(["d"], CALLER, AMPLE)
        batch = [*items("a", quantity=FULL), *items("b"), *items("c", sku="none"), *items("d")]
        said = {"a": "deducted", "b": "insufficient", "c": "unknown", "d": "released"}
        assert await deductor.deduct("batch", batch, CALLER, AMPLE) == said
        assert await account(stock) == (FULL, 0, FULL)


async def test_a_batch_that_is_sent_again_is_answered_the_same_and_takes_stock_once() -> None:
    async with selling() as (deductor, stock):
        batch = items("a", "b", quantity=100)
        said = [await deductor.deduct(batch_id, batch, CALLER, AMPLE) for batch_id in ("one", "one", "two")]
        assert said == [{"a": "deducted", "b": "insufficient"}] * 3
        assert await account(stock) == (FULL, 28, 100)


async def test_of_many_batches_at_once_as_much_is_deducted_as_there_is() -> None:
    async with selling() as (deductor, stock):
        batches = [items(*(f"{batch}-{number}" for number in range(50))) for batch in range(20)]
        calls = (deductor.deduct(f"{number}", batch, CALLER, AMPLE) for number, batch in enumerate(batches))
        said = Counter(status for found in await asyncio.gather(*calls) for status in found.values())
        assert said == {"deducted": FULL, "insufficient": 1000 - FULL}
        assert await account(stock) == (FULL, 0, FULL)


async def test_what_is_released_is_given_back_once() -> None:
    async with selling() as (deductor, stock):
        await deductor.deduct("batch", items("a", "b", quantity=10), CALLER, AMPLE)
        for _ in range(2):
            await deductor.release(["a"], CALLER, AMPLE)
        assert await account(stock) == (FULL, 118, 10)


async def repeated(deductor: Deductor, batch: Sequence[Item]) -> int:
    """Deduct until there is an answer and return how often that took."""
    for times in range(1, 100):
        try:
            found = await deductor.deduct("batch", batch, CALLER, AMPLE)
        except (Unknown, Unavailable, Garbled):
            continue
        assert found == {item.reservation_id: "deducted" for item in batch}
        return times
    raise AssertionError("never answered")


@pytest.mark.parametrize("faults", [{"lose_answers": 0.9}, {"error_rate": 0.9}], ids=["lost", "failed"])
async def test_a_batch_that_is_repeated_until_it_is_answered_takes_stock_once(faults: dict[str, float]) -> None:
    async with selling() as (deductor, stock):
        await stock.set(**faults)
        assert await repeated(deductor, items("a", "b", quantity=10)) > 1
        await stock.set()
        assert await account(stock) == (FULL, 108, 20)


@pytest.mark.parametrize(
    ("faults", "error", "done"),
    [
        ({"lose_answers": 1.0}, Unknown, True),
        ({"garbage": True}, Garbled, True),
        ({"error_rate": 1.0}, Unavailable, False),
        ({"hang": True}, Unknown, False),
    ],
    ids=["lost", "garbage", "failed", "hangs"],
)
async def test_after_an_error_the_ledger_says_what_nobody_else_knows(
    faults: dict[str, float],
    error: type[UpstreamError],
    done: bool,  # noqa: FBT001
) -> None:
    async with selling() as (deductor, stock):
        await stock.set(**faults)
        with pytest.raises(error):
            await deduct_one(deductor, 0.5 if "hang" in faults else AMPLE)
        assert ("a" in (await ledger(stock))["reservations"]) is done


async def test_a_release_that_is_answered_with_garbage_was_done() -> None:
    async with selling() as (deductor, stock):
        await stock.set(garbage=True)
        await release_one(deductor, AMPLE)
        await stock.set()
        assert await deductor.deduct("batch", ONE, CALLER, AMPLE) == {"a": "released"}


async def test_what_the_service_refuses_is_rejected() -> None:
    async with selling() as (deductor, stock):
        for batch in ([Item("", "1001", 1)], [Item("a", "1001", 0)]):
            with pytest.raises(Rejected):
                await deductor.deduct("batch", batch, CALLER, AMPLE)
        assert (await ledger(stock))["reservations"] == {}


# from one that the test plays


ERRORS: dict[str, tuple[Script, type[UpstreamError]]] = {
    **{f"{status}": (always(DONE, status), Unavailable) for status in (201, 202, 204, 500, 502, 503, 504)},
    **{f"{status}": (always(DONE, status), Rejected) for status in (301, 400, 401, 403, 404, 409, 415, 422)},
    "408": (always(DONE, 408), Postponed),
    "429": (always(DONE, 429), Throttled),
    "reset": (reset, Unknown),
    "closed before a byte": (raw(b""), Unknown),
    "broken off": (raw(HALF), Unknown),
    "no HTTP": (raw(b"garbage\r\n\r\n"), Unknown),
    "too large": (always("x" * (MAX_ANSWER_BYTES + 1)), Unknown),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("script", "error"), ERRORS.values(), ids=ERRORS)
async def test_an_end_that_is_no_answer_says_what_is_known_and_is_not_tried_again(
    call: Call, script: Script, error: type[UpstreamError]
) -> None:
    async with deducting(script) as (deductor, transport, up):
        with pytest.raises(UpstreamError) as caught:
            await call(deductor, AMPLE)
        assert type(caught.value) is error
        assert [seen.method for seen in up.seen] == ["POST"]
        await eventually(lambda: transport.open_connections == up.open_connections == 0)


async def test_an_answer_as_large_as_it_may_be_is_read() -> None:
    async with deducting(always(DONE.ljust(MAX_ANSWER_BYTES))) as (deductor, _, _up):
        assert await deduct_one(deductor, AMPLE) == {"a": "deducted"}


async def test_how_long_the_service_asks_to_be_left_alone_is_passed_on() -> None:
    async with deducting(always("x", 503, {"Retry-After": "7"})) as (deductor, _, _up):
        with pytest.raises(Unavailable) as caught:
            await deduct_one(deductor, AMPLE)
        assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("script", [hang, raw(HALF, close=False)], ids=["before the answer", "amid its body"])
async def test_one_time_bounds_the_whole_call(call: Call, script: Script) -> None:
    async with deducting(script) as (deductor, transport, up):
        with pytest.raises(Unknown, match="timeout"):
            await call(deductor, SHORT)
        await eventually(lambda: transport.open_connections == up.open_connections == 0)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("url", UNREACHABLE.values(), ids=UNREACHABLE)
async def test_a_connection_that_cannot_be_made_means_that_nothing_was_sent(call: Call, url: Callable[[], str]) -> None:
    transport = Transport()
    with pytest.raises(NotSent):
        await call(to(url(), url(), transport), AMPLE)
    assert transport.open_connections == 0


@pytest.mark.parametrize("call", CALLS)
async def test_no_time_at_all_means_that_nothing_was_sent(call: Call) -> None:
    async with deducting(always(DONE)) as (deductor, _, up):
        with pytest.raises(NotSent):
            await call(deductor, 0.0)
        assert not up.seen


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_that_is_cancelled_leaves_no_connection(call: Call) -> None:
    async with deducting(hang) as (deductor, transport, up):
        under_way = call(deductor, AMPLE)
        await eventually(lambda: len(up.seen) == 1)
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        await eventually(lambda: transport.open_connections == up.open_connections == 0)


async def test_each_call_goes_to_its_own_url_over_a_connection_of_its_own() -> None:
    async with deducting(always(DONE)) as (deductor, _, up):
        for call in CALLS:
            await call(deductor, AMPLE)
        assert [seen.target for seen in up.seen] == ["/deduct", "/release"]
        assert up.accepted == 2
