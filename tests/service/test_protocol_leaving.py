"""The listener's protocol and clients that leave in the middle, or that do not read."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from tests.service.sockets import eventually
from tests.service.test_protocol import answer, asking
from tests.service.test_protocol_ways import BIG, Site, listening, reset

Leave = Callable[[socket.socket], None]
LEAVES = pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["closing", "resetting"])


@contextlib.asynccontextmanager
async def connected(address: tuple[str, int]) -> AsyncIterator[socket.socket]:
    with socket.socket() as sock:
        sock.setblocking(False)  # noqa: FBT003 - it takes no name
        await asyncio.get_running_loop().sock_connect(sock, address)
        yield sock


@LEAVES
@pytest.mark.parametrize(
    "sent",
    [
        asking("/quick")[:20],
        asking("/quick") + asking("/quick")[:20],
        asking("/late"),
        asking("/late") + asking("/quick"),
        asking("/quick") + asking("/late") + asking("/quick"),
        asking("/big") * 50,
        asking("/whole") + asking("/big") * 50,
    ],
    ids=["amid a head", "amid the next", "amid the wait", "with one waiting", "in between", "amid bodies", "both"],
)
async def test_a_client_that_leaves_in_the_middle_breaks_nothing(sent: bytes, leave: Leave) -> None:
    site = Site()
    async with listening(site) as (listener, address), connected(address) as leaving:
        await asyncio.get_running_loop().sock_sendall(leaving, sent)
        await asyncio.sleep(0.02)
        leave(leaving)
        site.release.set()
        await eventually(lambda: not listener.server_state.connections and not listener.server_state.tasks)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(asking("/quick"))
        assert (await answer(reader))[1] == b"at once: /quick"
        writer.close()


@LEAVES
async def test_a_client_that_leaves_in_the_very_turn_of_its_answer_breaks_nothing(leave: Leave) -> None:
    class Releasing(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            site.release.set()

    site, loop = Site(), asyncio.get_running_loop()
    async with listening(site) as (listener, address), connected(address) as leaving:
        ours, theirs = socket.socketpair()
        side, _ = await loop.create_connection(Releasing, sock=ours)
        await loop.sock_sendall(leaving, asking("/late"))
        await eventually(lambda: site.whole_way == ["/late"])
        # Both are there when the loop looks next, in this order: the answer is written before the loss is told.
        theirs.send(b"now")
        leave(leaving)
        await eventually(lambda: not listener.server_state.connections and not listener.server_state.tasks)
        side.close()
        theirs.close()


async def test_a_client_that_does_not_read_is_not_answered_on_and_on() -> None:
    site, loop = Site(), asyncio.get_running_loop()
    async with listening(site) as (_, address), connected(address) as full:
        await loop.sock_sendall(full, asking("/big") * 1000)
        await asyncio.sleep(0.2)
        answered = len(site.at_once) + len(site.whole_way)
        assert answered < 100  # some megabytes, most of them the kernel's
        await asyncio.sleep(0.1)
        assert len(site.at_once) + len(site.whole_way) == answered
        left = 1000 * len(BIG)
        while left > 0:  # it reads after all
            left -= len(await loop.sock_recv(full, 2**20))
        assert len(site.at_once) + len(site.whole_way) == 1000


async def test_a_client_that_does_not_read_is_not_answered_on_and_on_behind_a_whole_answer_either() -> None:
    site, loop = Site(), asyncio.get_running_loop()
    async with listening(site) as (_, address), connected(address) as full:
        await loop.sock_sendall(full, asking("/late"))
        await eventually(lambda: site.whole_way == ["/late"])
        site.release.set()
        loop.call_soon(full.send, asking("/big") * 1000)  # there in the turn that the answer is written in
        await asyncio.sleep(0.2)
        assert len(site.at_once) + len(site.whole_way) < 100
