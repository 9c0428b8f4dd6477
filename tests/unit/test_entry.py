"""How long values live."""

from hypothesis import given
from hypothesis import strategies as st

from bff.cache.entry import AHEAD_SECONDS, AHEAD_SHARE, OVERHEAD_BYTES, Entry, Lifetimes

seconds = st.floats(0, 1e6)
shares = st.floats(0, 1)
lifetimes = st.builds(Lifetimes, seconds, seconds, seconds, seconds)


@given(lifetimes, seconds, shares)
def test_a_value_passes_through_its_ages_in_order(lives: Lifetimes, began: float, jitter: float) -> None:
    entry = lives.entry(b"{}", b"", began, jitter)
    assert began <= entry.refresh_at <= entry.fresh_until <= entry.revalidate_until <= entry.bound


@given(lifetimes, seconds, shares, st.sampled_from([b"{}", None]))
def test_jitter_shortens_the_fresh_time_by_at_most_a_tenth(
    lives: Lifetimes, began: float, jitter: float, body: bytes | None
) -> None:
    whole = lives.fresh if body is not None else lives.not_found
    entry = lives.entry(body, b"", began, jitter)
    assert began + 0.9 * whole - 1e-6 <= entry.fresh_until <= began + whole


@given(lifetimes, seconds, shares)
def test_its_bound_is_its_fresh_time_plus_the_larger_of_the_two(lives: Lifetimes, began: float, jitter: float) -> None:
    entry = lives.entry(b"{}", b"", began, jitter)
    assert entry.bound == entry.fresh_until + max(lives.revalidate, lives.stale)
    assert entry.bound <= began + lives.fresh + max(lives.revalidate, lives.stale) + 1e-6


@given(lifetimes, seconds, shares)
def test_it_is_refreshed_shortly_before_its_end_but_not_at_once(lives: Lifetimes, began: float, jitter: float) -> None:
    entry = lives.entry(b"{}", b"", began, jitter)
    ahead = entry.fresh_until - entry.refresh_at
    assert ahead <= AHEAD_SECONDS + 1e-6
    assert ahead <= AHEAD_SHARE * lives.fresh + 1e-6


@given(lifetimes, seconds, shares)
def test_a_remembered_404_is_never_stale_and_never_refreshed(lives: Lifetimes, began: float, jitter: float) -> None:
    entry = lives.entry(None, b"", began, jitter)
    assert entry.fresh_until == entry.revalidate_until == entry.bound
    assert entry.refresh_at == float("inf")


def test_full_jitter_takes_a_tenth() -> None:
    assert Lifetimes(10, 5, 1, 1).entry(b"{}", b"", 100.0, 1.0).fresh_until == 109.0
    assert Lifetimes(10, 5, 1, 1).entry(b"{}", b"", 100.0, 0.0).fresh_until == 110.0


def test_an_entry_costs_its_body_and_an_overhead() -> None:
    def size(body: bytes | None) -> int:
        return Entry(body, b"", 0, 0, 0, 0, 0).size

    assert (size(b"x" * 50), size(None)) == (OVERHEAD_BYTES + 50, OVERHEAD_BYTES)
