"""Changes in the tables: accepted once under a key, done one at a time for a SKU, by one worker at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bff.durable import changes, claims, journal
from bff.durable.changes import Accepted, Ended, Order, Part, Reused
from bff.durable.claims import Claim, Worker
from bff.durable.driver import Tx
from bff.durable.journal import Change
from bff.durable.keys import Key, fingerprint
from bff.durable.steps import Fenced, Steps, Usurped
from tests.service.durabledb import Place, named

ONE, TWO = Worker("one", "boot 1"), Worker("two", "boot 1")
ROOM = 20


def order(change_id: str, sku: str = "7", *, priority: int = 5, key: str = "", caller: str = "caller") -> Order:
    name = key or change_id
    parts = (Part("price", "1", "1"), Part("info", "1", "1"))
    return Order(change_id, sku, Key(caller, name, f"of {name}"), parts, 60.0, priority, "request", "trace")


def accept(place: Place, *orders: Order) -> list[Any]:
    return [place.do(partial(changes.accept, order=each, now=1.0)) for each in orders]


def claim(place: Place, worker: Worker = ONE, room: int = ROOM) -> list[Claim]:
    return place.do(partial(claims.claim, worker=worker, room=room, now=2.0))


def ids(found: list[Claim]) -> list[str]:
    return [each.change_id for each in found]


def end(place: Place, claimed: Claim, worker: Worker = ONE) -> None:
    steps = Steps(claimed, worker)
    for source in claimed.sources:
        place.do(partial(steps.begin, source=source, now=3.0))
        place.do(partial(steps.send, source=source, before=("0", "0"), etag=None))
        place.do(partial(steps.finish, source=source, shown="1", now=3.0))
    assert place.do(partial(steps.end, now=3.0)) == "succeeded"


def history(place: Place, change_id: str) -> list[tuple[int, str, str | None, str | None]]:
    events = place.do(partial(journal.events, subject=change_id))
    return [(event.seq, event.event, event.step, event.state) for event in events]


def test_a_key_that_comes_again_is_given_what_was_accepted_first_whatever_has_become_of_it(place: Place) -> None:
    (first,) = accept(place, order("a"))
    assert isinstance(first, Accepted) and not first.replayed
    named(place, ONE)
    end(place, claim(place)[0])
    (again,) = accept(place, order("b", key="a"))
    assert again == Accepted(first.change, replayed=True)
    assert (again.change.id, again.change.state) == ("a", "pending")
    assert place.rows("select count(*) from bff_changes") == [(1,)]


def test_a_key_that_comes_with_something_else_is_refused_and_another_callers_is_another(place: Place) -> None:
    accept(place, order("a"))
    other = order("b", key="a")
    found = accept(
        place,
        Order("b", "7", Key("caller", "a", "else"), other.parts, 60.0, 5, "request", "trace"),
        order("c", key="a", caller="another"),
    )
    assert found[0] == Reused()
    assert isinstance(found[1], Accepted) and not found[1].replayed
    assert place.rows("select id from bff_changes order by id") == [("a",), ("c",)]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({}, {"a": None}, False),
        ({"a": True}, {"a": 1}, False),
    ],
)
def test_bodies_are_told_apart_by_what_they_say(one: Any, two: Any, same: bool) -> None:  # noqa: FBT001 - a table's
    assert (fingerprint("POST", "/path", one) == fingerprint("POST", "/path", two)) is same
    assert fingerprint("POST", "/path", one) != fingerprint("POST", "/other", one)


def test_one_change_at_a_time_for_a_sku_and_the_next_once_it_has_ended(place: Place) -> None:
    named(place, ONE)
    accept(place, order("a"), order("b"), order("c", "8"))
    first = claim(place)
    assert ids(first) == ["a", "c"]
    assert claim(place) == []
    end(place, first[0])
    assert ids(claim(place)) == ["b"]


def test_what_is_urgent_comes_first_and_what_is_old_comes_first_among_equals(place: Place) -> None:
    skus = iter(range(100))
    accept(
        place,
        order("a", str(next(skus)), priority=9),
        order("b", str(next(skus)), priority=5),
        order("d", str(next(skus)), priority=0),
        order("c", str(next(skus)), priority=5),
        order("e", "same", priority=5),
        order("f", "same", priority=1),
    )
    assert [ids(claim(place, room=room)) for room in range(1, 6)] == [["d"], ["f"], ["b"], ["c"], ["a"]]


def test_no_more_is_claimed_than_there_is_room_for_what_is_under_way_included(place: Place) -> None:
    accept(place, *(order(f"{number:02}", f"sku {number}") for number in range(8)))
    assert len(claim(place, room=3)) == 3
    assert claim(place, room=3) == []
    assert len(claim(place, TWO, room=2)) == 2
    assert len(claim(place, room=4)) == 1


def test_what_is_urgent_has_room_of_its_own(place: Place) -> None:
    accept(place, *(order(f"{number:02} bulk", f"sku {number}", priority=9) for number in range(8)))
    assert len(claim(place, room=3)) == 3
    urgent = [order(f"{number:02} urgent", f"urgent {number}", priority=number // 2) for number in range(8)]
    accept(place, *urgent)
    assert ids(claim(place, room=3)) == ["00 urgent", "01 urgent", "02 urgent"]
    assert claim(place, room=3) == []


def test_what_a_worker_leaves_is_taken_over_by_whoever_looks_first(place: Place) -> None:
    for worker in (ONE, TWO):
        named(place, worker)
    accept(place, order("a", "a"), order("b", "b"))
    (left,) = claim(place, room=1)
    claim(place, TWO, room=1)
    place.do(partial(claims.leave, worker=Worker(ONE.id, "another boot")))
    assert ids(place.do(partial(claims.mine, worker=ONE))) == ["a"]
    place.do(partial(claims.leave, worker=ONE))
    assert set(place.do(claims.seen)) == {"two"}
    with pytest.raises(Fenced):
        place.do(partial(Steps(left, ONE).begin, source="info", now=3.0))
    take = partial(claims.take_over, worker=TWO, dead=[], overdue=0.0, room=ROOM, now=3.0)
    (taken,) = place.do(take)
    assert (taken.change_id, taken.epoch) == ("a", left.epoch + 1)
    end(place, taken, TWO)
    assert place.do(take) == []


def test_parts_are_written_in_one_order_whatever_order_they_came_in(place: Place) -> None:
    accept(place, order("a"))
    assert claim(place) == [Claim("a", 1, ("info", "price"))]


def test_what_is_cancelled_before_it_began_ends_at_once_and_is_never_claimed(place: Place) -> None:
    accept(place, order("a"))
    cancel = partial(changes.cancel, change_id="a", cause="asked for", now=2.0)
    found = place.do(cancel)
    assert isinstance(found, Change) and found.state == "cancelled"
    assert place.do(cancel) == Ended()
    assert place.do(partial(changes.cancel, change_id="b", cause="asked for", now=2.0)) is None
    assert claim(place) == []
    assert history(place, "a")[1:] == [(2, "cancel_requested", None, None), (3, "ended", None, "cancelled")]


def test_a_cancel_that_comes_again_is_the_same_one(place: Place) -> None:
    named(place, ONE)
    accept(place, order("a"))
    claim(place)
    cancel = partial(changes.cancel, change_id="a", cause="asked for", now=2.0)
    assert place.do(cancel) == place.do(cancel)
    assert len(history(place, "a")) == 3


Method = Callable[[Steps], Callable[[Tx], Any]]
METHODS: dict[str, Method] = {
    "begin": lambda steps: partial(steps.begin, source="info", now=3.0),
    "send": lambda steps: partial(steps.send, source="info", before=("0", "0"), etag='"e"'),
    "unsent": lambda steps: partial(steps.unsent, source="info", unsure=True),
    "finish": lambda steps: partial(steps.finish, source="info", shown="1", now=3.0),
    "fail": lambda steps: partial(steps.fail, source="info", cause="cause", now=3.0),
    "begin_undo": lambda steps: partial(steps.begin_undo, source="info", now=3.0),
    "send_undo": lambda steps: partial(steps.send_undo, source="info", etag='"e"'),
    "undone": lambda steps: partial(steps.undone, source="info", state="compensated", now=3.0),
    "fail_undo": lambda steps: partial(steps.fail_undo, source="info", cause="cause", now=3.0),
    "end": lambda steps: partial(steps.end, now=3.0),
}


def everything(place: Place) -> list[Any]:
    return [place.rows(f"select * from {table} order by 1, 2") for table in ("bff_changes", "bff_parts", "bff_events")]


def test_an_older_claim_begins_nothing_and_records_nothing(place: Place) -> None:
    named(place, ONE)
    named(place, TWO)
    accept(place, order("a"))
    (old,) = claim(place)
    (new,) = place.do(partial(claims.take_over, worker=TWO, dead=["one"], overdue=0.0, room=ROOM, now=3.0))
    assert new.epoch > old.epoch
    before = everything(place)
    for steps in (Steps(old, ONE), Steps(new, ONE), Steps(old, TWO)):
        for method in METHODS.values():
            with pytest.raises(Fenced):
                place.do(method(steps))
    assert everything(place) == before
    end(place, new, TWO)


def test_a_process_whose_name_another_one_has_begins_nothing_and_records_nothing(place: Place) -> None:
    named(place, ONE)
    accept(place, order("a"))
    (claimed,) = claim(place)
    again = named(place, Worker(ONE.id, "boot 2"))
    before = everything(place)
    for method in METHODS.values():
        with pytest.raises(Usurped):
            place.do(method(Steps(claimed, ONE)))
    assert everything(place) == before
    end(place, claimed, again)


def test_what_has_ended_says_so_to_whoever_asks(place: Place) -> None:
    named(place, ONE)
    accept(place, order("a"))
    (claimed,) = claim(place)
    end(place, claimed)
    assert place.do(partial(Steps(claimed, TWO).end, now=9.0)) == "succeeded"
    with pytest.raises(Fenced):
        place.do(partial(Steps(claimed, ONE).begin, source="info", now=9.0))


def test_what_the_dead_had_and_what_nobody_was_heard_of_is_taken_over_and_nothing_else(place: Place) -> None:
    accept(place, *(order(name, name) for name in "abcd"))
    for number, name in enumerate("abc"):
        (claimed,) = place.do(partial(claims.claim, worker=Worker(name, "1"), room=1, now=10.0 + number))
        assert claimed.change_id == name
    found = place.do(partial(claims.take_over, worker=TWO, dead=["b", "nobody"], overdue=11.0, room=ROOM, now=20.0))
    assert [(each.change_id, each.epoch) for each in found] == [("a", 2), ("b", 2)]
    assert [event[1:] for event in history(place, "b")[1:]] == [("started", None, "running")] * 2
    assert place.do(partial(claims.mine, worker=TWO)) == found
    assert ids(place.do(partial(claims.mine, worker=Worker("c", "another boot")))) == ["c"]
    assert place.do(partial(claims.take_over, worker=TWO, dead=["b"], overdue=11.0, room=ROOM, now=20.0)) == []


def test_no_more_is_taken_over_than_there_is_room_for_and_what_is_urgent_first(place: Place) -> None:
    accept(place, *(order(name, name, priority=9 - number) for number, name in enumerate("abcde")))
    claim(place)
    take = partial(claims.take_over, worker=TWO, dead=["one"], overdue=0.0, room=2, now=20.0)
    assert [ids(place.do(take)) for _ in range(4)] == [["e", "d"], ["c", "b"], ["a"], []]


def test_a_name_is_taken_only_from_whom_nothing_was_heard_since(place: Place) -> None:
    take = partial(claims.take_name, worker=Worker("one", "boot 2"))
    named(place, ONE)
    seen = place.do(claims.seen)["one"]
    assert place.do(partial(claims.beat, worker=ONE))
    assert not place.do(partial(take, last=seen))
    assert not place.do(partial(take, last=None))
    assert place.do(partial(take, last=place.do(claims.seen)["one"]))
    assert not place.do(partial(claims.beat, worker=ONE))
    assert place.do(partial(claims.beat, worker=Worker("one", "boot 2")))


def test_the_dead_are_buried_once_they_have_nothing_to_do(place: Place) -> None:
    for worker in (ONE, TWO, Worker("idle", "1"), Worker("alive", "1")):
        named(place, worker)
    accept(place, order("a"))
    (claimed,) = claim(place)
    place.do(lambda tx: tx.run("insert into bff_batches values ('batch', '7', 'two', 0)"))
    place.do(partial(claims.bury, dead=["one", "two", "idle", "unheard of"]))
    assert set(place.do(claims.seen)) == {"one", "two", "alive"}
    end(place, claimed)
    place.do(lambda tx: tx.run("delete from bff_batches"))
    place.do(partial(claims.bury, dead=["one", "two"]))
    assert set(place.do(claims.seen)) == {"alive"}


def test_changes_are_listed_newest_first_and_page_by_page(place: Place) -> None:
    accept(place, *(order(f"{number:02}", f"sku {number}") for number in range(7)))
    claim(place, room=2)

    def page(state: str | None, limit: int, before: str | None) -> list[str]:
        found = place.do(partial(changes.page, state=state, limit=limit, before=before))
        return [each.id for each in found]

    assert page(None, 3, None) == ["06", "05", "04"]
    assert page(None, 3, "04") == ["03", "02", "01"]
    assert page(None, 3, "01") == ["00"]
    assert page("running", 20, None) == ["01", "00"]
    assert page("pending", 2, "04") == ["03", "02"]
    assert page("failed", 2, None) == []
    assert place.do(partial(changes.find, change_id="nothing")) is None
