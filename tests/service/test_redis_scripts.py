"""The scripts that run in Redis, against a real one: values, nonces, leases of loads, and marks."""

import hashlib
from collections.abc import Iterator

import pytest
import redis

from bff.cache.redis.entries import Stored, encode
from bff.cache.redis.scripts import LEASE, SCRIPTS
from tests.redis_server import LOOPBACK, redis_server
from tests.service.redisscripts import AS_OF, DUE, HOLD, KEYS, NONCE, OLD_MS, PART, VALUE, Server

ONE, OTHER = b"w" + b"1" * 32, b"w" + b"2" * 32  # marks


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with redis_server() as running, redis.Redis(LOOPBACK, running.port) as connected:
        yield connected


@pytest.fixture
def server(client: redis.Redis) -> Server:
    client.flushall()
    return Server(client)


def test_a_script_is_known_by_its_digest(server: Server) -> None:
    for script in SCRIPTS:
        assert script.digest == hashlib.sha1(script.text.encode()).hexdigest()


def test_who_misses_is_given_a_nonce_and_the_first_is_to_load(server: Server) -> None:
    assert server.take(b"nA", b"a") == [[b"", b"nA1", 1]]
    assert server.take(b"nB", b"b") == [[b"", b"nA1", 0]]
    assert server.take(b"nA", b"a") == [[b"", b"nA1", 0]]
    assert 59_000 < server.client.pttl(NONCE) <= 60_000
    assert 0 < server.client.pttl(HOLD) <= 250


def test_parts_have_nonces_of_their_own(server: Server) -> None:
    found = server.take(keys=(*PART, *KEYS.part("stock", "1")))
    assert len({nonce for _, nonce, _ in found}) == 2


def test_what_is_young_enough_is_found_without_a_nonce(server: Server) -> None:
    value = server.value(500)
    server.client.set(VALUE, value)
    assert server.take() == [[value]]
    assert not server.client.exists(NONCE, HOLD)
    assert server.take(ms=400) == [[value, b"nA1", 1]]


def test_a_404_is_young_for_another_time_than_a_value(server: Server) -> None:
    unknown = server.value(500, None)
    server.client.set(VALUE, unknown)
    assert server.take(ms=OLD_MS) == [[unknown]]
    assert len(server.take(ms=4000)[0]) == 3


@pytest.mark.parametrize("value", [b"garbage", b"\x02" + b"1" * 60, encode(Stored(10**14, AS_OF, b"{}"))])
def test_other_versions_garbage_and_the_future_are_not_young(server: Server, value: bytes) -> None:
    server.client.set(VALUE, value)
    assert server.take() == [[value, b"nA1", 1]]


def test_a_value_is_kept_under_the_nonce_that_stands(server: Server) -> None:
    server.take()
    value = server.value()
    assert server.fill(b"nA1", value) == 1
    assert server.get(VALUE) == value
    assert 0 < server.client.pttl(VALUE) <= 10_000
    assert not server.client.exists(HOLD)


@pytest.mark.parametrize("nonce", [b"nB1", b"", b"nA", b"nA11"])
def test_a_value_is_not_kept_under_another_nonce(server: Server, nonce: bytes) -> None:
    server.take()
    assert server.fill(nonce, server.value()) == 0
    assert server.get(VALUE) is None
    assert server.client.exists(HOLD)


def test_a_value_is_not_kept_where_there_is_no_nonce_any_more(server: Server) -> None:
    server.take()
    server.forget()
    assert server.fill(b"nA1", server.value()) == 0
    server.take(b"nB")
    assert server.fill(b"nA1", server.value()) == 0
    assert server.get(VALUE) is None


def test_a_newer_value_is_not_overwritten_by_an_older_one(server: Server) -> None:
    server.take()
    newer, older = server.value(100), server.value(5000)
    assert [server.fill(b"nA1", value) for value in (newer, older)] == [1, 0]
    assert server.get(VALUE) == newer
    newest = server.value()
    assert server.fill(b"nA1", newest) == 1
    assert server.get(VALUE) == newest


def test_garbage_is_overwritten(server: Server) -> None:
    server.take()
    server.client.set(VALUE, b"\x09" * 60)
    assert server.fill(b"nA1", server.value()) == 1


def test_only_who_holds_a_lease_renews_it_or_gives_it_up(server: Server) -> None:
    server.take(b"nA", b"a")
    for nonce, pod in ((b"nA1", b"b"), (b"nB1", b"a")):
        assert server.run(LEASE, HOLD, args=(nonce, pod, 0)) == 0
    assert server.run(LEASE, HOLD, args=(b"nA1", b"a", 9000)) == 1
    assert server.client.pttl(HOLD) > 8000
    assert server.run(LEASE, HOLD, args=(b"nA1", b"a", 0)) == 1
    assert server.take(b"nB", b"b") == [[b"", b"nA1", 1]]


def test_a_lease_under_another_nonce_is_nobodys(server: Server) -> None:
    server.take(b"nA", b"a")
    server.client.set(NONCE, b"nZ")
    assert server.take(b"nB", b"b") == [[b"", b"nZ", 1]]


def test_while_a_part_is_written_everybody_loads_and_nobody_keeps(server: Server) -> None:
    server.take()
    server.fill(b"nA1", server.value())
    server.mark(ONE)
    assert server.client.exists(VALUE, HOLD) == 0
    assert [server.take(b"nX", pod) for pod in (b"a", b"b")] == [[[b"", ONE, 1]]] * 2
    assert server.fill(b"nA1", server.value()) == 0
    assert 0 < server.client.pttl(NONCE) <= 5000


def test_a_mark_is_lifted_by_its_own_writer(server: Server) -> None:
    server.mark(ONE)
    stood, _ = server.lift(ONE)
    assert (stood, server.client.exists(*PART)) == (1, 0)
    assert server.client.zrange(DUE, 0, -1) == [b"change"]
    due = server.client.zscore(DUE, b"change")
    assert isinstance(due, float)
    assert 2000 < due - server.now <= 3000


def test_another_writers_mark_is_replaced_by_a_new_one_that_lasts_as_long(server: Server) -> None:
    server.mark(ONE)
    server.mark(OTHER)
    assert server.get(NONCE) == OTHER
    stood, _ = server.lift(ONE)
    assert (stood, server.get(NONCE)) == (0, OTHER + b"NEW")
    assert 0 < server.client.pttl(NONCE) <= 5000
    stood, _ = server.lift(OTHER)  # its own, and yet another: so the pods are told once more
    assert (stood, server.get(NONCE)) == (0, None)


def test_where_the_mark_is_gone_what_was_kept_meanwhile_goes_too(server: Server) -> None:
    server.mark(ONE)
    server.client.delete(NONCE)
    server.take()
    assert server.fill(b"nA1", server.value()) == 1
    stood, _ = server.lift(ONE)
    assert (stood, server.client.exists(*PART)) == (0, 0)


def test_what_has_changed_is_forgotten_and_marks_are_renewed(server: Server) -> None:
    server.take()
    server.fill(b"nA1", server.value())
    server.forget(due=b"change")
    assert server.client.exists(*PART) == 0
    assert server.client.zrange(DUE, 0, -1) == [b"change"]
    server.forget(done=b"change")
    assert not server.client.exists(DUE)
    server.mark(ONE)
    server.forget()
    assert server.get(NONCE) == ONE + b"NEW3"
    assert server.client.pttl(NONCE) <= 5000
