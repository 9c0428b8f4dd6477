"""Reservations in the tables of each kind of database: from their acceptance to the batch, and back again."""

from functools import partial
from typing import Any

import pytest

from bff.durable import batches, journal, reservations
from bff.durable.batches import Batch, Item
from bff.durable.changes import Reused
from bff.durable.claims import Worker
from bff.durable.journal import Reservation
from bff.durable.keys import Key
from bff.durable.reservations import Full, Reserved, Wish
from tests.service.durabledb import Place

WORKER = Worker("one", "1")
MOST = 1000


def wish(name: str, sku: str = "7", *, key: str = "", quantity: int = 1) -> Wish:
    return Wish(name, sku, quantity, Key("caller", key or name, f"of {key or name}"))


def accept(place: Place, *wishes: Wish, most: int = MOST, now: float = 1.0) -> list[Any]:
    return place.do(partial(reservations.accept, wishes=wishes, most=most, now=now))


def make(place: Place, sku: str = "7", batch_id: str = "batch", most: int = MOST) -> Batch | None:
    return place.do(partial(batches.make, worker=WORKER, batch_id=batch_id, sku=sku, most=most, now=2.0))


def settle(place: Place, batch: Batch | None, **results: str) -> dict[tuple[str, str], int]:
    assert batch is not None
    return place.do(partial(batches.settle, batch=batch, results=results, now=3.0))


def release(place: Place, name: str) -> Any:
    return place.do(partial(reservations.release, caller="caller", reservation_id=name, now=4.0))


def returned(place: Place, *names: str) -> dict[tuple[str, str], int]:
    return place.do(partial(batches.returned, ids=names, now=5.0))


def states(place: Place) -> dict[str, tuple[str, str | None]]:
    """Return how all are, which is how their events have them, and as many are queued as are counted."""
    rows = place.rows("select id, state, reason from bff_reservations order by id")
    for name, state, reason in rows:
        folded = journal.fold_reservation(name, place.do(partial(journal.events, subject=name)))
        assert (folded.state, folded.reason) == (state, reason)
    queued = sum(state == "queued" for _, state, _ in rows)
    assert place.rows("select count from bff_counts where name = 'queued'") == [(queued,)]
    return {name: (state, reason) for name, state, reason in rows}


def test_what_is_accepted_is_queued_and_given_again_under_its_key(place: Place) -> None:
    (first,) = accept(place, wish("a", quantity=3))
    assert first == Reserved(Reservation("a", "7", 3, 1.0, updated_at=1.0), replayed=False)
    settle(place, make(place), a="deducted")
    again = accept(place, wish("b", key="a", quantity=3), Wish("c", "7", 4, Key("caller", "a", "else")), now=9.0)
    assert again == [Reserved(first.reservation, replayed=True), Reused()]
    assert states(place) == {"a": ("confirmed", None)}


def test_no_more_is_accepted_than_there_is_room_for_and_the_rest_is_free_to_come_again(place: Place) -> None:
    found = accept(place, *(wish(name) for name in "abc"), most=2)
    assert [type(each) for each in found] == [Reserved, Reserved, Full]
    assert accept(place, wish("a2", key="a"), wish("d"), most=2)[1:] == [Full()]
    settle(place, make(place), a="insufficient")
    assert [each.replayed for each in accept(place, wish("c"), most=2)] == [False]
    assert states(place) == {"a": ("rejected", "insufficient"), "b": ("queued", None), "c": ("queued", None)}


def test_what_the_stock_service_answers_is_how_it_ends_and_what_it_does_not_say_stays(place: Place) -> None:
    answers = {"a": "deducted", "b": "insufficient", "c": "unknown", "d": "released", "e": "what?"}
    accept(place, *(wish(name) for name in "abcdef"))
    batch = make(place)
    assert batch == Batch("batch", "7", tuple(Item(name, 1) for name in "abcdef"))
    assert settle(place, batch, **answers) == {
        ("confirmed", ""): 1,
        ("rejected", "insufficient"): 1,
        ("rejected", "unknown_sku"): 1,
        ("released", ""): 1,
    }
    ends = {
        "a": ("confirmed", None),
        "b": ("rejected", "insufficient"),
        "c": ("rejected", "unknown_sku"),
        "d": ("released", None),
    }
    assert states(place) == {**ends, "e": ("queued", None), "f": ("queued", None)}
    again = place.do(partial(batches.again, batch_id="batch", now=4.0))
    assert again == Batch("batch", "7", (Item("e", 1), Item("f", 1)))
    assert settle(place, again, e="deducted", f="deducted") == {("confirmed", ""): 2}
    assert place.rows("select * from bff_batches") == []
    assert settle(place, batch, **answers) == {}


