"""The scripts that run in Redis, against a real one: who is told, ticks, and the registry of pods."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from bff.cache.redis.scripts import LEAVE
from tests.redis_server import LOOPBACK, redis_server
from tests.service.redisscripts import DUE, PODS, Server


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with redis_server() as running, redis.Redis(LOOPBACK, running.port) as connected:
        yield connected


@pytest.fixture
def server(client: redis.Redis) -> Server:
    client.flushall()
    return Server(client)


def listening(server: Server, *channels: str) -> Any:
    subscribed = server.client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    subscribed.subscribe(*channels)
    subscribed.get_message(timeout=1)
    return subscribed


def test_pods_are_told_and_it_is_said_who_they_are(server: Server) -> None:
    server.tick(b"a")
    server.tick(b"b")
    subscribed = listening(server, "channel")
    now, since, *pods = server.mark(b"wA", b"hello")
    assert subscribed.get_message(timeout=1)["data"] == b"hello"
    assert since <= now
    assert set(pods[::3]) == {b"a", b"b"}
    assert all(0 < ends - now <= 1000 for ends in pods[1::3])
    assert pods[2::3] == [800, 800]
    subscribed.close()


def test_an_end_that_its_own_writer_makes_is_told_nobody(server: Server) -> None:
    server.mark(b"wA")
    subscribed = listening(server, "channel")
    server.lift(b"wA")
    assert subscribed.get_message(timeout=0.05) is None
    server.lift(b"wA")
    assert subscribed.get_message(timeout=1)["data"] == b"m"
    subscribed.close()


def test_a_tick_renews_the_lease_and_comes_back(server: Server) -> None:
    subscribed = listening(server, "bff:pod:a")
    now, since, due, registry = server.tick()
    assert subscribed.get_message(timeout=1)["data"] == b"t1"
    assert (due, len(registry)) == ([], 4)
    ends, longest = dict(zip(registry[::2], registry[1::2], strict=True))[b"a"].split(b":")
    assert (int(ends) - now, longest, since) == (1000, b"800", now)
    assert server.tick()[1] == since
    subscribed.close()


def test_a_tick_that_comes_too_late_renews_nothing_and_does_not_come_back(server: Server) -> None:
    subscribed = listening(server, "bff:pod:a")
    assert server.tick(late_ms=50)[1:] == [0, [], []]
    assert not server.client.exists(PODS)
    assert subscribed.get_message(timeout=0.05) is None
    subscribed.close()


def test_what_is_due_is_given_to_one_and_to_another_after_a_while(server: Server) -> None:
    server.client.zadd(DUE, {b"now": server.now - 1, b"later": server.now + 60_000})
    assert server.tick(b"a")[2] == [b"now"]
    assert server.tick(b"b")[2] == []
    score = server.client.zscore(DUE, b"now")
    assert isinstance(score, float)
    assert 4000 < score - server.now <= 5000


def test_pods_that_have_been_silent_for_a_minute_are_dropped(server: Server) -> None:
    now = server.now
    fields: Any = {
        b"since": now - 90_000,
        b"old": f"{now - 60_500}:800",
        b"known": f"{now - 59_000}:700",
        b"x": b"garbage",
    }
    server.client.hset(PODS, mapping=fields)
    _, _, *told = server.mark(b"wA")
    assert (told[0], told[2]) == (b"known", 700)
    assert server.client.hkeys(PODS) == [b"since", b"known", b"x"]


def test_a_new_registry_takes_those_that_were_in_a_lost_one_and_no_lease_becomes_shorter(server: Server) -> None:
    server.tick(b"b")
    before = server.client.hget(PODS, b"b")
    _, _, _, registry = server.tick(b"a", seeds=(b"lost", 2000, 700, b"b", 30_000, 100, b"stands", -500, 600))
    leases = dict(zip(registry[::2], registry[1::2], strict=True))
    assert leases[b"b"] == before
    assert [leases[name].split(b":")[1] for name in (b"lost", b"stands")] == [b"700", b"600"]
    assert int(leases[b"lost"].split(b":")[0]) < server.now < int(leases[b"stands"].split(b":")[0])


def test_who_leaves_is_gone(server: Server) -> None:
    server.tick()
    assert server.run(LEAVE, PODS, args=(b"a",)) == 1
    assert server.client.hkeys(PODS) == [b"since"]


def test_where_memory_is_full_pods_are_told_and_nothing_is_kept(server: Server) -> None:
    server.take()
    server.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            server.fill(b"nA1", server.value())
        server.tick()
        server.mark(b"wA")
        server.lift(b"wA")
        server.forget(due=b"change")
        assert server.take(b"nB") == [[b"", b"nB1", 1]]
    finally:
        server.client.config_set("maxmemory", 0)
