"""The breaker round Redis: a few late answers in a row open it; ticks, and never pages, find out that it may close."""

MAX_LATE = 3
WELL = 2


class Breaker:
    """Counts answers. closed: whether pages may ask."""

    def __init__(self) -> None:
        self.closed = False  # until there is a connection, and a tick was answered
        self._late = 0
        self._well = 0

    def __repr__(self) -> str:
        return f"<Breaker {'closed' if self.closed else 'open'}, {self._late} late>"

    def connected(self) -> None:
        """Note that a new connection was made, and has answered once."""
        self._late = 0
        self._well = WELL - 1

    def lost(self) -> None:
        """Note that there is no connection any more."""
        self.closed = False

    def in_time(self) -> None:
        """Note that a page was answered in time."""
        self._late = 0

    def late(self) -> None:
        """Note that a page or a tick was not."""
        self._well = 0
        self._late += 1
        if self._late >= MAX_LATE:
            self.closed = False

    def ticked(self) -> None:
        """Note that a tick was answered in time."""
        self._late = 0
        self._well += 1
        if self._well >= WELL:
            self.closed = True
