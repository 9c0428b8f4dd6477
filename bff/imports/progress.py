"""How far an import has come: a bar on a terminal, a line every few seconds elsewhere; on standard error."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self, TextIO

import typer

from bff.imports.bringing import Bringing

EVERY_SECONDS = 5.0


class Bar:
    """A progress bar."""

    def __init__(self, total: int, out: TextIO) -> None:
        self._out = out
        self._bar = typer.progressbar(length=total, label="rows", file=out, show_pos=True)

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, trace)

    def show(self, bringing: Bringing) -> None:
        """Show how far it has come."""
        self._bar.label = f"rows, {bringing.ledger.failed:,} failed, {bringing.running:,} running"
        self._bar.update(bringing.ledger.ended - self._bar.pos)

    def say(self, text: str) -> None:
        """Say something above the bar."""
        self._out.write(f"\r\x1b[2K{text}\n")
        self._bar.render_progress()


class Plain(AbstractContextManager["Plain"]):
    """Lines. clock: monotonic."""

    def __init__(self, out: TextIO, clock: Callable[[], float]) -> None:
        self._out = out
        self._clock = clock
        self._last = clock()
        self._shown = ""

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def show(self, bringing: Bringing) -> None:
        """Show how far it has come, if that was a while ago and is something else now."""
        if self._clock() - self._last < EVERY_SECONDS:
            return
        ledger = bringing.ledger
        text = f"{ledger.ended:,} of {ledger.total:,} rows, {ledger.failed:,} failed, {bringing.running:,} running"
        if text != self._shown:
            self.say(text)
        self._shown, self._last = text, self._clock()

    def say(self, text: str) -> None:
        """Say something."""
        print(text, file=self._out, flush=True)
