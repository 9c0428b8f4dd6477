"""Taking views out: batches, written by one thread of an executor, a tenth of a second apart."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import structlog

from bff.viewlog.recorder import Recorder, View
from bff.viewlog.sinks import Sink

INTERVAL_SECONDS = 0.1  # a view is on disk within twice this
RETRY_SECONDS = 1.0
MOST_AT_ONCE = 8192

log = structlog.get_logger(__name__)


class Shipper:
    """Writes what a recorder has taken in. A broken sink costs counts, never a request."""

    def __init__(self, recorder: Recorder, sink: Sink, counted: Callable[[str, int], None]) -> None:
        self._recorder = recorder
        self._sink = sink
        self._counted = counted
        self._encode = msgspec.json.Encoder().encode_lines
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="viewlog")
        self._stopping = asyncio.Event()
        self._broken = False

    def __repr__(self) -> str:
        return f"<Shipper {'broken' if self._broken else 'well'} {self._recorder!r}>"

    async def run(self) -> None:
        """Write batches until told to stop, then what is left."""
        stopping = False
        while not stopping:
            await self._pause(RETRY_SECONDS if self._broken else INTERVAL_SECONDS)
            stopping = self._stopping.is_set()  # before the last batches are taken, so that none is left
            while len(self._recorder) and await self._ship():
                pass
        if lost := len(self._recorder):
            self._counted("dropped", lost)
            log.error("views were lost at the stop", views=lost)
        await asyncio.get_running_loop().run_in_executor(self._executor, self._sink.close)
        self._executor.shutdown()

    def stop(self) -> None:
        """Let `run` write what is left and end."""
        self._stopping.set()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _ship(self) -> bool:
        views = self._recorder.batch(MOST_AT_ONCE)
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._sink.write, self._encode(views))
        except OSError as exc:
            self._failed(views, exc)
            return False
        self._broken = False
        self._counted("written", len(views))
        return True

    def _failed(self, views: list[View], error: OSError) -> None:
        self._recorder.put_back(views)
        if not self._broken:  # once for each time it breaks, not at every try
            self._counted("failed", len(views))
            log.error("views cannot be written; they are kept and tried again", error=error.strerror)
        self._broken = True