def test_the_oldest_go_first_and_no_more_than_a_batch_holds(place: Place) -> None:
    accept(place, *(wish(f"{number:04}") for number in range(batches.MOST_ITEMS + 1)))
    accept(place, wish("another", "8"))
    first = make(place, most=2)
    assert first is not None and [item.reservation_id for item in first.items] == ["0000", "0001"]
    assert make(place, batch_id="meanwhile") is None
    settle(place, first, **{"0000": "deducted", "0001": "deducted"})
    second = make(place)
    assert second is not None and len(second.items) == batches.MOST_ITEMS - 1
    assert make(place, "unheard of", "none") is None
    assert place.rows("select sku_id from bff_batches") == [("7",)]


def test_skus_take_turns(place: Place) -> None:
    accept(place, *(wish(f"{sku} {number}", sku) for sku in "abcde" for number in range(3)))

    def waiting(after: str, most: int = 2) -> list[str]:
        return place.do(partial(batches.waiting, after=after, most=most))

    found = {after: waiting(after) for after in ("", "b", "d", "e", "z")}
    first, second = ["a", "b"], ["c", "d"]
    assert found == {"": first, "b": second, "d": ["e", "a"], "e": first, "z": first}
    make(place, "a", "batch of a")
    make(place, "c", "batch of c")
    assert [waiting(after, 10) for after in ("", "b")] == [["b", "d", "e"], ["d", "e", "b"]]


@pytest.mark.parametrize("when", ["before it is sent", "while it is sent", "when it is sold"])
def test_what_is_given_back_is_released_once_its_owner_knows(place: Place, when: str) -> None:
    accept(place, wish("a"), wish("b"))
    batch = None if when == "before it is sent" else make(place)
    if when == "when it is sold":
        settle(place, batch, a="deducted", b="deducted")
    found = release(place, "a")
    assert found is not None and found.id == "a"
    assert release(place, "a") == found
    assert place.do(partial(batches.wanted, most=9)) == [("a", "7")]
    if when == "while it is sent":
        settle(place, batch, a="deducted", b="deducted")
        assert states(place)["a"] == ("queued", None)
    assert make(place, batch_id="later") is None if when != "before it is sent" else make(place) is not None
    assert returned(place, "a", "b") == {("released", ""): 1}
    assert states(place)["a"] == ("released", None)
    assert returned(place, "a", "b") == {}
    assert release(place, "a").state == "released"
    assert place.do(partial(batches.wanted, most=9)) == []


def test_what_was_rejected_cannot_be_given_back(place: Place) -> None:
    accept(place, wish("a"))
    settle(place, make(place), a="insufficient")
    assert release(place, "a") == "rejected"
    assert release(place, "unheard of") is None
    assert states(place) == {"a": ("rejected", "insufficient")}


def test_what_is_too_old_is_expired_once_its_owner_knows_unless_it_is_given_back_first(place: Place) -> None:
    for number, name in enumerate("abc"):
        accept(place, wish(name), now=float(number))
    old = place.do(partial(batches.overdue, before=2.0, most=9))
    assert old == [("a", 1), ("b", 1)]
    place.do(partial(reservations.want, which=old, what="expire", now=6.0))
    assert place.do(partial(batches.overdue, before=2.0, most=9)) == []
    release(place, "b")
    assert returned(place, "a", "b", "c") == {("rejected", "expired"): 1, ("released", ""): 1}
    assert states(place) == {"a": ("rejected", "expired"), "b": ("released", None), "c": ("queued", None)}


def test_a_batch_of_who_is_gone_is_found_by_its_name_and_by_others(place: Place) -> None:
    for sku in "abc":
        accept(place, wish(sku, sku))
        worker = Worker(f"worker {sku}", "1")
        place.do(partial(batches.make, worker=worker, batch_id=f"of {sku}", sku=sku, most=9, now=ord(sku)))
    assert place.do(partial(batches.mine, worker=Worker("worker b", "2"))) == ["of b"]
    take = partial(batches.take_over, worker=WORKER, dead=["worker b"], before=ord("b"), now=200.0)
    assert sorted(place.do(take)) == ["of a", "of b"]
    assert place.do(take) == []
    assert sorted(place.do(partial(batches.mine, worker=WORKER))) == ["of a", "of b"]
    assert [event.event for event in place.do(partial(journal.events, subject="a"))] == ["accepted", "sent_again"]
    states(place)
    assert place.do(partial(batches.again, batch_id="unheard of", now=1.0)) is None


def test_what_may_be_sent_grows_with_time_and_is_never_saved_up(place: Place) -> None:
    def allowed(now: float, rate: float = 100.0) -> int:
        return place.do(partial(batches.allowance, rate=rate, now=now))

    assert allowed(0.0) == 1
    assert allowed(1000.0) == 10
    place.do(partial(batches.spend, items=10))
    assert [allowed(1000.0), allowed(1000.055), allowed(999.0), allowed(1000.055)] == [0, 5, 5, 5]
