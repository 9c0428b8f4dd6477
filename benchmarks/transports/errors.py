"""What a caller gets where an upstream fails, and whether that tells the failure from the others."""

import asyncio
import ctypes
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.transports import upstreams as up
from benchmarks.transports.candidates import CANDIDATES, Call, Candidate

AsyncUrl = AbstractAsyncContextManager[str]
DEADLINE = 2.0  # seconds that the caller gives to the whole call
UNREACHABLE = frozenset({"ConnectError", "Unavailable"})
BROKEN = frozenset({"ReadError", "RemoteProtocolError", "Unavailable"})
GARBLED = frozenset({"RemoteProtocolError", "LocalProtocolError", "DecodingError", "Garbled"})
LATE = frozenset({"ReadTimeout", "TimeoutException", "TimeoutError"})
OK = frozenset({"answer"})
_PEAK_ALLOWED = 32  # MB more than before


@asynccontextmanager
async def _dns() -> AsyncIterator[str]:
    yield "http://name.invalid/"


@asynccontextmanager
async def _refusing() -> AsyncIterator[str]:
    with up.refusing() as url:
        yield url


@asynccontextmanager
async def _full_backlog() -> AsyncIterator[str]:
    with up.full_backlog() as url:
        yield url


def _playing(play: up.Play) -> Callable[[], AsyncUrl]:
    @asynccontextmanager
    async def playing() -> AsyncIterator[str]:
        async with up.upstream(play) as upstream:
            yield upstream.url

    return playing


async def _once(call: Call, url: str) -> None:
    await call(url)


async def _twice(call: Call, url: str) -> None:
    await call(url)
    await call(url)


async def _beside_another(call: Call, url: str) -> None:
    other = asyncio.ensure_future(call(url))
    await asyncio.sleep(0.05)
    try:
        await call(url)
    finally:
        other.cancel()
        await asyncio.wait({other})


@dataclass(frozen=True)
class Case:
    """A failure. right: the names of the outcomes that tell it from the others. slots: of the candidate."""

    name: str
    serve: Callable[[], AsyncUrl]
    right: frozenset[str]
    act: Callable[[Call, str], Awaitable[None]] = _once
    slots: int = 10


CASES = (
    Case("connection refused", _refusing, UNREACHABLE),
    Case("no such name", _dns, UNREACHABLE),
    Case("connect timeout", _full_backlog, frozenset({"ConnectTimeout", "TimeoutError"})),
    Case("read timeout", _playing(up.hang), LATE),
    Case("dripping body", _playing(up.drip), LATE),
    Case("reset amid the body", _playing(up.reset_amid_body), BROKEN),
    Case("shorter than its length", _playing(up.always(up.HALF, close=True)), BROKEN),
    Case("closed before a byte", _playing(up.always(b"", close=True)), BROKEN),
    Case("garbage", _playing(up.always(b"garbage\r\n\r\n", close=True)), GARBLED),
    Case("header of 1 MB", _playing(up.large_header), GARBLED),
    Case("no slot free", _playing(up.hang), frozenset({"PoolTimeout"}), _beside_another, 1),
    Case("kept connection closed", _playing(up.stale), OK, _twice),
    Case("gzip of 100 MB", _playing(up.bomb), GARBLED),
)


async def outcome(candidate: Candidate, case: Case) -> str:
    """Return a cell: what the caller got, and whether it was right."""
    if case.right == {"PoolTimeout"} and not candidate.bounded:
        return "has no slots"
    peak = _Peak()
    got = await _got(candidate, case)
    megabytes = peak.megabytes()
    bounded = megabytes <= _PEAK_ALLOWED
    right = got in case.right and bounded
    shown = f"{got}, {megabytes} MB" if case.name.startswith("gzip") else got
    return shown if right else f"**{shown}**"


async def _got(candidate: Candidate, case: Case) -> str:
    async with case.serve() as url, candidate.open(case.slots) as call:
        try:
            async with asyncio.timeout(DEADLINE):
                await case.act(call, url)
        except Exception as exc:
            module = type(exc).__module__.partition(".")[0]
            name = type(exc).__name__
            return name if module in {"httpx", "httpx2", "clients", "builtins"} else f"{module}.{name}"
        return "answer"


class _Peak:
    """The peak of the memory that the process held, from here on."""

    def __init__(self) -> None:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # or what the last one freed would hide what the next one takes
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._kilobytes()

    def megabytes(self) -> int:
        return (self._kilobytes() - self._before) // 1000

    def _kilobytes(self) -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])


async def table() -> list[list[str]]:
    """Return the rows: a case each, a candidate a column."""
    header = ["", *(candidate.name for candidate in CANDIDATES)]
    return [header, *[[case.name, *[await outcome(each, case) for each in CANDIDATES]] for case in CASES]]
