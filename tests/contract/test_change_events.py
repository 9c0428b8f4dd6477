"""The contract: what happens to a change, as `text/event-stream`."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

from bff.api.changeevents import MOST_STREAMS, Streams
from bff.durable.desk import Desk
from bff.durable.journal import Event
from tests.contract.durable import CHANGES, GENEROUS_SECONDS, ask, changing, ends, gated, holds, look, send
from tests.contract.owners import Owners
from tests.contract.streams import Stream, Told, following
from tests.contract.test_problems import is_problem
from tests.harness import until
from tests.upstreams import always

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
EVENTS = {
    "accepted", "started", "step_started", "step_done", "step_failed", "step_compensated", "cancel_requested", "ended",
}  # fmt: skip
BOTH: dict[str, Any] = {"sku_id": "1001", "price": {"price": 8}, "stock": {"quantity": 5}}


def short(told: list[Told]) -> list[tuple[str, str | None, str | None]]:
    return [(each.event, each.data["step"], each.data["state"]) for each in told]


def are_well_formed(told: list[Told], first: int = 1) -> None:
    assert [each.id for each in told] == list(range(first, first + len(told)))
    for each in told:
        assert each.event in EVENTS
        assert each.data.keys() == {"seq", "at", "step", "state", "cause"}
        assert each.data["seq"] == each.id
        assert TIME.fullmatch(each.data["at"])
    times = [each.data["at"] for each in told]
    assert times == sorted(times)


SUCCESS = [
    ("accepted", None, "pending"), ("started", None, "running"), ("step_started", "price", "running"),
    ("step_done", "price", "done"), ("step_started", "stock", "running"), ("step_done", "stock", "done"),
    ("ended", None, "succeeded"),
]  # fmt: skip


async def test_all_that_happens_is_told_as_it_happens_and_then_the_stream_ends() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.stock.writes.append(gated(gate, owners.stock.store))
    async with changing(owners) as service:
        answer = await ask(service, BOTH, "k")
        async with following(service, answer.headers["location"]) as stream:
            assert stream.status == 200
            assert stream.headers["content-type"] == "text/event-stream"
            assert stream.headers["cache-control"] == "no-store"
            assert stream.headers["x-request-id"]
            told = [each for _ in range(5) if (each := await stream.next())]
            assert short(told) == SUCCESS[:5]
            gate.set()
            told += await stream.rest()
        are_well_formed(told)
        assert short(told) == SUCCESS
        assert all(each.data["cause"] is None for each in told)
        async with following(service, answer.headers["location"]) as again:
            assert await again.rest() == told
        change = await look(service, answer.headers["location"])
        assert (change["created_at"], change["updated_at"]) == (told[0].data["at"], told[-1].data["at"])
        assert change["steps"][0]["started_at"] == told[2].data["at"]


async def test_a_failure_and_its_compensation_are_told_with_their_causes() -> None:
    owners = Owners()
    owners.price.writes.append(always("", 500))
    owners.stock.writes.append(always("", 409))
    async with changing(owners) as service:
        answer = await ask(service, BOTH, "k")
        change = await ends(service, answer)
        async with following(service, answer.headers["location"]) as stream:
            told = await stream.rest()
    are_well_formed(told)
    assert short(told) == [
        *SUCCESS[:3], ("step_started", "price", "running"), *SUCCESS[3:5], ("step_failed", "stock", "failed"),
        ("step_compensated", "price", "compensated"), ("ended", None, "compensated"),
    ]  # fmt: skip
    failed, _, ended = told[-3:]
    assert (failed.data["cause"], ended.data["cause"]) == (change["steps"][1]["error"], change["error"])


async def test_a_cancel_is_told_once_and_so_is_its_end() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.price.writes.append(gated(gate, owners.price.store))
    async with changing(owners) as service:
        running, waiting = [await ask(service, BOTH, key) for key in ("a", "b")]
        await holds(lambda: [seen for seen in service.price.seen if seen.method == "PUT"])
        for answer in (running, running, waiting):
            assert (await send(service, "DELETE", answer.headers["location"])).status == 202
        gate.set()
        told = []
        for answer in (running, waiting):
            async with following(service, answer.headers["location"]) as stream:
                told.append(await stream.rest())
    for each in told:
        are_well_formed(each)
    assert short(told[0]) == [
        *SUCCESS[:3], ("cancel_requested", None, None), ("step_done", "price", "done"),
        ("step_compensated", "price", "compensated"), ("ended", None, "cancelled"),
    ]  # fmt: skip
    assert short(told[1]) == [SUCCESS[0], ("cancel_requested", None, None), ("ended", None, "cancelled")]


GARBAGE = ["", "x", "-1", "+3", "3.0", "0x3", "0", "\u0663".encode().decode("latin-1"), "3 4", "null"]
HUGE = ["7", "8", "999999999", "1000000000", "9" * 19, "9" * 400, "9" * 5000]


async def test_it_goes_on_after_the_last_event_that_was_seen_and_begins_anew_after_none() -> None:
    async with changing(Owners()) as service:
        answer = await ask(service, BOTH, "k")
        await ends(service, answer)
        location = answer.headers["location"]
        for last in range(7):
            for written in (f"{last}", f"00{last}"):
                async with following(service, location, ("Last-Event-ID", written)) as stream:
                    told = await stream.rest()
                are_well_formed(told, last + 1)
                assert short(told) == SUCCESS[last:]
        for garbage in GARBAGE:
            async with following(service, location, ("Last-Event-ID", garbage)) as stream:
                assert (stream.status, len(await stream.rest())) == (200, 7)
        for past in HUGE:
            for method in ("GET", "HEAD"):
                answer = await send(service, method, f"{location}/events", ("Last-Event-ID", past))
                assert (answer.status, answer.body, past) == (204, b"", past)


async def test_who_says_to_have_seen_what_has_not_happened_is_told_what_does() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.stock.writes.append(gated(gate, owners.stock.store))
    async with changing(owners) as service:
        answer = await ask(service, BOTH, "k")
        await holds(lambda: [seen for seen in service.stock.seen if seen.method == "PUT"])
        for last in ("6", "1000", "9" * 30):
            async with following(service, answer.headers["location"], ("Last-Event-ID", last)) as stream:
                assert stream.status == 200
        async with following(service, answer.headers["location"], ("Last-Event-ID", "9" * 30)) as stream:
            gate.set()
            assert short(await stream.rest()) == SUCCESS[5:]


async def test_head_has_the_head_alone_and_an_unknown_change_is_404() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.stock.writes.append(gated(gate, owners.stock.store))
    async with changing(owners) as service:
        answer = await ask(service, BOTH, "k")
        async with asyncio.timeout(GENEROUS_SECONDS):
            head = await send(service, "HEAD", f"{answer.headers['location']}/events")
        assert (head.status, head.headers["content-type"], head.body) == (200, "text/event-stream", b"")
        unknown = f"{CHANGES}/{'0' * 32}/events"
        is_problem(await send(service, "GET", unknown, ("Accept", "text/event-stream")), 404, "route-unknown", unknown)
        gate.set()
        await ends(service, answer)


async def test_a_stop_of_the_service_ends_open_streams_cleanly_and_waits_for_none() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.stock.writes.append(gated(gate, owners.stock.store))
    async with AsyncExitStack() as streams:
        async with asyncio.timeout(2 * GENEROUS_SECONDS), changing(owners, grace_seconds="600") as service:
            answer = await ask(service, BOTH, "k")
            opened = [await streams.enter_async_context(following(service, answer.headers["location"])) for _ in "123"]
            for stream in opened:
                for _ in range(5):
                    assert await stream.next()
            last = asyncio.ensure_future(asyncio.gather(*(stream.next() for stream in opened)))
            last.add_done_callback(lambda _: gate.set())
        assert await last == [None, None, None]


async def test_while_nothing_happens_a_comment_comes_every_15_s() -> None:
    class Quiet:
        async def follow(self, change_id: str, after: int) -> AsyncIterator[list[Event]]:
            for _ in range(40):
                seconds.append(seconds[-1] + 1)
                yield []

    seconds = [0]
    streams = Streams(cast(Desk, Quiet()), lambda: seconds[-1])
    comments = []
    async for said in streams.stream("x", 0):
        assert said.startswith(b":") and said.endswith(b"\n\n") and said.count(b"\n") == 2
        comments.append(seconds[-1])
    assert comments == [15, 30]


async def test_there_are_so_many_streams_and_who_leaves_makes_room() -> None:
    owners, gate = Owners(), asyncio.Event()
    owners.stock.writes.append(gated(gate, owners.stock.store))
    async with changing(owners) as service:
        answer = await ask(service, BOTH, "k")
        location = answer.headers["location"]
        opened = [following(service, location) for _ in range(MOST_STREAMS)]
        streams: list[Stream] = []
        for each in opened:
            streams.append(await each.__aenter__())
            assert await streams[-1].next()
        full = await send(service, "GET", f"{location}/events")
        is_problem(full, 503, "overloaded", f"{location}/events")
        assert int(full.headers["retry-after"]) >= 1
        streams[0].close()

        async def there_is_room() -> bool:
            async with following(service, location) as stream:
                return stream.status == 200

        await until(there_is_room, GENEROUS_SECONDS)
        for each in opened:
            await each.__aexit__(None, None, None)
        gate.set()
        await ends(service, answer)
