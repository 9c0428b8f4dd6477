"""What a call costs the caller's core, against nginx on the other one."""

import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.transports.candidates import CANDIDATES, Call, Candidate
from benchmarks.transports.upstreams import ANSWER

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (8, 96)
ROUNDS, CALLS, WARM_UP = 3, 960, 192
LEAST = 0.8  # seconds of CPU in a round
_CONFIG = """
daemon off; pid nginx.pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000; default_type application/json;
    {temporary}
    server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 '{answer}'; }} }}
}}
"""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def nginx() -> str | None:
    """Return where nginx is, None where it is not."""
    unpacked = [str(folder) for folder in ROOT.glob(".tools/nginx*/usr/sbin")]
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *unpacked]))


@contextmanager
def _pinned(core: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _started(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command)


@asynccontextmanager
async def _answering(core: int) -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in _TEMPORARY)
        config = Path(folder) / "nginx.conf"
        config.write_text(_CONFIG.format(port=port, temporary=temporary, answer=ANSWER.decode()))
        with _pinned(core):
            process = _started(nginx() or "nginx", "-p", folder, "-c", str(config))
        try:
            await _listening(port)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def _round(candidate: Candidate, url: str, at_once: int) -> float:
    """Return the microseconds of CPU, all threads included, that a call takes."""
    async with candidate.open(at_once) as call:
        await _calls(call, url, at_once, WARM_UP)
        started, taken, made = time.process_time(), 0.0, 0
        while taken < LEAST:
            await _calls(call, url, at_once, CALLS)
            taken, made = time.process_time() - started, made + CALLS
        return taken / made * 1e6


async def _calls(call: Call, url: str, at_once: int, count: int) -> None:
    async def caller() -> None:
        for _ in range(count // at_once):
            assert await call(url) == len(ANSWER)

    await asyncio.gather(*(caller() for _ in range(at_once)))


async def table() -> list[list[str]]:
    """Return the rows, a candidate each: the best of the rounds, and how far the worst was from it."""
    mine, its = sorted(os.sched_getaffinity(0))[:2]
    taken: dict[tuple[str, int], list[float]] = {}
    async with _answering(its) as url:
        with _pinned(mine):
            for _ in range(ROUNDS):  # candidates take turns, so that a passing load meets them all
                for candidate in CANDIDATES:
                    for level in LEVELS:
                        us = await _round(candidate, url, level)
                        taken.setdefault((candidate.name, level), []).append(us)
    header = ["us of CPU a call", *(f"{level} at once" for level in LEVELS)]
    return [header, *[[each.name, *(_cell(taken[each.name, level]) for level in LEVELS)] for each in CANDIDATES]]


def _cell(rounds: list[float]) -> str:
    best = min(rounds)
    return f"{best:,.0f} (median +{statistics.median(rounds) / best - 1:.0%}, worst +{max(rounds) / best - 1:.0%})"
