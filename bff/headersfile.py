"""Headers from a file that may change while the service runs, such as a mounted secret."""

from pathlib import Path

import structlog

from bff.resilience.stack import Clock
from bff.values import headers_in

LOOK_SECONDS = 1.0

log = structlog.get_logger(__name__)


class HeadersFile:
    """The headers that a file holds; looked at once a second at most. A file that went bad changes nothing."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._stamp = self._stat()
        self._headers = headers_in(path)

    def __repr__(self) -> str:
        return f"<HeadersFile {self._path.name}>"

    def __call__(self) -> tuple[tuple[str, str], ...]:
        """Return the headers."""
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._headers

    def _look(self) -> None:
        stamp = self._stat()
        if stamp == self._stamp:
            return
        try:
            self._headers = headers_in(self._path)
        except ValueError as exc:
            log.error("a headers file cannot be used; the headers before stay", file=self._path.name, error=str(exc))
        self._stamp = stamp

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
