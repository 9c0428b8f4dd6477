"""SQLite, embedded: one file, that one process holds for as long as it lives."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog

from bff.durable.driver import Lost, Row
from bff.durable.schema import migrate

log = structlog.get_logger(__name__)

T = TypeVar("T")
BUSY_SECONDS = 2.0
_CALLERS = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG)
_LOST = (sqlite3.OperationalError, sqlite3.DatabaseError, OSError)


class SqliteConnection:
    """A connection to the file. What is the caller's own doing passes as it is.

    paths: what must still be there, and be the same, when something is committed.
    """

    locking = skipping = ""  # a transaction that writes is alone

    def __init__(self, raw: sqlite3.Connection, *paths: Path) -> None:
        self._raw = raw
        self._paths = paths
        self._files = [_identity(path) for path in paths]

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """Return what a statement finds."""
        return self._do(lambda: self._raw.execute(sql, parameters).fetchall())

    def run(self, sql: str, *parameters: Any) -> int:
        """Run a statement and return how many rows it met."""
        return self._do(lambda: self._raw.execute(sql, parameters).rowcount)

    def each(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""
        self._do(lambda: self._raw.executemany(sql, parameters))

    def begin(self, *, write: bool) -> None:
        """Begin; one that writes says so at once, and never finds out later that another one did."""
        self._do(lambda: self._raw.execute("begin immediate" if write else "begin"))

    def commit(self) -> None:
        """Commit it."""
        if [_identity(path) for path in self._paths] != self._files:  # on disk it would be, but where nobody finds it
            raise Lost("the file or its lock is gone, or another one")
        self._do(lambda: self._raw.execute("commit"))

    def rollback(self) -> None:
        """Undo it."""
        if self._raw.in_transaction:
            self._do(lambda: self._raw.execute("rollback"))

    def close(self) -> None:
        """Close."""
        self._raw.close()

    def _do(self, what: Callable[[], T]) -> T:
        try:
            return what()
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as exc:
            # Kept beside the extended ones in the lowest byte (https://sqlite.org/rescode.html).
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF in _CALLERS and "no such table: bff_" not in str(exc):
                raise
            raise Lost from exc


class Sqlite:
    """The file. now: seconds since 1970 that never jump."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._lock_path = path.with_name(path.name + ".lock")
        self.now = now
        self._lock = threading.Lock()  # its two lines connect from threads of their own
        self._held: int | None = None
        self._file: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"<Sqlite {self._path}{' held' if self._held is not None else ''}>"

    def connect(self) -> SqliteConnection:
        """Return a connection; raises Lost, also while another process holds the file."""
        with self._lock:
            try:
                self._hold()
                if self._file not in (None, _identity(self._path)):
                    log.error("the database's file is gone, or another one: what was accepted in it is not done")
                raw = open_wal(self._path)
                self._file = _identity(self._path)
            except _LOST as exc:
                raise Lost from exc
            connection = SqliteConnection(raw, self._path, self._lock_path)
            try:
                connection.begin(write=True)
                migrate(connection)
                connection.commit()
            except BaseException:
                connection.close()
                raise
            return connection

    def release(self) -> None:
        """Let another process have the file."""
        with self._lock:
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def _hold(self) -> None:
        """Lock the file by another one beside it: what is locked itself, SQLite's own locks would get in the way of."""
        if self._held is not None:
            if _identity(self._held) == _identity(self._lock_path):
                return
            os.close(self._held)  # it locks a file that nobody finds any more
            self._held = None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            raise Lost("another process has it, and its lock") from None
        except OSError:
            os.close(held)
            raise
        self._held = held


def reach(path: Path) -> tuple[bool, str]:
    """Try once whether the file can be used; return whether, and what was found. A service may be holding it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = open_wal(path)
        try:
            raw.execute("begin immediate")
            raw.execute("rollback")
        finally:
            raw.close()
    except _LOST as exc:
        return False, str(exc)
    return True, f"SQLite {sqlite3.sqlite_version}"


def _identity(path: Path | int) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name, None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - of a descriptor, too
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_wal(path: Path) -> sqlite3.Connection:
    """Open a file whose every commit is synced, and whose readers wait for no writer."""
    raw = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        raw.execute("pragma journal_mode = wal")
        raw.execute("pragma synchronous = full")
    except BaseException:
        raw.close()
        raise
    return raw
