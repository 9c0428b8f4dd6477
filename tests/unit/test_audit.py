"""The audit of the journal: untouched it finds nothing, and each thing that is broken it finds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bff.api import changes as change_routes
from bff.api import reservations as reservation_routes
from bff.commands.shown import shown
from bff.durable import batches, changes, journal, reservations
from bff.durable.audit import PAGE, Audit, Broken, replay
from bff.durable.changes import Order, Part
from bff.durable.driver import Connection
from bff.durable.journal import Change, Event, Reservation
from bff.durable.keys import Key
from bff.durable.reservations import Wish
from bff.durable.sqlite import Sqlite

CHANGE = "c" * 32
PENDING = "d" * 32
SOLD, QUEUED, EXPIRED, RETURNED, RETURNING = (letter * 32 for letter in "12345")
MISSING = "f" * 32


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Connection]:
    """A database in which a change was compensated, another one waits, and reservations are in every state."""
    file = Sqlite(tmp_path / "bff.sqlite", lambda: 0.0)
    connection = file.connect()
    connection.begin(write=True)
    _change(connection)
    _reservations(connection)
    yield connection
    connection.close()
    file.release()


def _change(tx: Connection) -> None:
    for subject, parts in ((CHANGE, ("info", "price")), (PENDING, ("stock",))):
        order = Order(subject, "1001", _key(subject), tuple(Part(n, "{}", "{}") for n in parts), 60, 5, "r", "t")
        changes.accept(tx, order, 100.0)
    changes.record(tx, CHANGE, 1, 101.0, [Event(0, 0, "started", state="running")])
    changes.record(tx, CHANGE, 2, 102.0, [Event(0, 0, "step_started", "info", "running")])
    changes.record(tx, CHANGE, 3, 103.0, [Event(0, 0, "step_done", "info", "done")])
    changes.record(tx, CHANGE, 4, 104.0, [Event(0, 0, "step_started", "price", "running")])
    changes.record(tx, CHANGE, 5, 105.0, [Event(0, 0, "step_failed", "price", "failed", "no")])
    changes.cancel(tx, CHANGE, "asked for", 106.0)
    changes.record(tx, CHANGE, 7, 107.0, [Event(0, 0, "step_compensated", "info", "compensated")])
    changes.record(tx, CHANGE, 8, 108.0, [Event(0, 0, "ended", state="compensated", cause="price: no")])


def _reservations(tx: Connection) -> None:
    ids = (SOLD, QUEUED, EXPIRED, RETURNED, RETURNING)
    reservations.accept(tx, [Wish(each, "1001", 2, _key(each)) for each in ids], 100, 200.0)
    batches.end(tx, [(each, 1, "confirmed", None) for each in (SOLD, RETURNED, RETURNING)], 201.0)
    reservations.want(tx, [(EXPIRED, 1)], "expire", 202.0)
    for each in (RETURNED, RETURNING):
        reservations.release(tx, "shop", each, 203.0)
    batches.returned(tx, [EXPIRED, RETURNED], 204.0)


def _key(subject: str) -> Key:
    return Key("shop", f"key of {subject}", "print")


def found(tx: Connection) -> list[str]:
    return list(Audit(tx).run())


def test_nothing_is_found_where_nothing_is_broken_and_all_is_counted(database: Connection) -> None:
    audit = Audit(database)
    assert list(audit.run()) == []
    counted = (audit.events, audit.changes, audit.reservations, audit.differences)
    assert counted == (9 + 1 + 2 + 1 + 3 + 4 + 3, 2, 5, 0)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (f"update bff_changes set state = 'succeeded' where id = '{CHANGE}'", "state is succeeded, and compensated by"),
        (f"update bff_changes set state = 'running' where id = '{PENDING}'", "state is running, and pending by its"),
        (f"update bff_changes set seq = 8 where id = '{CHANGE}'", "seq is 8, and 9 by its events"),
        (f"update bff_changes set ended_at = null where id = '{CHANGE}'", "ended_at is nothing, and 108.0 by its"),
        (f"update bff_changes set ended_at = 5 where id = '{PENDING}'", "ended_at is 5.0, and nothing by its events"),
        (f"update bff_changes set cancelled = 0 where id = '{CHANGE}'", "cancelled is 0, and 1 by its events"),
        (f"update bff_changes set sku_id = '1' where id = '{CHANGE}'", "sku_id is 1, and 1001 by its events"),
        (f"update bff_reservations set state = 'released' where id = '{SOLD}'", "state is released, and confirmed by"),
        (f"update bff_reservations set reason = 'x' where id = '{EXPIRED}'", "reason is x, and expired by its events"),
        (f"update bff_reservations set seq = 3 where id = '{SOLD}'", "seq is 3, and 2 by its events"),
        (f"update bff_reservations set quantity = 3 where id = '{SOLD}'", "quantity is 3, and 2 by its events"),
        (f"update bff_reservations set ended_at = null where id = '{SOLD}'", "ended_at is nothing, and 201.0 by its"),
        (f"delete from bff_events where subject = '{CHANGE}' and seq = 3", "event 4 comes where 3 is due"),
        (f"delete from bff_events where subject = '{CHANGE}' and seq = 1", "its events do not begin with an accept"),
        (f"update bff_events set facts = '{{' where subject = '{CHANGE}' and seq = 1", "an event cannot be read"),
        (f"update bff_events set facts = '3' where subject = '{CHANGE}' and seq = 1", "its events make no state"),
        (f"update bff_events set step = 'x' where subject = '{CHANGE}' and seq = 3", "its events make no state"),
        (f"update bff_events set event = 'accepted' where subject = '{SOLD}' and seq = 2", "ended_at is 201.0, and"),
        (f"delete from bff_events where subject = '{PENDING}'", "is in bff_changes, and has no events"),
        (f"delete from bff_events where subject = '{SOLD}'", "is in bff_reservations, and has no events"),
        ("update bff_counts set count = 7 where name = 'queued'", "queued is 7, and 1 reservations are queued"),
        ("delete from bff_counts", "queued is nothing, and 1 reservations are queued"),
        (f"update bff_keys set subject = '{MISSING}' where subject = '{SOLD}'", f"of shop: {MISSING} is not there"),
    ],
)
def test_each_difference_is_found_and_no_other_one(database: Connection, broken: str, said: str) -> None:
    assert database.run(broken) >= 1
    (line,) = found(database)
    assert said in line


def test_events_and_a_key_of_nothing_are_found(database: Connection) -> None:
    database.run(f"delete from bff_reservations where id = '{SOLD}'")
    assert found(database) == [
        f"{SOLD}: has events, and is neither a change nor a reservation",
        f"key key of {SOLD} of shop: {SOLD} is not there",
    ]


@pytest.mark.parametrize(
    ("subject", "events", "said"),
    [
        (CHANGE, ["ended"], "it ends as compensated, then compensated"),
        (CHANGE, ["step_started"], "step_started comes after its end"),
        (EXPIRED, ["release_requested"], "release_requested comes after its end"),
        (SOLD, ["ended"], "it ends as confirmed, then compensated"),
        (RETURNED, ["ended"], "it ends as confirmed, then released, then compensated"),
    ],
)
def test_an_end_is_single_and_last(database: Connection, subject: str, events: list[str], said: str) -> None:
    last = len(journal.events(database, subject))
    state = {"ended": "compensated"}
    for seq, event in enumerate(events, last + 1):
        journal.append(database, subject, [Event(seq, 300.0, event, state=state.get(event))])
    assert f"{subject}: {said}" in found(database)


def test_a_change_among_reservations_is_found(database: Connection) -> None:
    database.run(
        f'update bff_events set facts = \'{{"sku_id": "1", "steps": []}}\' where subject = \'{SOLD}\' and seq = 1'
    )
    assert f"{SOLD}: is a change by its events, and not in its table" in found(database)


def test_a_confirmed_one_that_is_on_its_way_back_is_in_order(database: Connection) -> None:
    assert journal.events(database, RETURNING)[-1].event == "release_requested"
    assert found(database) == []


def test_one_broken_subject_does_not_hide_those_beside_it(database: Connection) -> None:
    database.run(f"update bff_events set facts = '{{' where subject = '{SOLD}' and seq = 1")
    database.run(f"update bff_reservations set seq = 5 where id = '{QUEUED}'")
    assert found(database) == [
        f"{SOLD}: an event cannot be read",
        f"{QUEUED}: seq is 5, and 1 by its events",
    ]


def test_replay_gives_all_there_are_or_those_that_are_named_in_their_order(database: Connection) -> None:
    assert [each.id for each in replay(database)] == sorted(
        [CHANGE, PENDING, SOLD, QUEUED, EXPIRED, RETURNED, RETURNING]
    )
    named = list(replay(database, [PENDING, MISSING, SOLD, PENDING]))
    assert [each.id for each in named] == [PENDING, MISSING, SOLD]
    assert isinstance(named[0], Change)
    assert named[1] == Broken(MISSING, "has no events")
    assert isinstance(named[2], Reservation)
    assert (named[2].state, named[2].updated_at) == ("confirmed", 201.0)


def test_more_than_a_page_is_read_to_its_end(database: Connection) -> None:
    many = [f"{number:032x}" for number in range(2 * PAGE + 1)]
    reservations.accept(database, [Wish(each, "1001", 1, _key(each)) for each in many], 10**6, 300.0)
    assert [each.id for each in replay(database, many)] == many
    assert len(list(replay(database))) == len(many) + 7
    assert found(database) == []
    database.run("delete from bff_events where at = 300")
    silent = [line for line in found(database) if "has no events" in line]
    assert len(silent) == len(many)
    database.run("delete from bff_reservations where created_at = 300")
    assert len([line for line in found(database) if "is not there" in line]) == len(many)


@pytest.mark.parametrize("subject", [CHANGE, PENDING, SOLD, QUEUED, EXPIRED, RETURNED])
def test_whatever_has_happened_is_shown_as_the_service_shows_it(database: Connection, subject: str) -> None:
    happened = journal.events(database, subject)
    for so_far in range(1, len(happened) + 1):
        if subject in (CHANGE, PENDING):
            change = journal.fold_change(subject, happened[:so_far])
            assert shown(change) == change_routes.view(change)
        else:
            reservation = journal.fold_reservation(subject, happened[:so_far])
            assert shown(reservation) == reservation_routes.view(reservation)
