"""`bff journal`: what happened to changes and reservations, read beside the service that writes it."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer

from bff.commands.ending import end, settings_of
from bff.commands.reading import NotRead, reading
from bff.commands.shown import event as shown_event
from bff.commands.shown import shown
from bff.durable import journal as events
from bff.durable.audit import Audit, Broken, replay
from bff.durable.driver import Tx
from bff.durable.journal import Event
from bff.product.loader import iso

_ABSENT = "-"

journal = typer.Typer(
    no_args_is_help=True,
    help="What happened to changes and reservations, from the database that the environment names; also while the "
    "service runs.",
)

Subject = Annotated[str, typer.Argument(metavar="ID", help="Of a change or a reservation.")]
Subjects = Annotated[list[str] | None, typer.Argument(metavar="ID", help="All there are where none is named.")]
AsJson = Annotated[bool, typer.Option("--json", help="A JSON object a line, with the facts that belong to it.")]


@journal.command("show")
def show_command(subject: Subject, *, as_json: AsJson = False) -> None:
    """Show the events of a change or a reservation, a line each: number, time, event, step, state, cause."""
    with _database() as tx:
        happened = _events(tx, subject)
    if not happened:
        end(1, f"{subject}: has no events")
    if as_json:
        for event in happened:
            _print_json(shown_event(event))
    else:
        print("\n".join(_aligned([_cells(event) for event in happened])))


@journal.command("replay")
def replay_command(subjects: Subjects = None) -> None:
    """Rebuild changes and reservations from their events alone, a line of JSON each, as the service shows them."""
    broken = 0
    with _database() as tx:
        for found in replay(tx, subjects or ()):
            if isinstance(found, Broken):
                broken += 1
                print(f"{found.id}: {found.why}", file=sys.stderr)
            else:
                _print_json(shown(found))
    if broken:
        raise typer.Exit(1)


@journal.command("verify")
def verify_command() -> None:
    """Compare what the events make with what the tables have; end with 1 where anything differs, a line each."""
    with _database() as tx:
        audit = Audit(tx)
        for line in audit.run():
            print(_plain(line))
    read = f"{_many(audit.events, 'event')} of {_many(audit.changes, 'change')} and "
    read += _many(audit.reservations, "reservation")
    if audit.differences:
        end(1, f"{read}: {_many(audit.differences, 'difference')}")
    print(f"{read}: no difference")


@contextmanager
def _database() -> Iterator[Tx]:
    settings = settings_of(os.environ)
    try:
        with reading(settings) as tx:
            yield tx
    except NotRead as exc:
        end(1, str(exc))


def _events(tx: Tx, subject: str) -> Sequence[Event]:
    try:
        return events.events(tx, subject)
    except ValueError:
        end(1, f"{subject}: an event cannot be read")


def _cells(event: Event) -> list[str]:
    cells = (str(event.seq), iso(event.at), event.event, event.step, event.state, event.cause)
    return [_plain(cell or _ABSENT) for cell in cells]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.rjust(widths[0]), *map(str.ljust, others, widths[1:])]
        yield "  ".join(cells).rstrip()


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _plain(text: str) -> str:
    """Return text without what a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _print_json(document: dict[str, object]) -> None:
    print(msgspec.json.encode(document).decode())
