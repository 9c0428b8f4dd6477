"""What `make check-consistency` stands on: a Redis that forgets, a way to it that is cut, an owner that races."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from random import Random

import pytest
import redis

from tests.consistency.client import Answer, Broken, Connection
from tests.consistency.guards import GUARDS
from tests.consistency.owner import owning
from tests.consistency.parts import version_of, written
from tests.consistency.proxy import Proxy, Way, proxying
from tests.harness import until
from tests.redis_server import RedisServer, redis_server
from tests.rings import ROOT

PING, PONG = b"PING\r\n", b"+PONG\r\n"
SILENCE_SECONDS = 0.1


def test_a_redis_server_comes_back_at_its_address_and_has_forgotten_everything() -> None:
    with redis_server() as server:
        for end in (server.stop, server.kill):
            server.command("SET", "key", "value")
            assert server.command("GET", "key") == "value"
            end()
            with pytest.raises(redis.ConnectionError):
                server.command("PING")
            server.start()
            assert server.command("GET", "key") is None
    with pytest.raises(redis.ConnectionError):
        server.command("PING")


class Peer:
    """Someone who talks to Redis by way of a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, command: bytes = PING) -> bytes:
        """Return what is answered, nothing where the connection breaks."""
        self.writer.write(command)
        with suppress(ConnectionError):
            return await self.reader.read(100)
        return b""


@asynccontextmanager
async def peer(proxy: Proxy) -> AsyncIterator[Peer]:
    streams = Peer(*await asyncio.open_connection("127.0.0.1", proxy.port))
    try:
        yield streams
    finally:
        streams.writer.close()


@asynccontextmanager
async def way() -> AsyncIterator[tuple[RedisServer, Proxy, Peer]]:
    """Have Redis, a way to it, and someone who has gone it."""
    with redis_server() as server:
        async with proxying(server.port) as proxy, peer(proxy) as someone:
            assert await someone.ask() == PONG
            yield server, proxy, someone


@pytest.mark.parametrize("ways", [(Way.TO_REDIS,), (Way.TO_POD,), tuple(Way)])
async def test_what_is_held_arrives_late(ways: tuple[Way, ...]) -> None:
    async with way() as (_, proxy, someone):
        proxy.hold(ways)
        asking = asyncio.ensure_future(someone.ask())
        await asyncio.sleep(SILENCE_SECONDS)
        assert not asking.done()
        proxy.open()
        assert await asking == PONG


async def test_what_was_sent_arrives_even_where_its_sender_has_gone() -> None:
    async with way() as (server, proxy, someone):
        proxy.hold()
        someone.writer.write(b"SET key late\r\n")
        await asyncio.sleep(SILENCE_SECONDS)
        someone.writer.close()
        assert server.command("GET", "key") is None
        proxy.open()

        async def has_arrived() -> bool:
            return bool(server.command("GET", "key") == "late")

        await until(has_arrived)


async def test_what_is_held_is_lost_in_a_reset() -> None:
    async with way() as (server, proxy, someone):
        proxy.hold()
        asking = asyncio.ensure_future(someone.ask(b"SET key lost\r\n"))
        await asyncio.sleep(SILENCE_SECONDS)
        proxy.reset()
        proxy.open()
        assert await asking == b""
        async with peer(proxy) as another:
            assert await another.ask() == PONG
        assert server.command("GET", "key") is None


async def test_refused_nobody_comes_through_until_it_is_open_again() -> None:
    async with way() as (_, proxy, someone):
        proxy.refuse()
        async with peer(proxy) as another:
            assert [await someone.ask(), await another.ask()] == [b"", b""]
        proxy.open()
        async with peer(proxy) as another:
            assert await another.ask() == PONG


async def get(connection: Connection) -> int:
    return version_of("price", (await connection.request("GET", "/price/1001")).body)


async def put(connection: Connection, version: int) -> Answer:
    return await connection.request("PUT", "/price/1001", body=written("price", "1001", version))


async def test_versions_only_grow_at_the_owner() -> None:
    async with owning(Random(1), patience_seconds=0.1) as owner:
        with closing(Connection(owner.url, 5.0)) as connection:
            assert await get(connection) == 1
            assert [(await put(connection, version)).status for version in (3, 3, 2)] == [200, 200, 409]
            assert await get(connection) == 3


async def test_the_owner_answers_joint_reads_in_the_order_in_which_they_are_asked() -> None:
    async with owning(Random(1), patience_seconds=0.1) as owner:
        with closing(Connection(owner.url, 5.0)) as connection:
            assert (await put(connection, 2)).status == 200
            answer = await connection.request("GET", "/price?skus=1002,1001")
    assert json.loads(answer.body) == [{"sku_id": "1002", "price": 1}, {"sku_id": "1001", "price": 2}]


async def test_a_read_that_is_answered_after_a_write_may_be_answered_with_what_was_before() -> None:
    async with owning(Random(1), patience_seconds=0.1) as owner:
        with closing(Connection(owner.url, 5.0)) as writer, ExitStack() as stack:
            readers = [stack.enter_context(closing(Connection(owner.url, 5.0))) for _ in range(40)]
            reading = [asyncio.ensure_future(get(reader)) for reader in readers]
            assert (await put(writer, 2)).status == 200
            late = [read for read in reading if not read.done()]
            assert set(await asyncio.gather(*late)) == {1, 2}
            await asyncio.gather(*reading)


async def test_a_write_that_hangs_outlasts_who_waits_for_it_and_no_other_does() -> None:
    async with owning(Random(1), patience_seconds=0.2) as owner:
        owner.hang()
        with closing(Connection(owner.url, 0.2)) as impatient, closing(Connection(owner.url, 5.0)) as patient:
            with pytest.raises(Broken):
                await put(impatient, 2)
            assert (await put(patient, 3)).status == 200


@pytest.mark.parametrize("guard", GUARDS)
async def test_a_guard_can_be_taken_out_of_the_service_as_it_is(guard: str) -> None:
    command = ("tests.consistency.pod", "--without", guard, "--", "--help")
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"serve" in out
