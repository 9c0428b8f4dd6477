"""Postgres, for several pods."""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from bff.durable.driver import Lost, Row, Torn
from bff.durable.schema import migrate

T = TypeVar("T")
CONNECT_SECONDS = 2
# A server that is gone without a word is found out in a few seconds, and not by the kernel's two hours.
_BOUNDS = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 4000,
    "options": "-c statement_timeout=4000 -c idle_in_transaction_session_timeout=8000",
    "application_name": "product-bff",
}
_LOCK = 4_711_001
_TORN = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)
_OURS = (psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.DataError)


class PostgresConnection:
    """A connection. IntegrityError is the caller's own doing, and passes."""

    locking = " for update"
    skipping = " for update skip locked"

    def __init__(self, raw: psycopg.Connection[Row]) -> None:
        self._raw = raw

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """Return what a statement finds."""
        return self._do(lambda: self._raw.execute(_placed(sql), parameters).fetchall())

    def run(self, sql: str, *parameters: Any) -> int:
        """Run a statement and return how many rows it met."""
        return self._do(lambda: self._raw.execute(_placed(sql), parameters).rowcount)

    def each(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""
        with self._raw.cursor() as cursor:
            self._do(lambda: cursor.executemany(_placed(sql), parameters))

    def begin(self, *, write: bool) -> None:
        """Begin."""
        self._do(lambda: self._raw.execute("begin" if write else "begin read only"))

    def commit(self) -> None:
        """Commit it."""
        self._do(lambda: self._raw.execute("commit"))

    def rollback(self) -> None:
        """Undo it."""
        self._do(lambda: self._raw.execute("rollback"))

    def close(self) -> None:
        """Close."""
        self._raw.close()

    def _do(self, what: Callable[[], T]) -> T:
        try:
            return what()
        except _TORN as exc:
            raise Torn from exc
        except _OURS as exc:
            if isinstance(exc, errors.UndefinedTable) and '"bff_' in str(exc):
                raise Lost from exc  # somebody has dropped it: a new connection makes it again
            raise
        except psycopg.Error as exc:
            raise Lost from exc


class Postgres:
    """A database of a server. clock: monotonic seconds; the time of day is the server's, as of the first connection."""

    def __init__(self, url: str, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._url = url
        self._clock = clock
        self._offset = wall_clock() - clock()
        self._known = False
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "<Postgres>"  # its URL holds a password

    def now(self) -> float:
        """Return the seconds since 1970, by the server's clock, which never jump while the process lives."""
        return self._clock() + self._offset

    def connect(self) -> PostgresConnection:
        """Return a connection; raises Lost."""
        try:
            raw = psycopg.connect(self._url, autocommit=True, **_BOUNDS)  # type: ignore[arg-type] # libpq's own
        except psycopg.Error as exc:
            raise Lost from exc
        connection = PostgresConnection(raw)
        try:
            with self._lock:
                _migrate(connection)
                self._set_clock(connection)
        except (Torn, psycopg.Error) as exc:
            connection.close()
            raise Lost from exc
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_clock(self, connection: PostgresConnection) -> None:
        """Agree with the other pods on the time, once: what is known by now must not jump."""
        if not self._known:
            ((now,),) = connection.rows("select extract(epoch from clock_timestamp())::double precision")
            self._offset = now - self._clock()
            self._known = True


def look(url: str) -> PostgresConnection:
    """Return a connection in a transaction that reads one snapshot; no table is made. Raises Lost."""
    try:
        raw = psycopg.connect(url, autocommit=True, **_BOUNDS)  # type: ignore[arg-type] # libpq's own
    except psycopg.Error as exc:
        raise Lost from exc
    connection = PostgresConnection(raw)
    try:
        connection.run("begin isolation level repeatable read read only")
        there = connection.rows("select to_regclass('bff_events') is not null") == [(True,)]
    except BaseException:
        connection.close()
        raise
    if not there:
        connection.close()
        raise Lost("has no tables of durable work")
    return connection


def is_url(text: str) -> bool:
    """Return whether a URL names a host and can be read; what libpq says of one that it cannot may quote a password."""
    try:
        parts = urlsplit(text)
        conninfo_to_dict(text)
        return parts.scheme in ("postgresql", "postgres") and bool(parts.hostname) and parts.port != 0
    except (psycopg.Error, ValueError):
        return False


def reach(url: str) -> tuple[bool, str]:
    """Try once whether a database can be used as a service would; return whether, and what was found."""
    try:
        with psycopg.connect(url, autocommit=True, **_BOUNDS) as raw:  # type: ignore[arg-type] # libpq's own
            sql = "select current_setting('server_version'), has_database_privilege(current_database(), 'CREATE')"
            ((version, creates),) = raw.execute(sql).fetchall()
    except psycopg.Error as exc:
        return False, type(exc).__name__.lower()  # its text names the host
    return bool(creates), f"Postgres {version}" if creates else "must be allowed to create a schema"


@cache
def _placed(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def _migrate(connection: PostgresConnection) -> None:
    connection.begin(write=True)
    connection.rows("select 1 from pg_advisory_xact_lock(?)", _LOCK)  # one process at a time
    migrate(connection)
    connection.commit()
