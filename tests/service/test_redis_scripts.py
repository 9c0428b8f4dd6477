"""The scripts that run in Redis, against a real one: values, nonces, leases of loads, and marks."""

import hashlib

import pytest

from bff.cache.redis.entries import Stored, encode
from bff.cache.redis.scripts import LEASE, SCRIPTS
from tests.service.redisscripts import AS_OF, DUE, HOLD, KEYS, NONCE, OLD_MS, PART, VALUE, Server

ONE, OTHER = b"w" + b"1" * 32, b"w" + b"2" * 32  # marks


def test_a_script_is_known_by_its_digest(scripted: Server) -> None:
    for script in SCRIPTS:
        assert script.digest == hashlib.sha1(script.text.encode()).hexdigest()


def test_who_misses_is_given_a_nonce_and_the_first_is_to_load(scripted: Server) -> None:
    assert scripted.take(b"nA", b"a") == [[b"", b"nA1", 1]]
    assert scripted.take(b"nB", b"b") == [[b"", b"nA1", 0]]
    assert scripted.take(b"nA", b"a") == [[b"", b"nA1", 0]]
    assert 59_000 < scripted.client.pttl(NONCE) <= 60_000
    assert 0 < scripted.client.pttl(HOLD) <= 250


def test_parts_have_nonces_of_their_own(scripted: Server) -> None:
    found = scripted.take(keys=(*PART, *KEYS.part("stock", "1")))
    assert len({nonce for _, nonce, _ in found}) == 2


def test_what_is_young_enough_is_found_without_a_nonce(scripted: Server) -> None:
    value = scripted.value(500)
    scripted.client.set(VALUE, value)
    assert scripted.take() == [[value]]
    assert not scripted.client.exists(NONCE, HOLD)
    assert scripted.take(ms=400) == [[value, b"nA1", 1]]


def test_a_404_is_young_for_another_time_than_a_value(scripted: Server) -> None:
    unknown = scripted.value(500, None)
    scripted.client.set(VALUE, unknown)
    assert scripted.take(ms=OLD_MS) == [[unknown]]
    assert len(scripted.take(ms=4000)[0]) == 3


@pytest.mark.parametrize("value", [b"garbage", b"\x02" + b"1" * 60, encode(Stored(10**14, AS_OF, b"{}"))])
def test_other_versions_garbage_and_the_future_are_not_young(scripted: Server, value: bytes) -> None:
    scripted.client.set(VALUE, value)
    assert scripted.take() == [[value, b"nA1", 1]]


def test_a_value_is_kept_under_the_nonce_that_stands(scripted: Server) -> None:
    scripted.take()
    value = scripted.value()
    assert scripted.fill(b"nA1", value) == 1
    assert scripted.get(VALUE) == value
    assert 0 < scripted.client.pttl(VALUE) <= 10_000
    assert not scripted.client.exists(HOLD)


@pytest.mark.parametrize("nonce", [b"nB1", b"", b"nA", b"nA11"])
def test_a_value_is_not_kept_under_another_nonce(scripted: Server, nonce: bytes) -> None:
    scripted.take()
    assert scripted.fill(nonce, scripted.value()) == 0
    assert scripted.get(VALUE) is None
    assert scripted.client.exists(HOLD)


def test_a_value_is_not_kept_where_there_is_no_nonce_any_more(scripted: Server) -> None:
    scripted.take()
    scripted.forget()
    assert scripted.fill(b"nA1", scripted.value()) == 0
    scripted.take(b"nB")
    assert scripted.fill(b"nA1", scripted.value()) == 0
    assert scripted.get(VALUE) is None


def test_a_newer_value_is_not_overwritten_by_an_older_one(scripted: Server) -> None:
    scripted.take()
    newer, older = scripted.value(100), scripted.value(5000)
    assert [scripted.fill(b"nA1", value) for value in (newer, older)] == [1, 0]
    assert scripted.get(VALUE) == newer
    newest = scripted.value()
    assert scripted.fill(b"nA1", newest) == 1
    assert scripted.get(VALUE) == newest


