"""A file's lines, whatever it holds: none is longer in memory than a change may be, and each is text."""

from typing import BinaryIO

MAX_BYTES = 1024 * 1024
"""Of a change's body, and so of a line."""

_BOM = b"\xef\xbb\xbf"


class BadLine(Exception):
    """A line that cannot be read, and behind which reading goes on; the text says why."""


class Lines:
    """Lines with their ends. number: of the last one that was read, from 1. Raises BadLine."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0

    def __repr__(self) -> str:
        return f"<Lines at {self.number}>"

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        data = self._file.readline(MAX_BYTES + 1)
        if not data:
            raise StopIteration
        self.number += 1
        if len(data) > MAX_BYTES:
            self._pass_over(data)
            raise BadLine(f"is longer than {MAX_BYTES} bytes")
        try:
            return (data.removeprefix(_BOM) if self.number == 1 else data).decode("utf-8")
        except UnicodeDecodeError as exc:
            raise BadLine("is not UTF-8") from exc

    def _pass_over(self, data: bytes) -> None:
        while data and not data.endswith(b"\n"):
            data = self._file.readline(MAX_BYTES)
