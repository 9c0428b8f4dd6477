"""Taking views in: an append to a bounded queue, and no more."""

from collections import deque
from collections.abc import Callable

import msgspec

CAPACITY = 65_536  # events; some 15 MB, and over ten seconds of views at the highest rate a process serves


class View(msgspec.Struct, frozen=True):
    """One view of one product page, as one JSON line."""

    at: str
    sku_id: str
    request_id: str
    client: str
    complete: bool


class Recorder:
    """The views that are waiting to be written."""

    def __init__(self, dropped: Callable[[int], None], capacity: int = CAPACITY) -> None:
        self._waiting: deque[View] = deque()
        self._dropped = dropped
        self._capacity = capacity

    def __repr__(self) -> str:
        return f"<Recorder {len(self._waiting)}/{self._capacity}>"

    def __len__(self) -> int:
        return len(self._waiting)

    def record(self, view: View) -> None:
        """Take a view in; drop and count it where the queue is full."""
        if len(self._waiting) >= self._capacity:
            self._dropped(1)
        else:
            self._waiting.append(view)

    def batch(self, most: int) -> list[View]:
        """Take the oldest views out."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def put_back(self, views: list[View]) -> None:
        """Return a batch that could not be written; it goes first the next time."""
        self._waiting.extendleft(reversed(views))
