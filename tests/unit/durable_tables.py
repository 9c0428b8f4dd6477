"""Tables of durable work: empty ones in memory, and a transaction on any."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from bff.durable.driver import Connection, Tx
from bff.durable.schema import migrate
from bff.durable.sqlite import SqliteConnection

T = TypeVar("T")


def _template() -> sqlite3.Connection:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    migrate(SqliteConnection(raw))
    return raw


_TEMPLATE = _template()


def tables() -> SqliteConnection:
    """Return empty tables, in memory."""
    raw = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _TEMPLATE.backup(raw)
    return SqliteConnection(raw)


def transacted(connection: Connection, what: Callable[[Tx], T]) -> T:
    """Run something in a transaction of a connection."""
    connection.begin(write=True)
    try:
        found = what(connection)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return found
