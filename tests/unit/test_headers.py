"""The headers of a page, out of its parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.api.headers import (
    cache_control,
    cache_status,
    hot_cache_control,
    hot_cache_status,
    matches,
    page_timing,
    server_timing,
)
from bff.cache.entry import Entry, Lifetimes
from bff.product.parts import Missing, Ok, Part, Parts, Stale
from tests.unit.playing import Step, script
from tests.unit.shop import Shop

NOW = 100.0
NOT_FOUND = Missing("not_found", "load")


def entry(left: float, body: bytes | None = b"{}") -> Entry:
    return Entry(body, b"", 0.0, NOW + left, NOW + 900, NOW + 900, NOW)


def parts(info: Part | None = None, price: Part | None = None, stock: Part | None = None) -> Parts:
    fine = Ok(entry(60), "cache")
    return {"info": info or fine, "price": price or fine, "stock": stock or fine}


@pytest.mark.parametrize(
    ("page", "viewed", "expected"),
    [
        (parts(), False, "public, max-age=60"),
        (parts(price=Ok(entry(4.999), "load")), False, "public, max-age=4"),
        (parts(price=Ok(entry(1.0), "load")), False, "public, max-age=1"),
        (parts(price=Ok(entry(0.999), "load")), False, "no-cache"),
        (parts(price=Ok(entry(-3), "load")), False, "no-cache"),
        (parts(price=NOT_FOUND), False, "public, max-age=60"),
        (parts(price=Missing("not_found", "cache", entry(3, None))), False, "public, max-age=3"),
        (parts(), True, "no-cache"),
        (parts(price=Stale(entry(-3), "revalidating", "cache")), False, "no-cache"),
        (parts(price=Stale(entry(-3), "timeout", "load")), False, "no-store"),
        (parts(price=Stale(entry(-3), "timeout", "load")), True, "no-store"),
        (parts(stock=Missing("circuit_open", "load")), False, "no-store"),
        (parts(stock=Missing("circuit_open", "load")), True, "no-store"),
    ],
)
def test_cache_control(*, page: Parts, viewed: bool, expected: str) -> None:
    assert cache_control(page, NOW, viewed=viewed) == (b"cache-control", expected.encode())


async def test_a_404_just_learnt_bounds_the_age_as_a_remembered_one_does() -> None:
    lives = dict.fromkeys(("info", "price", "stock"), Lifetimes(60, 0, 0, 5))
    shop = Shop(price=script(Step(says=None)), lives=lives)  # type: ignore[arg-type] # names of sources
    ages = [cache_control((await shop.page()).parts, 0.0, viewed=False) for _ in range(2)]
    assert ages == [(b"cache-control", b"public, max-age=5")] * 2


@pytest.mark.parametrize(
    ("part", "member"),
    [
        (Ok(entry(41.9), "cache"), "hit; ttl=41"),
        (Missing("not_found", "cache", entry(3.2, None)), "hit; ttl=3; detail=not_found"),
        (Stale(entry(-6.5), "revalidating", "cache"), "fwd=stale; ttl=-7; detail=revalidating"),
        (Stale(entry(-7), "timeout", "load"), "fwd=stale; ttl=-7; detail=timeout"),
        (Stale(entry(-7), "timeout", "join"), "fwd=stale; ttl=-7; detail=timeout"),
        (Ok(entry(60), "load"), "fwd=miss; fwd-status=200; stored"),
        (Ok(entry(60), "load", stored=False), "fwd=miss; fwd-status=200"),
        (Ok(entry(60), "join"), "fwd=miss; collapsed"),
        (Missing("timeout", "load"), "fwd=miss; detail=timeout"),
        (Missing("timeout", "join"), "fwd=miss; detail=timeout"),
        (NOT_FOUND, "fwd=miss; detail=not_found"),
        (Missing(None, "load"), "fwd=miss"),
        (Missing(None, "none"), "fwd=bypass"),
        (Missing("shed", "none"), "fwd=bypass"),
    ],
)
def test_cache_status_of_each_way_to_a_part(part: Part, member: str) -> None:
    expected = f"bff-info; hit; ttl=60, bff-price; {member}, bff-stock; hit; ttl=60"
    assert cache_status(parts(price=part), NOW) == (b"cache-status", expected.encode())


def test_server_timing_is_in_milliseconds() -> None:
    waited = {"info": 0.0, "price": 0.1234, "stock": 0.8}
    expected = b"server-timing", b"page;dur=801.0, info;dur=0.0, price;dur=123.4, stock;dur=800.0"
    assert server_timing(0.801, waited) == expected  # type: ignore[arg-type] # names of sources


def test_the_timing_of_a_page_from_memory_is_the_pages_alone() -> None:
    assert page_timing(0.00123) == (b"server-timing", b"page;dur=1.2")


left = st.floats(0.001, 90_000)


@given(seconds=st.tuples(left, left, left), viewed=st.booleans())
def test_the_headers_of_a_page_from_memory_are_those_of_its_parts(
    *, seconds: tuple[float, float, float], viewed: bool
) -> None:
    page = parts(*(Ok(entry(each), "cache") for each in seconds))
    ends = [part.entry.fresh_until for part in page.values() if isinstance(part, Ok)]
    assert hot_cache_status(ends, NOW) == cache_status(page, NOW)
    assert hot_cache_control(ends, NOW, viewed=viewed) == cache_control(page, NOW, viewed=viewed)


TAG = 'W/"0123abc"'


def found(fields: list[str], tag: str) -> bool:
    """Look for a tag in a request's headers, among others."""
    sent = [(b"if-match", tag.encode("latin-1")), *((b"if-none-match", field.encode("latin-1")) for field in fields)]
    return matches(sent, tag.encode("latin-1"))


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ([TAG], True),
        (['"0123abc"'], True),  # the comparison is weak
        (['"other", W/"0123abc"'], True),
        (['"other"', TAG], True),
        (['"a,b" , W/"0123abc"'], True),
        (["*"], True),
        ([" * "], True),
        ([], False),
        ([""], False),
        (['W/"0123ab"'], False),
        (["0123abc"], False),
        (['"x0123abc"'], False),
        (['*, "x"'], False),
        (['"', "0123abc"], False),
    ],
)
def test_if_none_match(*, fields: list[str], same: bool) -> None:
    assert found(fields, TAG) == same


tag_texts = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='"\x7f'), max_size=8)
tags = st.builds(lambda weak, text: f'{weak}"{text}"', st.sampled_from(["", "W/"]), tag_texts)
gaps = st.sampled_from([",", ", ", " ,", ",\t"])


@given(st.lists(tags, max_size=6), tags, gaps)
def test_a_tag_is_found_in_a_list_exactly_where_it_is_in_it(listed: list[str], tag: str, gap: str) -> None:
    listed = [text for text in listed if "\x80" not in text and not any("\x80" <= letter < "\xa0" for letter in text)]
    expected = tag.removeprefix("W/") in [text.removeprefix("W/") for text in listed]
    assert found([gap.join(listed)], tag) == found(listed, tag) == expected


@given(st.lists(st.binary(max_size=30), max_size=3))
def test_whatever_is_sent_it_decides(fields: list[bytes]) -> None:
    assert matches([(b"if-none-match", field) for field in fields], TAG.encode()) in (True, False)
