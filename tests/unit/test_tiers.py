"""The cache as the product sees it, and its fence: what an invalidation overtakes fills nothing."""

import pytest

from bff.cache.entry import Entry
from bff.cache.flights import Flight, Flights
from bff.cache.memory import MemoryTier
from bff.cache.tiers import Failed, Loaded, Outcome, SourceTiers, Tiers, key_of

NAMES = ("info", "price")


def made() -> Tiers:
    return Tiers(MemoryTier(NAMES, 10, 10**6), NAMES)


def entry(body: bytes | None = b"{}", began: float = 0.0) -> Entry:
    return Entry(body, b"", began, 99, 99, 99, 99)


class Reader:
    def __init__(self) -> None:
        self.told: list[Outcome | None] = []

    def landed(self, flight: Flight[Outcome]) -> None:
        self.told.append(flight.outcome)


def boarded(source: SourceTiers, sku: str = "1") -> tuple[Flight[Outcome], Reader]:
    flight, _ = source.flights.board(sku)
    reader = Reader()
    flight.join(reader)
    return flight, reader


def landed(source: SourceTiers, result: Entry | Failed, sku: str = "1") -> Reader:
    flight, reader = boarded(source, sku)
    if isinstance(result, Failed):
        source.fail(flight, result)
    else:
        source.land(flight, result)
    return reader


def test_a_key_is_source_sku_and_an_empty_variant() -> None:
    assert key_of("price", "1001") == "price:1001:"


@pytest.mark.parametrize("body", [b"{}", None])
def test_an_answer_is_kept_told_and_looked_up(body: bytes | None) -> None:
    cache, value = made(), entry(body)
    assert landed(cache.of("price"), value).told == [Loaded(value, stored=True)]
    assert cache.memory.look_up("1") == [None, value]
    assert (cache.of("price").current("1"), cache.of("info").current("1")) == (value, None)


def test_a_failure_is_kept_on_the_value_that_stands_and_nowhere_else() -> None:
    source, value = made().of("price"), entry()
    landed(source, value)
    assert landed(source, Failed("timeout")).told == [Failed("timeout")]
    assert landed(source, Failed("garbled"), "2").told == [Failed("garbled")]
    assert (value.failure, source.current("2")) == ("timeout", None)


def test_a_new_value_has_no_failure() -> None:
    source = made().of("price")
    for result in (entry(), Failed("timeout"), entry(began=1.0)):
        landed(source, result)
    current = source.current("1")
    assert current is not None
    assert current.failure is None


async def test_an_answer_that_an_invalidation_overtook_is_given_but_not_kept() -> None:
    cache, value = made(), entry()
    source = cache.of("price")
    flight, reader = boarded(source)
    cache.forget(["1"], ["price"])
    source.land(flight, value)
    assert reader.told == [Loaded(value, stored=False)]
    assert source.current("1") is None


async def test_a_failure_that_an_invalidation_overtook_says_nothing_of_the_value_after_it() -> None:
    cache, value = made(), entry(began=0.5)
    source = cache.of("price")
    old, reader = boarded(source)
    cache.forget(["1"], ["price"])
    landed(source, value)
    source.fail(old, Failed("timeout"))
    assert (source.current("1"), value.failure, reader.told) == (value, None, [Failed("timeout")])


async def test_invalidation_forgets_values_and_404s_and_what_was_never_there() -> None:
    cache = made()
    landed(cache.of("price"), entry(), "1")
    landed(cache.of("price"), entry(None), "2")
    cache.forget((sku for sku in ("1", "2", "3")), ["price"])
    assert [cache.memory.look_up(sku) for sku in ("1", "2", "3")] == [None, None, None]


async def test_invalidation_of_one_leaves_other_skus_and_sources() -> None:
    cache = made()
    for name in NAMES:
        landed(cache.of(name), entry(), "1")
    landed(cache.of("price"), entry(), "2")
    under_way, _ = boarded(cache.of("info"), "1")
    cache.forget(["1"], ["price"])
    assert cache.of("info").current("1") is not None
    assert cache.of("price").current("2") is not None
    assert cache.of("info").flights.take(under_way)


def test_it_says_how_many_loads_are_under_way() -> None:
    cache = made()
    boarded(cache.of("price"))
    boarded(cache.of("info"))
    assert cache.loading == 2
    assert "<Flights 1>" in repr(cache)


class Open(Flights[Outcome]):
    """The control: no fence at all."""

    def take(self, flight: Flight[Outcome]) -> bool:
        super().take(flight)
        return True


async def what_is_kept_of_a_load_that_an_invalidation_overtakes(flights: Flights[Outcome]) -> bytes | None:
    cache = made()
    source = cache.of("price")
    source.flights = flights
    truth = b"old"
    flight, _ = boarded(source)
    read = truth  # on its way here
    truth = b"new"
    cache.forget(["1"], ["price"])
    source.land(flight, entry(read))
    kept = source.current("1")
    return None if kept is None else kept.body


async def test_a_load_that_an_invalidation_overtakes_fills_nothing() -> None:
    assert await what_is_kept_of_a_load_that_an_invalidation_overtakes(Flights()) is None


async def test_control_without_the_fence_the_old_value_gets_in() -> None:
    assert await what_is_kept_of_a_load_that_an_invalidation_overtakes(Open()) == b"old"
