"""The play that tests of changes are played in."""

from dataclasses import replace

from bff.durable import journal
from bff.durable.claims import Worker
from bff.durable.steps import Usurped
from bff.product.writing import Declined, Stored, Write
from clients.given import Given as Shown
from clients.source import Caller
from tests.unit.durable_owner import SKU, Owner
from tests.unit.durable_world import CHANGE, lives, world


def test_a_change_that_nothing_happens_to_is_written_part_by_part() -> None:
    with world() as played:
        assert lives(played) == "succeeded"
        assert [owner.value for owner in played.owners.values()] == [
            b'{"sku_id":"7","info":"ours"}',
            b'{"sku_id":"7","price":"ours"}',
        ]
        one = ["transaction", "read {}", "transaction", "write {}", "transaction"]
        assert played.trace == [
            *(place.format("info") for place in one),
            *(place.format("price") for place in one),
            "transaction",
        ]


def test_a_life_ends_where_the_plan_has_a_crash_and_another_goes_on() -> None:
    with world(plan={3: "crash"}) as played:
        assert lives(played) == "succeeded"
        assert [event.cause for event in journal.events(played.tables, CHANGE) if event.event == "started"] == [
            None,
            "taken over: one is gone",
        ]


def test_an_owner_gives_a_key_its_first_answer_again() -> None:
    owner = Owner("price")
    given = Shown(b"1", b"1")
    write = Write("price", SKU, given, Caller("request", "trace"), '"1"', "key")
    assert owner.take(write) == Stored(b"1")
    owner.intrude()
    assert owner.take(write) == Stored(b"1")
    assert owner.take(replace(write, key="another")) == Declined(412)


def test_a_process_that_is_usurped_says_so() -> None:
    with world(plan={2: "paused"}) as played:
        old = played.name(Worker("one", "1"))
        claim = played.claim(old)
        life = played.life(old, claim)
        life.send(None)
        played.name(Worker("one", "2"))
        try:
            life.send(None)
        except Usurped:
            return
        raise AssertionError
