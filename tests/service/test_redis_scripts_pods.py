"""The scripts that run in Redis, against a real one: who is told, ticks, and the registry of pods."""

from typing import Any

import pytest
import redis

from bff.cache.redis.scripts import LEAVE
from tests.service.redisscripts import DUE, PODS, Server


def listening(scripted: Server, *channels: str) -> Any:
    subscribed = scripted.client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    subscribed.subscribe(*channels)
    subscribed.get_message(timeout=1)
    return subscribed


def test_pods_are_told_and_it_is_said_who_they_are(scripted: Server) -> None:
    scripted.tick(b"a")
    scripted.tick(b"b")
    subscribed = listening(scripted, "channel")
    now, since, *pods = scripted.mark(b"wA", b"hello")
    assert subscribed.get_message(timeout=1)["data"] == b"hello"
    assert since <= now
    assert set(pods[::3]) == {b"a", b"b"}
    assert all(0 < ends - now <= 1000 for ends in pods[1::3])
    assert pods[2::3] == [800, 800]
    subscribed.close()


def test_an_end_that_its_own_writer_makes_is_told_nobody(scripted: Server) -> None:
    scripted.mark(b"wA")
    subscribed = listening(scripted, "channel")
    scripted.lift(b"wA")
    assert subscribed.get_message(timeout=0.05) is None
    scripted.lift(b"wA")
    assert subscribed.get_message(timeout=1)["data"] == b"m"
    subscribed.close()


def test_a_tick_renews_the_lease_and_comes_back(scripted: Server) -> None:
    subscribed = listening(scripted, "bff:pod:a")
    now, since, due, registry = scripted.tick()
    assert subscribed.get_message(timeout=1)["data"] == b"t1"
    assert (due, len(registry)) == ([], 4)
    ends, longest = dict(zip(registry[::2], registry[1::2], strict=True))[b"a"].split(b":")
    assert (int(ends) - now, longest, since) == (1000, b"800", now)
    assert scripted.tick()[1] == since
    subscribed.close()


def test_a_tick_that_comes_too_late_renews_nothing_and_does_not_come_back(scripted: Server) -> None:
    subscribed = listening(scripted, "bff:pod:a")
    assert scripted.tick(late_ms=50)[1:] == [0, [], []]
    assert not scripted.client.exists(PODS)
    assert subscribed.get_message(timeout=0.05) is None
    subscribed.close()


def test_what_is_due_is_given_to_one_and_to_another_after_a_while(scripted: Server) -> None:
    scripted.client.zadd(DUE, {b"now": scripted.now - 1, b"later": scripted.now + 60_000})
    assert scripted.tick(b"a")[2] == [b"now"]
    assert scripted.tick(b"b")[2] == []
    score = scripted.client.zscore(DUE, b"now")
    assert isinstance(score, float)
    assert 4000 < score - scripted.now <= 5000


def test_pods_that_have_been_silent_for_a_minute_are_dropped(scripted: Server) -> None:
    now = scripted.now
    fields: Any = {
        b"since": now - 90_000,
        b"old": f"{now - 60_500}:800",
        b"known": f"{now - 59_000}:700",
        b"x": b"garbage",
    }
    scripted.client.hset(PODS, mapping=fields)
    _, _, *told = scripted.mark(b"wA")
    assert (told[0], told[2]) == (b"known", 700)
    assert scripted.client.hkeys(PODS) == [b"since", b"known", b"x"]


def test_a_new_registry_takes_those_that_were_in_a_lost_one_and_no_lease_becomes_shorter(scripted: Server) -> None:
    scripted.tick(b"b")
    before = scripted.client.hget(PODS, b"b")
    _, _, _, registry = scripted.tick(b"a", seeds=(b"lost", 2000, 700, b"b", 30_000, 100, b"stands", -500, 600))
    leases = dict(zip(registry[::2], registry[1::2], strict=True))
    assert leases[b"b"] == before
    assert [leases[name].split(b":")[1] for name in (b"lost", b"stands")] == [b"700", b"600"]
    assert int(leases[b"lost"].split(b":")[0]) < scripted.now < int(leases[b"stands"].split(b":")[0])


def test_who_leaves_is_gone(scripted: Server) -> None:
    scripted.tick()
    assert scripted.run(LEAVE, PODS, args=(b"a",)) == 1
    assert scripted.client.hkeys(PODS) == [b"since"]


def test_where_memory_is_full_pods_are_told_and_nothing_is_kept(scripted: Server) -> None:
    scripted.take()
    scripted.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            scripted.fill(b"nA1", scripted.value())
        scripted.tick()
        scripted.mark(b"wA")
        scripted.lift(b"wA")
        scripted.forget(due=b"change")
        assert scripted.take(b"nB") == [[b"", b"nB1", 1]]
    finally:
        scripted.client.config_set("maxmemory", 0)
