"""Empty tables of durable work, in memory."""

import sqlite3

from bff.durable.schema import migrate
from bff.durable.sqlite import SqliteConnection


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
