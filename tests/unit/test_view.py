"""The page as a pure function of its parts, against the rules tried out one by one."""

import hashlib
import itertools
import json
from collections.abc import Iterator

import pytest

from bff.cache.entry import Entry
from bff.product import view
from bff.product.parts import SOURCES, Missing, Ok, Part, Parts, Reason, SourceName, Stale
from bff.product.view import Failed, Found, Unknown, Verdict, verdict

BODIES: dict[SourceName, bytes] = {
    "info": b'{"sku_id":"1","name":"x"}',
    "price": b'{"sku_id":"1","price":12.30}',
    "stock": b'{"sku_id":"1","quantity":3,"available":true}',
}
AS_OF = "2026-01-01T00:00:00.123Z"


def entry(name: SourceName, fresh_until: float = 60.0) -> Entry:
    return Entry(BODIES[name], AS_OF.encode(), 0.0, fresh_until, 99, 99, 99)


def kinds(name: SourceName) -> list[Part]:
    """Return what matters of all states: there, gone, failed."""
    return [Ok(entry(name), "load"), Missing("not_found", "load"), Missing("timeout", "load")]


def every(names: tuple[SourceName, ...]) -> Iterator[Parts]:
    for chosen in itertools.product(*(kinds(name) for name in names)):
        yield dict(zip(names, chosen, strict=True))


def subsets() -> list[frozenset[SourceName]]:
    return [frozenset(names) for size in range(4) for names in itertools.combinations(SOURCES, size)]


def by_the_contract(parts: Parts, required: frozenset[SourceName]) -> Verdict:
    """Answer for a page whose parts are all there, row after row of the contract's table."""
    gone = [name for name in SOURCES if parts[name].reason == "not_found"]
    if required & set(gone) or len(gone) == 3:
        return Unknown()
    for name in SOURCES:
        reason = parts[name].reason
        if name in required and parts[name].state == "missing" and reason is not None:
            return Failed(name, reason)
    if not required and all(part.state == "missing" for part in parts.values()):
        reason = parts["info"].reason
        assert reason is not None
        return Failed("info", reason)
    return Found()


@pytest.mark.parametrize("required", subsets(), ids="+".join)
def test_every_page_gets_the_answer_of_the_contract(required: frozenset[SourceName]) -> None:
    for parts in every(SOURCES):
        assert verdict(parts, required) == by_the_contract(parts, required), parts


@pytest.mark.parametrize("required", subsets(), ids="+".join)
def test_it_answers_as_soon_as_nothing_outstanding_can_change_it_and_no_sooner(
    required: frozenset[SourceName],
) -> None:
    for size in range(3):
        for names in itertools.combinations(SOURCES, size):
            rest = tuple(name for name in SOURCES if name not in names)
            for parts in every(names):
                ends = {by_the_contract(parts | more, required) for more in every(rest)}
                # A page that is found waits for all of its parts.
                expected = ends.pop() if len(ends) == 1 and ends != {Found()} else None
                assert verdict(parts, required) == expected, (parts, required)


def test_a_stale_part_is_there() -> None:
    parts: Parts = {name: Stale(entry(name), "timeout", "load") for name in SOURCES}
    assert verdict(parts, frozenset(SOURCES)) == Found()


State = tuple[str, bool, str]

STATES: list[State] = [
    ("ok", True, "public"),
    ("revalidating", True, "revalidate"),
    ("not_found", True, "public"),
    ("timeout", False, "never"),
    ("stale timeout", False, "never"),
    ("shed", False, "never"),
]


def part(state: str, name: SourceName) -> Part:
    match state:
        case "ok":
            return Ok(entry(name), "load")
        case "revalidating":
            return Stale(entry(name), "revalidating", "cache")
        case "stale timeout":
            return Stale(entry(name), "timeout", "load")
        case reason:
            return Missing(reason, "load")  # type: ignore[arg-type] # a reason


