"""The listener's protocol where a request is taken where its head was parsed, and answered later."""

import asyncio
import contextlib
import gc
import itertools
import socket
import weakref

import pytest

from bff.exchange import Answer, Exchange, Field, Later
from bff.outbox import MAX_PARTS
from tests.service import test_protocol_ways
from tests.service.sockets import LONGER_THAN_ANY, eventually
from tests.service.test_protocol import answer, asking
from tests.service.test_protocol_leaving import LEAVES, Leave
from tests.service.test_protocol_leaving import connected as connected_socket
from tests.service.test_protocol_ways import BIG, connected, listening


class Question:
    """Answered by the test; keeps what it is told."""

    def __init__(self, target: bytes, later: Later) -> None:
        self.target = target
        self.told: list[str] = []
        self.exchange = later(self)

    def answer(self) -> None:
        self.exchange.answer(self._saying(BIG if b"big" in self.target else b"later: " + self.target))

    def left(self) -> None:
        self.told.append("left")

    def stopped(self) -> Answer:
        self.told.append("stopped")
        return self._saying(b"stopped")

    def _saying(self, body: bytes) -> Answer:
        return 200, [(b"content-length", b"%d" % len(body))], body


class Site(test_protocol_ways.Site):
    """Has the test answer what is asked for under /later."""

    def __init__(self) -> None:
        super().__init__()
        self.later: dict[str, Question] = {}
        self.release.set()  # what is left to the application is answered there

    def quick(  # type: ignore[override] # it has one more way to answer
        self, target: bytes, sent: list[Field], later: Later
    ) -> Answer | Exchange | None:
        if not target.startswith(b"/later"):
            return super().quick(target, sent, later)
        self.later[target.decode()] = question = Question(target, later)
        return question.exchange

    async def asked(self, name: str) -> Question | None:
        """Wait for a question; None where it is left to the application."""
        await eventually(lambda: name in self.later or name in self.whole_way)
        return self.later.get(name)

    async def taken(self, name: str) -> Question:
        question = await self.asked(name)
        assert question is not None
        return question


async def test_it_is_answered_when_its_answer_is_given_dated_and_without_the_application() -> None:
    site = Site()
    async with connected(site) as (reader, writer, listener):
        writer.write(asking("/later"))
        question = await site.taken("/later")
        assert (repr(question.exchange), listener.server_state.total_requests) == ("<Exchange open>", 0)
        question.answer()
        question.answer()  # goes nowhere
        head, body = await answer(reader)
        assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
        assert (b"connection" in head, body, repr(question.exchange)) == (False, b"later: /later", "<Exchange ended>")
        writer.write(asking("/quick"))
        assert (await answer(reader))[1] == b"at once: /quick"
    assert (site.whole_way, question.told) == ([], [])


ORDERS = [
    *map(list, itertools.permutations(["/later", "/quick", "/whole"])),
    ["/quick1", "/later2", "/later3", "/quick4"],
    ["/whole1", "/later2", "/big3", "/later4", "/big5"],
    [*(f"/quick{number}" for number in range(2 * MAX_PARTS + 1)), "/later", "/quick"],
]


@pytest.mark.parametrize("sent", ["in one packet", "apart", "one after another"])
@pytest.mark.parametrize("targets", ORDERS, ids=lambda targets: "".join(targets[-5:]))
async def test_answers_come_one_by_one_in_the_order_of_their_requests(targets: list[str], sent: str) -> None:
    site = Site()
    async with connected(site) as (reader, writer, listener):
        if sent == "in one packet":
            writer.write(b"".join(map(asking, targets)))
        for target in targets if sent == "apart" else []:
            writer.write(asking(target))
            await asyncio.sleep(0.01)
        for before, target in enumerate(targets):
            if sent == "one after another":
                writer.write(asking(target))
            if target.startswith("/later") and (question := await site.asked(target)):
                assert listener.server_state.total_requests == before
                question.answer()
            body = (await answer(reader))[1]
            assert body == BIG if target.startswith("/big") else body.endswith(target.encode())
    assert sorted([*site.at_once, *site.later, *site.whole_way]) == sorted(targets)  # each once


async def test_after_an_answer_that_closes_nothing_more_is_asked_or_answered() -> None:
    site = Site()
    async with connected(site) as (reader, writer, _):
        writer.write(asking("/later", Connection="close") + asking("/quick-more") + asking("/whole-more"))
        (await site.taken("/later")).answer()
        head, body = await answer(reader)
        assert (b"connection: close" in head, body, await reader.read()) == (True, b"later: /later", b"")
    assert site.at_once + site.whole_way == []


@pytest.mark.parametrize("sent", [{"method": "POST"}, {"version": "1.0"}], ids=["another method", "an older version"])
async def test_what_is_more_than_a_plain_get_is_left_to_the_application(sent: dict[str, str]) -> None:
    site = Site()
    async with connected(site) as (reader, writer, _):
        writer.write(asking("/later", **sent))
        assert (await answer(reader))[1] == b"whole: /later"
    assert site.later == {}


