"""What is asked of a database's driver: a connection, its transactions, and what can go wrong with them."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]


class Lost(Exception):
    """The connection is of no more use."""


class Torn(Exception):
    """The transaction was undone for what others did at once; alone it may pass."""


class Tx(Protocol):
    """A transaction. Statements have `?` for each parameter. Raises Lost or Torn."""

    @property
    def locking(self) -> str:
        """What a select that locks its rows ends with."""

    @property
    def skipping(self) -> str:
        """What a select that locks its rows, and passes over those that others hold, ends with."""

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """Return what a statement finds."""

    def run(self, sql: str, *parameters: Any) -> int:
        """Run a statement and return how many rows it met."""

    def each(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""


class Connection(Tx, Protocol):
    """A connection to a database. Raises Lost or Torn."""

    def begin(self, *, write: bool) -> None:
        """Begin a transaction."""

    def commit(self) -> None:
        """Commit it; once this returns it is on disk."""

    def rollback(self) -> None:
        """Undo it."""

    def close(self) -> None:
        """Close; never raises."""


class Driver(Protocol):
    """Where a database is."""

    def connect(self) -> Connection:
        """Return a connection whose tables are there; raises Lost."""

    def now(self) -> float:
        """Return the seconds since 1970, which never jump while the process lives."""