@pytest.mark.parametrize("info", STATES, ids=str)
@pytest.mark.parametrize("price", STATES, ids=str)
@pytest.mark.parametrize("stock", STATES, ids=str)
def test_complete_and_storable_are_what_the_worst_part_is(info: State, price: State, stock: State) -> None:
    chosen = (info, price, stock)
    parts: Parts = {name: part(state, name) for name, (state, _, _) in zip(SOURCES, chosen, strict=True)}
    assert view.complete(parts) == all(whole for _, whole, _ in chosen)
    worst = max((keeping for _, _, keeping in chosen), key=("public", "revalidate", "never").index)
    assert view.storable(parts) == worst


def test_a_page_left_before_a_source_had_answered_is_incomplete() -> None:
    parts: Parts = {"info": part("ok", "info"), "price": part("ok", "price"), "stock": Missing(None, "load")}
    assert not view.complete(parts)


def test_the_first_fresh_time_to_end_is_the_pages() -> None:
    parts: Parts = {"info": Ok(entry("info", 60), "load"), "price": Ok(entry("price", 5), "cache")}
    assert view.fresh_until(parts | {"stock": Missing("not_found", "load")}) == 5
    remembered = Entry(None, AS_OF.encode(), 0.0, 1.0, 1.0, 1.0, 1.0)
    assert view.fresh_until(parts | {"stock": Missing("not_found", "cache", remembered)}) == 1


def test_the_page_is_the_parts_as_they_came_and_what_is_known_of_them() -> None:
    parts: Parts = {
        "info": Ok(entry("info"), "load"),
        "price": Stale(entry("price"), "timeout", "load"),
        "stock": Missing("circuit_open", "load"),
    }
    page = view.page(parts, view.content(parts))
    assert page.startswith(
        b'{"info":{"sku_id":"1","name":"x"},"price":{"sku_id":"1","price":12.30},"stock":null,"meta":'
    )
    assert json.loads(page)["meta"] == {
        "complete": False,
        "sources": {
            "info": {"state": "ok", "as_of": AS_OF, "reason": None},
            "price": {"state": "stale", "as_of": AS_OF, "reason": "timeout"},
            "stock": {"state": "missing", "as_of": None, "reason": "circuit_open"},
        },
    }
    assert view.sources(parts) == json.loads(page)["meta"]["sources"]


def test_a_whole_page_says_so() -> None:
    parts: Parts = {name: Ok(entry(name), "load") for name in SOURCES}
    assert json.loads(view.page(parts, view.content(parts)))["meta"]["complete"] is True


def test_an_error_shows_a_source_that_had_not_answered_as_missing_without_a_reason() -> None:
    parts: Parts = {"info": Missing("timeout", "load"), "price": Missing(None, "load"), "stock": Missing(None, "none")}
    nothing = {"state": "missing", "as_of": None, "reason": None}
    assert view.sources(parts) == {"info": nothing | {"reason": "timeout"}, "price": nothing, "stock": nothing}


def test_the_etag_is_weak_and_speaks_of_the_parts_alone() -> None:
    fresh: Parts = {name: Ok(entry(name), "load") for name in SOURCES}
    revalidating = fresh | {"price": Stale(entry("price"), "revalidating", "cache")}
    tag = view.etag(view.content(fresh))
    assert tag == view.etag(view.content(revalidating))
    assert tag == f'W/"{hashlib.blake2b(view.content(fresh), digest_size=16).hexdigest()}"'
    other: Parts = fresh | {"stock": Missing("not_found", "load")}
    assert view.etag(view.content(other)) != tag


@pytest.mark.parametrize("reason", ["timeout", "unavailable", "not_found"])
def test_where_nothing_is_required_and_nothing_there_it_is_info_that_failed(reason: Reason) -> None:
    parts: Parts = {
        "info": Missing(reason, "load"),
        "price": Missing("timeout", "load"),
        "stock": Missing("shed", "none"),
    }
    assert verdict(parts, frozenset()) == Failed("info", reason)
