"""The breaker round Redis: a few late answers in a row open it; ticks, and never pages, find out that it may close."""

import structlog

MAX_LATE = 3
WELL = 2

log = structlog.get_logger(__name__)


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
        self._open("there is no connection")

    def in_time(self) -> None:
        """Note that a page was answered in time."""
        self._late = 0

    def late(self) -> None:
        """Note that a page or a tick was not."""
        self._well = 0
        self._late += 1
        if self._late >= MAX_LATE:
            self._open("it answers too late, or with errors")

    def ticked(self) -> None:
        """Note that a tick was answered in time."""
        self._late = 0
        self._well += 1
        if self._well >= WELL and not self.closed:
            self.closed = True
            log.info("Redis is used")

    def _open(self, why: str) -> None:
        if self.closed:
            log.warning("Redis is not used: pages come from their sources, and nothing can be written", why=why)
        self.closed = False
