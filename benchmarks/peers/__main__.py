"""Start every server in turn, compare its page with ours, and say how many it makes a second."""

import argparse
import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.numbers.client import Reply, ask
from benchmarks.peers.check import parts, record
from benchmarks.peers.prepare import missing, prepare
from benchmarks.peers.process import Failed, pinned
from benchmarks.peers.programs import wrk
from benchmarks.peers.servers import PEERS, Server, running
from benchmarks.peers.upstreams import Upstreams, upstreams

SERVER_CORE, CLIENT_CORE = 0, 1
SECONDS = 3
SKU = "G1"


def main() -> int:
    """Return 0 where every server answers as ours does, 1 elsewhere."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PEERS))
    options = parser.parse_args()
    if unknown := set(options.names) - PEERS.keys():
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    versions = prepare()
    print(", ".join(f"{name} {text}" for name, text in versions.items()), flush=True)
    if lacking := missing(versions):
        print("\n".join(lacking), file=sys.stderr)
        return 1
    return uvloop.run(_all(options.names or list(PEERS)))


async def _all(names: list[str]) -> int:
    failed = False
    with TemporaryDirectory() as folder:
        replay = Path(folder) / "answer.json"
        async with upstreams(CLIENT_CORE) as services:
            async with running("bff", services, SERVER_CORE) as ours:
                _, expected = await ask(ours.base, [SKU, SKU])
                record(expected, replay)
            for name in names:
                failed |= not await _one(name, services, expected, replay)
    return int(failed)


async def _one(name: str, services: Upstreams, expected: Reply, replay: Path) -> bool:
    try:
        async with running(name, services, SERVER_CORE, replay=replay) as server:
            _, reply = await ask(server.base, [SKU, SKU])
            told = "the same parts" if parts(reply) == parts(expected) else f"OTHER PARTS: {reply.body!r}"
            costs = await _load(server, services)
    except Failed as exc:
        print(f"{name:16} FAILED: {exc}", flush=True)
        return False
    print(f"{name:16} {costs}, {len(reply.body)} bytes, {told}", flush=True)
    return told == "the same parts"


async def _load(server: Server, services: Upstreams) -> str:
    before = [_cpu_seconds(*server.pids), _cpu_seconds(services.pid)]
    command = [*wrk().command, "-t1", "-c64", f"-d{SECONDS}s", server.page(SKU)]
    with pinned(CLIENT_CORE):
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    said = (await process.communicate())[0].decode()
    spent, asked = (
        now - then for now, then in zip((_cpu_seconds(*server.pids), _cpu_seconds(services.pid)), before, strict=True)
    )
    rate, count = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"(\d+) requests in", said)
    if rate is None or count is None or "Non-2xx" in said:
        raise Failed(said)
    share = f"busy {spent / SECONDS:4.0%}, upstreams {asked / SECONDS:4.0%}"
    return f"{float(rate[1]):>9,.0f} pages/s, {spent / int(count[1]) * 1e6:6.0f} us of CPU a page, {share}"


def _cpu_seconds(*pids: int) -> float:
    """Return what processes have used, all their threads included (proc_pid_stat(5): utime, stime)."""
    fields = (Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split() for pid in pids)
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    raise SystemExit(main())
