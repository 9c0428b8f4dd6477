"""The database of durable work, opened beside those who write to it: for reading alone, in one transaction.

Of SQLite's file no lock is taken: the service holds it for as long as it lives, and write-ahead logging gives a reader
the file as it was when it began.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bff.durable.driver import Lost, Torn, Tx
from bff.durable.sqlite import BUSY_SECONDS, SqliteConnection
from bff.settings import Settings

_ALLOWANCES = ("statement_timeout", "idle_in_transaction_session_timeout")
"""Of Postgres. What is short for a service is too short for whoever reads all there is, or a page of it."""

ALLOWED = "10min"


class NotRead(Exception):
    """The database cannot be read; the text says why."""


@contextmanager
def reading(settings: Settings) -> Iterator[Tx]:
    """Open the database that settings name, and close it; raises NotRead."""
    path = settings.data_dir / "bff.sqlite"
    where = str(path) if settings.database_url is None else "BFF_DATABASE_URL"
    try:
        with _sqlite(path) if settings.database_url is None else _postgres(settings.database_url) as tx:
            yield tx
    except (Lost, Torn, sqlite3.Error) as exc:
        raise NotRead(f"{where}: {_why(exc)}") from exc


@contextmanager
def _sqlite(path: Path) -> Iterator[Tx]:
    if not path.is_file():
        raise NotRead(f"{path}: is not there; has the service run with this BFF_DATA_DIR?")
    try:
        # As a URI, so that a name may hold what means something else there.
        raw = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=BUSY_SECONDS, uri=True)
    except sqlite3.Error as exc:
        raise Lost from exc
    raw.isolation_level = None
    with closing(SqliteConnection(raw)) as connection:
        connection.begin(write=False)
        if not connection.rows("select 1 from sqlite_master where name = 'bff_events'"):
            raise NotRead(f"{path}: is empty; has the service run with this BFF_DATA_DIR?")
        yield connection


@contextmanager
def _postgres(url: str) -> Iterator[Tx]:
    from bff.durable.postgres import look  # psycopg, for those alone who have a server

    with closing(look(url)) as connection:
        for name in _ALLOWANCES:
            connection.run(f"set local {name} = '{ALLOWED}'")
        yield connection


def _why(error: Exception) -> str:
    """Return what a driver said, unless that could be a piece of the URL, which holds a password."""
    cause = error.__cause__ or error
    if cause is error:
        return str(error)
    if type(cause).__name__ == "OperationalError":  # of either driver (PEP 249): it was the database
        return str(cause).partition("\n")[0]
    return "cannot be read"