def test_garbage_is_overwritten(scripted: Server) -> None:
    scripted.take()
    scripted.client.set(VALUE, b"\x09" * 60)
    assert scripted.fill(b"nA1", scripted.value()) == 1


def test_only_who_holds_a_lease_renews_it_or_gives_it_up(scripted: Server) -> None:
    scripted.take(b"nA", b"a")
    for nonce, pod in ((b"nA1", b"b"), (b"nB1", b"a")):
        assert scripted.run(LEASE, HOLD, args=(nonce, pod, 0)) == 0
    assert scripted.run(LEASE, HOLD, args=(b"nA1", b"a", 9000)) == 1
    assert scripted.client.pttl(HOLD) > 8000
    assert scripted.run(LEASE, HOLD, args=(b"nA1", b"a", 0)) == 1
    assert scripted.take(b"nB", b"b") == [[b"", b"nA1", 1]]


def test_a_lease_under_another_nonce_is_nobodys(scripted: Server) -> None:
    scripted.take(b"nA", b"a")
    scripted.client.set(NONCE, b"nZ")
    assert scripted.take(b"nB", b"b") == [[b"", b"nZ", 1]]


def test_while_a_part_is_written_everybody_loads_and_nobody_keeps(scripted: Server) -> None:
    scripted.take()
    scripted.fill(b"nA1", scripted.value())
    scripted.mark(ONE)
    assert scripted.client.exists(VALUE, HOLD) == 0
    assert [scripted.take(b"nX", pod) for pod in (b"a", b"b")] == [[[b"", ONE, 1]]] * 2
    assert scripted.fill(b"nA1", scripted.value()) == 0
    assert 0 < scripted.client.pttl(NONCE) <= 5000


def test_a_mark_is_lifted_by_its_own_writer(scripted: Server) -> None:
    scripted.mark(ONE)
    stood, _ = scripted.lift(ONE)
    assert (stood, scripted.client.exists(*PART)) == (1, 0)
    assert scripted.client.zrange(DUE, 0, -1) == [b"change"]
    due = scripted.client.zscore(DUE, b"change")
    assert isinstance(due, float)
    assert 2000 < due - scripted.now <= 3000


def test_another_writers_mark_is_replaced_by_a_new_one_that_lasts_as_long(scripted: Server) -> None:
    scripted.mark(ONE)
    scripted.mark(OTHER)
    assert scripted.get(NONCE) == OTHER
    stood, _ = scripted.lift(ONE)
    assert (stood, scripted.get(NONCE)) == (0, OTHER + b"NEW")
    assert 0 < scripted.client.pttl(NONCE) <= 5000
    stood, _ = scripted.lift(OTHER)  # its own, and yet another: so the pods are told once more
    assert (stood, scripted.get(NONCE)) == (0, None)


def test_where_the_mark_is_gone_what_was_kept_meanwhile_goes_too(scripted: Server) -> None:
    scripted.mark(ONE)
    scripted.client.delete(NONCE)
    scripted.take()
    assert scripted.fill(b"nA1", scripted.value()) == 1
    stood, _ = scripted.lift(ONE)
    assert (stood, scripted.client.exists(*PART)) == (0, 0)


def test_what_has_changed_is_forgotten_and_marks_are_renewed(scripted: Server) -> None:
    scripted.take()
    scripted.fill(b"nA1", scripted.value())
    scripted.forget(due=b"change")
    assert scripted.client.exists(*PART) == 0
    assert scripted.client.zrange(DUE, 0, -1) == [b"change"]
    scripted.forget(done=b"change")
    assert not scripted.client.exists(DUE)
    scripted.mark(ONE)
    scripted.forget()
    assert scripted.get(NONCE) == ONE + b"NEW3"
    assert scripted.client.pttl(NONCE) <= 5000