@LEAVES
@pytest.mark.parametrize("leaves", ["long before", "just before", "after"])
async def test_who_answers_hears_once_of_a_client_that_left_and_breaks_nothing(leaves: str, leave: Leave) -> None:
    class Answering(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            question.answer()
            theirs.close()

    site, loop = Site(), asyncio.get_running_loop()
    async with listening(site) as (listener, address), connected_socket(address) as client:
        ours, theirs = socket.socketpair()
        side, _ = await loop.create_connection(Answering, sock=ours)
        with contextlib.closing(side):
            await loop.sock_sendall(client, asking("/later"))
            question = await site.taken("/later")
            if leaves != "after":
                leave(client)
            if leaves == "long before":
                await eventually(lambda: question.told == ["left"])
            theirs.send(b"now")  # what was done since the last wait is there when the loop looks next, in this order
            if leaves == "after":
                leave(client)
            await eventually(lambda: theirs.fileno() < 0 and not listener.server_state.connections)
    assert (repr(question.exchange), listener.server_state.tasks) == ("<Exchange ended>", set())
    assert question.told == ["left"] or (question.told == [] and leaves != "long before")


@pytest.mark.parametrize("in_time", [True, False], ids=["answered", "not answered"])
async def test_a_stop_waits_for_an_answer_and_asks_for_it_at_the_end_of_its_grace(*, in_time: bool) -> None:
    async def client() -> None:
        with contextlib.closing(writer), contextlib.closing(other):
            assert await idle.read() == b""  # the stop has begun
            if in_time:
                await asyncio.sleep(0.3)  # longer than uvicorn looks away
                order.append("answered")
                question.answer()
            (head, body), said = await answer(reader), b"later: /later" if in_time else b"stopped"
            assert (b"connection: close" in head, body, await reader.read()) == (True, said, b"")

    site, order, grace = Site(), list[str](), LONGER_THAN_ANY if in_time else 0.01
    async with asyncio.timeout(LONGER_THAN_ANY), asyncio.TaskGroup() as group:
        async with listening(site, timeout_graceful_shutdown=grace) as (listener, address):
            (reader, writer), (idle, other) = [await asyncio.open_connection(*address) for _ in range(2)]
            writer.write(asking("/later") + (b"" if in_time else asking("/quick")))  # there is no time for another
            question = await site.taken("/later")
            group.create_task(client())
        order.append("stopped")
    question.answer()  # goes nowhere
    assert (question.told, order) == (([], ["answered", "stopped"]) if in_time else (["stopped"], ["stopped"]))
    assert listener.server_state.tasks == set()


async def test_a_connection_is_closed_as_idle_but_not_while_an_answer_is_pending_or_half_a_request_has_come() -> None:
    site, half = Site(), 20
    async with connected(site, timeout_keep_alive=0.2) as (reader, writer, _):
        writer.write(asking("/later1"))
        for target, following in (("/later1", "/later2"), ("/later2", "/later3")):
            question = await site.taken(target)
            await asyncio.sleep(0.5)
            question.answer()
            writer.write(asking(following)[:half])
            assert (await answer(reader))[1] == f"later: {target}".encode()
            await asyncio.sleep(0.5)
            writer.write(asking(following)[half:])
        (await site.taken("/later3")).answer()
        assert ((await answer(reader))[1], await reader.read()) == (b"later: /later3", b"")


async def test_many_answers_of_one_turn_arrive_whole() -> None:
    site, names = Site(), [f"/later{'-big' * (number % 10 == 0)}{number}" for number in range(100)]
    async with listening(site) as (_, address):
        streams = [await asyncio.open_connection(*address) for _ in names]
        for name, (_, writer) in zip(names, streams, strict=True):
            writer.write(asking(name))
        for question in [await site.taken(name) for name in names]:
            question.answer()
        for name, (reader, writer) in zip(names, streams, strict=True):
            assert (await answer(reader))[1] == (BIG if "big" in name else f"later: {name}".encode())
            writer.close()


async def test_a_client_that_does_not_read_is_not_answered_on_and_on() -> None:
    site, loop, number = Site(), asyncio.get_running_loop(), 0
    async with listening(site) as (listener, address), connected_socket(address) as full:
        while number == len(site.later):
            number += 1
            await loop.sock_sendall(full, asking(f"/later-big{number}"))
            if question := await site.asked(f"/later-big{number}"):
                question.answer()
        await loop.sock_sendall(full, asking("/big") * 1000)
        await asyncio.sleep(0.2)
        assert listener.server_state.total_requests == len(site.later) < 100  # some megabytes, mostly the kernel's
        while listener.server_state.total_requests < number + 1000:  # it reads after all
            await loop.sock_recv(full, 2**20)


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "left"])
async def test_a_connection_and_its_exchange_leave_nothing_that_only_a_collection_would_free(*, answered: bool) -> None:
    site = Site()
    async with listening(site) as (listener, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(asking("/whole"))
        await answer(reader)
        writer.write(asking("/later"))
        question = weakref.ref(await site.taken("/later"))
        (connection,) = map(weakref.ref, listener.server_state.connections)
        gc.disable()
        try:
            if answered:
                site.later["/later"].answer()
                await answer(reader)
            writer.close()
            site.later.clear()
            await eventually(lambda: connection() is None and question() is None)
        finally:
            gc.enable()
