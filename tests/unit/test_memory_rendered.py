"""What is rendered of a row: gone with any of its entries, and counted in bytes but not in entries."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.cache.entry import Entry
from bff.cache.memory import UNKNOWN_SHARE, MemoryTier
from tests.unit.test_memory import COST, entry, made


class Rendered(msgspec.Struct):
    size: int = 100


def test_what_is_rendered_counts_in_bytes_and_not_in_entries_and_goes_with_its_row() -> None:
    tier, value = made(max_entries=2), entry()
    tier.fill("a", 0, value)
    tier.render("a", [value, None, None], Rendered())
    assert (len(tier), tier.size) == (1, COST + 100)
    tier.render("a", [value, None, None], Rendered(7))
    assert (tier.rendered("a"), tier.size) == (Rendered(7), COST + 7)
    tier.fill("b", 0, entry())
    for sku in "cde":  # a was used, and has a second chance
        tier.fill(sku, 0, entry())
    assert (tier.rendered("a"), tier.size) == (None, 2 * COST)


def test_what_is_rendered_is_bounded_too() -> None:
    tier, value = made(max_bytes=COST + 50), entry()
    tier.fill("a", 0, value)
    tier.render("a", [value, None, None], Rendered(51))
    assert (tier.rendered("a"), tier.size) == (None, 0)


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("how", ["replaced", "dropped"])
def test_what_is_rendered_is_gone_with_any_of_its_entries(column: int, how: str) -> None:
    tier, values = made(), [entry(), entry(), None]
    for at in (0, 1):
        tier.fill("a", at, entry())
        tier.fill("a", at, values[at] or entry())
    tier.render("a", values, Rendered())
    assert tier.rendered("a") is not None
    if how == "dropped":
        tier.drop("a", column)
    else:
        tier.fill("a", column, entry())
    assert tier.rendered("a") is None


def test_nothing_is_rendered_of_entries_that_are_there_no_more() -> None:
    tier, old, new = made(), entry(), entry()
    tier.fill("a", 0, old)
    tier.fill("a", 0, new)
    tier.render("a", [old, None, None], Rendered())
    tier.render("b", [old, None, None], Rendered())
    assert (tier.rendered("a"), tier.rendered("b")) == (None, None)


Model = dict[tuple[str, int], Entry]
SKUS = "abcdefgh"
steps = st.tuples(
    st.sampled_from(["fill", "fill", "fill", "absent", "drop", "use", "render"]),
    st.sampled_from(SKUS),
    st.integers(0, 2),
    st.integers(0, 400),
    st.sampled_from([0.0, 1.0, 2.0]),
)


def take_step(tier: MemoryTier, model: Model, what: str, sku: str, column: int, size: int, began: float) -> None:
    """Do it to the tier, and to a model that evicts nothing but forgets what the tier has evicted."""
    if what in ("fill", "absent"):
        new, standing = entry(None if what == "absent" else b"x" * size, began), model.get((sku, column))
        is_kept = tier.fill(sku, column, new)
        assert is_kept == (tier.peek(sku, column) is new)
        if standing is None or standing.began <= began:
            model[sku, column] = new
        else:
            assert not is_kept
    elif what == "drop":
        assert tier.drop(sku, column) == ((sku, column) in model)
        model.pop((sku, column), None)
    elif what == "use":
        tier.look_up(sku)
    elif (row := tier.look_up(sku)) is not None:
        tier.render(sku, row, Rendered(size))
    for key in tuple(model):
        if tier.peek(*key) is None:
            del model[key]


@given(st.lists(steps, max_size=80), st.integers(1, 40), st.integers(1, 40 * COST))
def test_what_it_counts_is_what_is_there_and_never_too_much(
    steps: list[tuple[str, str, int, int, float]], max_entries: int, max_bytes: int
) -> None:
    tier, model = made(max_entries, max_bytes), Model()
    for step in steps:
        take_step(tier, model, *step)
        there = {(sku, at): found for sku in SKUS for at in range(3) if (found := tier.peek(sku, at)) is not None}
        assert there.keys() == model.keys()
        assert all(there[key] is model[key] for key in there), "it is the one that was filled last"
        rendered = [row.rendered for row in tier._rows.values() if row.rendered is not None]  # no use
        assert len(tier) == len(there) <= max_entries
        assert tier.size == sum(each.size for each in there.values()) + sum(page.size for page in rendered) <= max_bytes
        unknown = [each.size for each in there.values() if each.body is None]
        assert len(unknown) <= max(1, max_entries // UNKNOWN_SHARE)
        assert sum(unknown) <= max(1, max_bytes // UNKNOWN_SHARE)
        assert all(any(row.entries) for row in tier._rows.values()), "no row is left empty"
