"""A value as Redis keeps it."""

import re
from zlib import crc32

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bff.cache.redis.entries import HEAD, VERSION, Stored, decode, encode

AS_OF = b"2026-11-21T08:00:00.000Z"
times = st.datetimes().map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}".rjust(19, "0").encode() + b".123Z")
values = st.builds(Stored, st.integers(0, 10**15 - 1), times, st.none() | st.binary())


@given(values)
def test_what_is_encoded_is_decoded_as_it_was(stored: Stored) -> None:
    data = encode(stored)
    assert decode(data) == stored
    assert data[:1] == VERSION
    assert int(data[1:16]) == stored.began  # where scripts look for it
    assert data[40:41] == (b"0" if stored.body is None else b"1")
    assert data[HEAD:] == (stored.body or b"")


@given(st.binary())
def test_garbage_is_none(data: bytes) -> None:
    assert decode(data) is None


@given(values, st.data())
def test_what_was_cut_off_is_none(stored: Stored, data: st.DataObject) -> None:
    whole = encode(stored)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert decode(cut) is None


@given(values, st.data())
def test_a_body_of_which_a_bit_has_turned_is_none(stored: Stored, data: st.DataObject) -> None:
    assume(stored.body)
    whole = bytearray(encode(stored))
    whole[data.draw(st.integers(HEAD, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert decode(bytes(whole)) is None


@given(values, st.integers(0, HEAD - 1), st.integers(0, 255))
def test_a_head_that_was_tampered_with_is_none_or_says_what_a_head_can_say(
    stored: Stored, place: int, byte: int
) -> None:
    tampered = bytearray(encode(stored))
    tampered[place] = byte
    found = decode(bytes(tampered))
    assert found is None or re.fullmatch(rb"[0-9T:.Z-]{24}", found.as_of)


@pytest.mark.parametrize("version", [b"\x00", b"\x02", b"1", b"\xff"])
def test_another_version_is_none(version: bytes) -> None:
    assert decode(version + encode(Stored(1, AS_OF, b"{}"))[1:]) is None


def test_a_remembered_404_has_no_body() -> None:
    assert decode(encode(Stored(1, AS_OF, None))) == Stored(1, AS_OF, None)
    assert decode(b"\x01%015d%b0%08x" % (1, AS_OF, crc32(b""))) == Stored(1, AS_OF, None)
