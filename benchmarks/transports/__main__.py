"""Run the trial and write TRANSPORTS.md: `python -m benchmarks.transports [errors] [cancellation] [cost]`."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

import uvloop

FOLDER = Path(__file__).resolve().parents[1]
BENCH = FOLDER.parent / ".tools" / "bench"
OUTPUT = FOLDER / "TRANSPORTS.md"
PEERS = ("httpx2", "httpx_aiohttp", "aiohttp", "pyreqwest")
INSTALL = (
    "python3 -m venv .tools/bench && .tools/bench/bin/pip install --require-hashes"
    " -r requirements.txt -r benchmarks/requirements.txt"
)
HEAD = """# The trial of transports

`.venv/bin/python -m benchmarks.transports` writes this file, over loopback, in less than four minutes. The peers are no
dependencies of the service and have an environment of their own:
`{install}`

{machine}

`httpx over ...` is `httpx.AsyncClient` over another transport; the others are called without a client. `ours` is
`clients.http.send`.
"""
TEXTS = {
    "errors": """## Errors

What the caller gets; in bold where it does not tell this failure from the others, or nothing bounded the memory.
Whoever bounds their own time was given 0.5 s to connect, 0.4 s to read and 0.2 s to wait for a slot; the caller gave
all of them 2 s for the whole call, which is where a bare `TimeoutError` comes from: ours bounds no time of its own.
Without a bold mark a failure may still share its class with another: ours says `Unavailable` to several, which the
service treats alike.
""",
    "cancellation": """## Cancellation

{cancelled:,} calls to a slow upstream, cancelled while they queue, connect or wait, then 100 calls to a healthy one,
10 at once. 10 slots: the client's own limit; before ours a semaphore, as in the service. Slots lost: how many fewer
calls than slots the healthy upstream ever had at once. Sockets: those that the slow one still has half a second later,
which may be idle and kept for the next call.
""",
    "cost": """## Cost

Best of three rounds in turn, in microseconds of CPU a call, all threads included. The client has one core, nginx, which
answers from memory, the other.
""",
}


def missing() -> list[str]:
    return [peer for peer in PEERS if find_spec(peer) is None]


def hand_over() -> None:
    """Go on in the peers' own environment where this one lacks them."""
    python = BENCH / "bin" / "python"
    if missing() and python.exists() and Path(sys.prefix) != BENCH:
        os.execv(python, [str(python), "-m", "benchmarks.transports", *sys.argv[1:]])


def obstacles() -> list[str]:
    from benchmarks.transports.cost import nginx

    found = [f"missing peers: {', '.join(missing())}; install them by\n  {INSTALL}"] if missing() else []
    found += ["missing: nginx, on PATH, in /usr/sbin or in .tools/nginx*/usr/sbin"] if nginx() is None else []
    found += ["two cores are needed, one for nginx"] if len(os.sched_getaffinity(0)) < 2 else []
    return found


def report(parts: dict[str, str]) -> str:
    from benchmarks.transports.report import machine

    return "\n".join([HEAD.format(install=INSTALL, machine=machine()), *parts.values()])


async def trial(names: list[str]) -> None:
    from benchmarks.transports import cancellation, cost, errors
    from benchmarks.transports.report import markdown

    tables: dict[str, Callable[[], Awaitable[list[list[str]]]]]
    tables = {"errors": errors.table, "cancellation": cancellation.table, "cost": cost.table}
    done: dict[str, str] = {}
    for name in names:
        table = markdown(await tables[name]())
        print(f"\n{name}\n\n{table}", flush=True)
        done[name] = f"{TEXTS[name].format(cancelled=cancellation.CANCELLED)}\n{table}"
    if len(names) == len(TEXTS):
        OUTPUT.write_text(report(done))


def main() -> int:
    hand_over()
    if found := obstacles():
        print("\n".join(found), file=sys.stderr)
        return 1
    names = sys.argv[1:] or list(TEXTS)
    if unknown := [name for name in names if name not in TEXTS]:
        print(f"no such table: {', '.join(unknown)}", file=sys.stderr)
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(trial(names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
