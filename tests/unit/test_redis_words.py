"""What pods tell each other, and what they make of what was told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.cache.redis.keys import Keys, pod_channel
from bff.cache.redis.notices import Acknowledgement, Notice, Tick, encode, read_notice, read_own
from bff.cache.redis.tier import Moment, Took
from bff.product.podsfence import Told

texts = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)


@given(st.builds(Notice, texts, texts, st.lists(texts).map(tuple), st.lists(texts).map(tuple)))
def test_a_notice_is_read_as_it_was_written(notice: Notice) -> None:
    assert read_notice(encode(notice)) == notice


def test_what_a_later_release_adds_to_a_notice_is_passed_over() -> None:
    assert read_notice(b'{"i":"1","p":"x","k":["7"],"s":["price"],"new":{}}') == Notice("1", "x", ("7",), ("price",))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"i":1,"p":"x","k":[],"s":[]}', b'{"i":"1","p":"x"}'])
def test_what_is_no_notice_is_none(data: bytes) -> None:
    assert read_notice(data) is None


@given(st.binary())
def test_whatever_comes_is_read_or_none(data: bytes) -> None:
    read_notice(data)
    read_own(data)


@given(st.integers(0, 2**63))
def test_a_tick_is_read_as_it_was_sent(number: int) -> None:
    assert read_own(Tick(number).encode()) == Tick(number)


@given(texts, texts)
def test_an_acknowledgement_is_read_as_it_was_sent(notice: str, pod: str) -> None:
    assert read_own(Acknowledgement(notice, pod).encode()) == Acknowledgement(notice, pod)


@pytest.mark.parametrize("data", [b"", b"t", b"tx", b"t-1", b"t1.5", b"a", b"anotice", b"x1 2", b"\xff"])
def test_what_is_neither_is_none(data: bytes) -> None:
    assert read_own(data) is None


def test_keys_of_one_sku_share_a_hash_tag_and_other_servers_have_others() -> None:
    value, nonce, lease = Keys("run").part("price", "1.a-b_c")
    assert {value, nonce, lease} == {f"bff:run:{{1.a-b_c}}:{kind}:price" for kind in "vnl"}
    assert not {value, nonce, lease} & set(Keys("other").part("price", "1.a-b_c"))
    assert Keys("run").pods != Keys("other").pods
    assert pod_channel("x") == "bff:pod:x"


def test_those_stand_whose_leases_have_not_run_out() -> None:
    told = Told.read([1000, 0, b"a", 1001, 800, b"b", 1000, 500, b"c", 10, 700, b"d", 5000, 9000])
    assert told == Told(1000, 0, frozenset({"a", "d"}), 700)  # the longest call of those that may be cut off
    assert Told.read([5, 4]) == Told(5, 4, frozenset(), 0)


def test_a_pod_whose_name_is_none_stands_in_nobodys_way_but_a_leases() -> None:
    assert len(Told.read([1000, 0, b"\xff", 1001, 800]).standing) <= 1


def test_a_registry_is_new_for_a_lease() -> None:
    assert Told.read([1999, 1000]).is_new
    assert not Told.read([2000, 1000]).is_new


moments = st.builds(
    lambda now, sent, took: Moment(now, sent, sent + took),
    st.integers(10**12, 2 * 10**12),
    st.floats(0, 1e6),
    st.floats(0, 0.05),
)


@given(moments, st.integers(0, 10**9))
def test_nothing_seems_younger_than_it_is(moment: Moment, age_ms: int) -> None:
    began = moment.began(moment.now - age_ms)
    assert moment.got - began >= age_ms / 1000 - 1e-6
    assert moment.sent - began <= age_ms / 1000 + 1e-6  # and older by no more than the question took


@given(moments, st.integers(1, 10**9))
def test_what_seems_to_come_from_the_future_seems_to_begin_with_the_question(moment: Moment, ahead_ms: int) -> None:
    assert moment.began(moment.now + ahead_ms) == moment.sent


@given(moments, st.floats(0, 1e5))
def test_a_value_that_goes_to_redis_and_back_has_not_become_younger(moment: Moment, age: float) -> None:
    began = moment.sent - age
    again = moment.began(moment.server_ms(began))
    assert began - 0.06 <= again <= began + 1e-6


def test_what_was_taken_says_what_it_is() -> None:
    moment = Moment(0, 0.0, 0.0)
    assert Took(None, None, lead=False, moment=moment).garbled
    assert Took(None, b"wxyz", lead=True, moment=moment).marked
    ordinary = Took(None, b"nxyz", lead=True, moment=moment)
    assert (ordinary.garbled, ordinary.marked) == (False, False)
