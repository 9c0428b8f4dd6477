"""Where views go: JSON lines in segment files, or on standard output. Used by one thread."""

import contextlib
import errno
import os
import select
from collections.abc import Callable
from io import RawIOBase
from pathlib import Path
from typing import Protocol

SEGMENT_BYTES = 64 * 1024 * 1024


class Sink(Protocol):
    """Takes whole batches of lines, or raises OSError and has taken nothing."""

    def write(self, lines: bytes) -> None:
        """Write lines for good."""

    def close(self) -> None:
        """End writing."""


class Stdout:
    """Lines on standard output. ready: waits a little for its reader, and returns whether it takes more."""

    def __init__(self, stream: RawIOBase, ready: Callable[[], bool]) -> None:
        self._stream = stream
        self._ready = ready
        self._sent = 0

    def __repr__(self) -> str:
        return f"<Stdout {self._sent} bytes into a batch>"

    def write(self, lines: bytes) -> None:
        """Write lines; those of a batch that failed begin the next one, and what was sent of them is passed over."""
        rest = memoryview(lines)[self._sent :]
        while rest:
            # No more at a time than a pipe that is ready takes without blocking: a stalled reader must not hold a stop.
            written = self._stream.write(rest[: select.PIPE_BUF]) if self._ready() else None
            if written is None:
                raise BlockingIOError(errno.EAGAIN, "standard output takes no more")
            self._sent += written
            rest = rest[written:]
        self._sent = 0

    def close(self) -> None:
        """Leave the stream open: it is not ours."""


class Segments:
    """Files in a folder, each synced at every batch; the oldest go where the whole exceeds its bound.

    A new process begins a new file, so that a line torn by a crash can only be a file's last.
    """

    def __init__(self, folder: Path, max_bytes: int, stamp: Callable[[], str], removed: Callable[[], None]) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max(1, max_bytes // 2))
        self._stamp = stamp
        self._removed = removed
        self._file: int | None = None
        self._path = folder
        self._size = 0
        self._number = 0

    def __repr__(self) -> str:
        return f"<Segments {self._folder.name} {self._size} bytes in file {self._number}>"

    def write(self, lines: bytes) -> None:
        """Append lines to the present file and sync it; raise OSError, and keep none of them, where that fails."""
        if self._file is None or (self._size and self._size + len(lines) > self._segment_bytes):
            self._rotate()
        file = self._file
        assert file is not None
        self._make_room(len(lines))
        try:
            _write_all(file, lines)
            os.fsync(file)
        except OSError:
            with contextlib.suppress(OSError):  # half a batch must not stay before its own repetition
                os.ftruncate(file, self._size)
            raise
        self._size += len(lines)

    def close(self) -> None:
        """Close the present file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _rotate(self) -> None:
        self.close()
        self._number += 1
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{self._stamp()}-{os.getpid()}-{self._number:06}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._path = self._folder / name
        self._file = os.open(self._path, flags, 0o644)
        self._size = 0

    def _make_room(self, more: int) -> None:
        files = sorted(self._folder.glob("*.jsonl"))  # names begin with their time, so this is by age
        sizes = {file: file.stat().st_size for file in files}
        total = sum(sizes.values()) + more
        for file in files:
            if total <= self._max_bytes:
                break
            if file == self._path:  # being written
                continue
            file.unlink(missing_ok=True)
            total -= sizes[file]
            self._removed()


def _write_all(file: int, lines: bytes) -> None:
    rest = memoryview(lines)
    while rest:
        rest = rest[os.write(file, rest) :]
