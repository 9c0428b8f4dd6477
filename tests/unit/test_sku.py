"""What is a SKU, by the two who decide it: the way ahead of the router, and the routes' own validation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bff.api.sku import SkuInBody, is_sku

VALIDATED: TypeAdapter[str] = TypeAdapter(SkuInBody)
LIKELY = st.text(st.sampled_from("aZ09._-/% \n\té٣agg"), max_size=5)
LONG = st.builds(lambda letter, length: letter * length, st.sampled_from("a-"), st.integers(60, 70))


def validated(text: str) -> bool:
    try:
        VALIDATED.validate_python(text)
    except ValidationError:
        return False
    return True


@given(LIKELY | LONG | st.text(max_size=70))
def test_both_take_and_refuse_the_same(text: str) -> None:
    assert is_sku(text) == validated(text)


@pytest.mark.parametrize("text", ["1", "A.b_c-9", "x" * 64, "aggs", "Agg"])
def test_a_sku(text: str) -> None:
    assert is_sku(text)


@pytest.mark.parametrize("text", ["", "agg", "x" * 65, "1001\n", "-1", ".", "a/b", "a b", "٣", "é", "a%20"])
def test_no_sku(text: str) -> None:
    assert not is_sku(text)
