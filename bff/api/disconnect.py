"""Hearing of it when the client of a request leaves before it is answered.

ASGI tells it to who waits for the next message: a task for each request, for something that hardly ever happens. The
connection itself knows at once, and our protocol puts it into the scope.
"""

from collections.abc import Callable

from starlette.types import Scope

from bff.exchange import Connection
from bff.protocol import SCOPE_KEY

CLIENT_LEFT = 499  # nginx's number for a client that did not wait; it is counted, and sent to nobody


class Watch:
    """Watches the client of one request, where its connection is there to be watched."""

    __slots__ = ("_connection",)

    def __init__(self, scope: Scope) -> None:
        self._connection: Connection | None = scope.get(SCOPE_KEY)

    def __repr__(self) -> str:
        return f"<Watch {self._connection!r}>"

    def start(self, left: Callable[[], None]) -> None:
        """Have something done when the client leaves, in a later turn where it has left already."""
        if self._connection is not None:
            self._connection.watch(left)

    def stop(self) -> None:
        """Watch no more."""
        if self._connection is not None:
            self._connection.watch(None)
