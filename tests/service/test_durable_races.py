"""Workers and callers at the same tables at the same time: threads with connections of their own."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import psycopg
import pytest

from bff.durable import batches, changes, claims, journal, reservations
from bff.durable.changes import Accepted
from bff.durable.claims import Claim, Worker
from bff.durable.driver import Connection, Torn, Tx
from bff.durable.journal import Change
from bff.durable.keys import Key
from bff.durable.reservations import Full, Reserved, Wish
from bff.durable.steps import Fenced, Steps
from tests.service.durabledb import Place, named
from tests.service.test_durable_claims import accept, history, order
from tests.unit.durable_tables import transacted

T = TypeVar("T")
AGAIN = (Torn, sqlite3.IntegrityError, psycopg.IntegrityError)
ROUNDS = 25


class Racers:
    """So many connections, each with a thread where it is needed."""

    def __init__(self, place: Place, many: int) -> None:
        self.connections = [place.connect() for _ in range(many)]

    def run(self, *jobs: Callable[[Connection], T]) -> list[T]:
        """Have each done over a connection of its own, all at once; raise what one of them raised."""
        barrier = threading.Barrier(len(jobs))
        ends: list[Any] = [None] * len(jobs)

        def work(number: int) -> None:
            barrier.wait()
            try:
                ends[number] = jobs[number](self.connections[number])
            except BaseException as exc:
                ends[number] = exc

        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return ends

    def ask(self, *whats: Callable[[Tx], T]) -> list[T]:
        """Run each in a transaction, all at once."""
        return self.run(*(partial(asked, what=what) for what in whats))


def asked(connection: Connection, what: Callable[[Tx], T]) -> T:
    """Run something as a line does: once more by itself, where others were in its way."""
    for _ in range(5):
        try:
            return transacted(connection, what)
        except AGAIN:
            continue
    return transacted(connection, what)


@pytest.fixture
def racers(place: Place) -> Iterator[Racers]:
    place.do(lambda tx: None)
    yield Racers(place, 6)


def test_workers_that_claim_at_once_do_each_change_once_and_one_at_a_time_for_a_sku(
    place: Place, racers: Racers
) -> None:
    accept(place, *(order(f"{number:03}", f"sku {number % 12}") for number in range(60)))
    workers = [named(place, Worker(f"worker {number}", "1")) for number in range(4)]

    def work(connection: Connection, worker: Worker) -> list[Claim]:
        done: list[Claim] = []
        idle = 0
        while idle < 100 and len(done) < 60:
            found = asked(connection, partial(claims.claim, worker=worker, room=3, now=2.0))
            idle = 0 if found else idle + 1
            for each in found:
                for source in each.sources:
                    asked(connection, partial(Steps(each, worker).begin, source=source, now=2.0))
                asked(connection, partial(Steps(each, worker).end, now=2.0))
            done += found
        return done

    done = [each for found in racers.run(*(partial(work, worker=worker) for worker in workers)) for each in found]
    assert sorted((each.change_id, each.epoch) for each in done) == [(f"{number:03}", 1) for number in range(60)]
    assert place.rows("select count(*) from bff_changes where state in ('pending', 'running')") == [(0,)]


def test_no_step_begins_after_a_cancel_that_was_acknowledged(place: Place, racers: Racers) -> None:
    worker = named(place, Worker("worker", "1"))
    before = after = 0
    for number in range(ROUNDS):
        accept(place, order(name := f"{number:03}", name))
        (claimed,) = place.do(partial(claims.claim, worker=worker, room=1, now=2.0))
        begun, cancelled = racers.ask(
            partial(Steps(claimed, worker).begin, source="info", now=3.0),
            partial(changes.cancel, change_id=name, cause="asked for", now=3.0),
        )
        assert isinstance(cancelled, Change)
        events = [event[1] for event in history(place, name)[2:]]
        assert events in (["step_started", "cancel_requested"], ["cancel_requested"])
        assert (begun == "stopped") is (events == ["cancel_requested"])
        before, after = before + (begun != "stopped"), after + (begun == "stopped")
        place.do(partial(Steps(claimed, worker).begin, source="info", now=3.0))
        place.do(partial(Steps(claimed, worker).end, now=3.0))
    assert before + after == ROUNDS


def test_what_is_cancelled_while_it_is_claimed_is_one_or_the_other(place: Place, racers: Racers) -> None:
    worker = named(place, Worker("worker", "1"))
    for number in range(ROUNDS):
        accept(place, order(name := f"{number:03}", name))
        claim = partial(claims.claim, worker=worker, room=100, now=2.0)
        cancel = partial(changes.cancel, change_id=name, cause="asked for", now=2.0)
        claimed, _ = racers.ask(claim, cancel)
        events = [event[1] for event in history(place, name)]
        if claimed:
            assert events == ["accepted", "started", "cancel_requested"]
        else:
            assert events == ["accepted", "cancel_requested", "ended"]


def test_a_name_is_given_to_one_of_those_who_take_it_at_once(place: Place, racers: Racers) -> None:
    for number in range(ROUNDS):
        last = None if number == 0 else place.do(claims.seen)["name"]
        takes = [
            partial(claims.take_name, worker=Worker("name", f"boot {number} {each}"), last=last) for each in range(6)
        ]
        assert sorted(racers.ask(*takes)) == [False] * 5 + [True]


def test_what_the_dead_had_is_taken_over_by_one_of_those_who_find_it(place: Place, racers: Racers) -> None:
    accept(place, *(order(f"{number:03}", f"sku {number}") for number in range(ROUNDS)))
    assert len(place.do(partial(claims.claim, worker=Worker("dead", "1"), room=100, now=2.0))) == ROUNDS
    finders = [named(place, Worker(f"finder {number}", "1")) for number in range(4)]
    taken: list[Claim] = []
    while found := [
        each
        for some in racers.ask(
            *(
                partial(claims.take_over, worker=finder, dead=["dead"], overdue=0.0, room=3, now=5.0)
                for finder in finders
            )
        )
        for each in some
    ]:
        taken += found
    assert sorted((each.change_id, each.epoch) for each in taken) == [(f"{number:03}", 2) for number in range(ROUNDS)]


def test_who_is_taken_over_has_recorded_it_before_or_does_not(place: Place, racers: Racers) -> None:
    dead, finder = named(place, Worker("dead", "1")), named(place, Worker("finder", "1"))

    def finish(tx: Tx, claimed: Claim) -> str:
        try:
            Steps(claimed, dead).finish(tx, "info", "1", 4.0)
        except Fenced:
            return "fenced"
        return "done"

    for number in range(ROUNDS):
        accept(place, order(name := f"{number:03}", name))
        (claimed,) = place.do(partial(claims.claim, worker=dead, room=100, now=2.0))
        place.do(partial(Steps(claimed, dead).begin, source="info", now=3.0))
        take = partial(claims.take_over, worker=finder, dead=["dead"], overdue=0.0, room=20, now=5.0)
        ended, _ = racers.ask(partial(finish, claimed=claimed), take)
        events = [event[1] for event in history(place, name)[3:]]
        assert events in ([["step_done", "started"], ["step_done"]] if ended == "done" else [["started"]])
        place.do(take)  # what is locked is passed over, and found the next time
        assert [event[1] for event in history(place, name)].count("started") == 2


def test_equal_keys_at_once_are_one_change(place: Place, racers: Racers) -> None:
    for number in range(ROUNDS):
        orders = [order(f"{number:03} {each}", key=f"key {number}") for each in range(6)]
        found = racers.ask(*(partial(changes.accept, order=each, now=1.0) for each in orders))
        assert all(isinstance(each, Accepted) for each in found)
        assert len({each.change.id for each in found if isinstance(each, Accepted)}) == 1
        assert sum(not each.replayed for each in found if isinstance(each, Accepted)) == 1
    assert place.rows("select count(*) from bff_changes") == [(ROUNDS,)]


def wish(name: str, key: str = "", quantity: int = 1) -> Wish:
    return Wish(name, "7", quantity, Key("caller", key or name, f"of {key or name}"))


def queued(place: Place) -> int:
    """Return how many are queued, which must be how many are counted."""
    ((counted,),) = place.rows("select count from bff_counts where name = 'queued'")
    ((there,),) = place.rows("select count(*) from bff_reservations where state = 'queued'")
    assert counted == there
    return int(counted)


def test_no_more_is_queued_than_may_be_however_many_come_at_once(place: Place, racers: Racers) -> None:
    most = 40
    taken = 0
    for number in range(6):
        wishes = [[wish(f"{number} {each} {nth}") for nth in range(3)] for each in range(6)]
        found = racers.ask(*(partial(reservations.accept, wishes=some, most=most, now=1.0) for some in wishes))
        answers = [answer for some in found for answer in some]
        taken += sum(isinstance(answer, Reserved) for answer in answers)
        assert all(isinstance(answer, Reserved | Full) for answer in answers)
        assert queued(place) == taken == min(most, 18 * (number + 1))


def test_equal_keys_at_once_are_one_reservation(place: Place, racers: Racers) -> None:
    for number in range(ROUNDS):
        wishes = [[wish(f"{number} {each}", f"key {number}")] for each in range(6)]
        found = racers.ask(*(partial(reservations.accept, wishes=some, most=10_000, now=1.0) for some in wishes))
        assert len({some[0].reservation.id for some in found if isinstance(some[0], Reserved)}) == 1
    assert queued(place) == ROUNDS


def test_a_sku_has_one_batch_and_a_reservation_is_in_one(place: Place, racers: Racers) -> None:
    for number in range(ROUNDS):
        place.do(partial(reservations.accept, wishes=[wish(f"{number} {nth}") for nth in range(4)], most=999, now=1.0))
        make = [
            partial(batches.make, worker=Worker(f"{each}", "1"), batch_id=f"{number} {each}", sku="7", most=9, now=2.0)
            for each in range(6)
        ]
        made = [batch for batch in racers.ask(*make) if batch is not None]
        assert [len(batch.items) for batch in made] == [4]
        deducted = {item.reservation_id: "deducted" for item in made[0].items}
        settle = partial(batches.settle, batch=made[0], results=deducted, now=3.0)
        assert sorted(sum(each.values()) for each in racers.ask(*[settle] * 6)) == [0] * 5 + [4]
        assert queued(place) == 0


def test_what_is_given_back_while_it_is_sold_is_given_back(place: Place, racers: Racers) -> None:
    for number in range(ROUNDS):
        names = [f"{number} {nth}" for nth in range(4)]
        place.do(partial(reservations.accept, wishes=[wish(name) for name in names], most=999, now=1.0))
        make = partial(batches.make, worker=Worker("w", "1"), batch_id=f"batch {number}", sku="7", most=9, now=2.0)
        batch = place.do(make)
        assert batch is not None
        results = dict.fromkeys(names, "deducted")
        release = [partial(reservations.release, caller="caller", reservation_id=name, now=3.0) for name in names[:2]]
        returns = partial(batches.returned, ids=names, now=3.0)
        racers.ask(*release, partial(batches.settle, batch=batch, results=results, now=3.0), returns)
        queued(place)
        place.do(returns)
        states = dict(place.rows("select id, state from bff_reservations where id like ?", f"{number} _"))
        assert states == dict(zip(names, ["released", "released", "confirmed", "confirmed"], strict=True))
        assert queued(place) == 0
        for name in names:
            events = place.do(partial(journal.events, subject=name))
            assert [event.seq for event in events] == [*range(1, len(events) + 1)]
            assert journal.fold_reservation(name, events).state == states[name]


def test_what_may_be_sent_is_shared_by_all_workers(place: Place, racers: Racers) -> None:
    rate, sent = 200.0, 0

    def take(tx: Tx, now: float) -> int:
        allowed = batches.allowance(tx, rate, now)
        batches.spend(tx, allowed)
        return allowed

    for tick in range(40):
        sent += sum(racers.ask(*(partial(take, now=tick * 0.02) for _ in range(6))))
        assert sent <= rate * tick * 0.02 + rate * batches.PACED_SECONDS + 1
    assert sent >= rate * 39 * 0.02 - 1


def test_work_of_the_dead_is_sent_again_by_one_of_those_who_find_it(place: Place, racers: Racers) -> None:
    for number in range(12):
        given = Wish(f"{number}", f"sku {number}", 1, Key("caller", f"{number}", "print"))
        place.do(partial(reservations.accept, wishes=[given], most=999, now=1.0))
        make = partial(batches.make, worker=Worker("dead", "1"), batch_id=f"batch {number}", most=9, now=2.0)
        place.do(partial(make, sku=f"sku {number}"))
    found = racers.ask(
        *(
            partial(batches.take_over, worker=Worker(f"finder {each}", "1"), dead=["dead"], before=0.0, now=3.0)
            for each in range(4)
        )
    )
    assert sorted(batch for some in found for batch in some) == sorted(f"batch {number}" for number in range(12))
    assert place.rows("select count(*) from bff_events where event = 'sent_again'") == [(12,)]
