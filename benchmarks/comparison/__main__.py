"""Measure what is named, or everything, print it and write it to benchmarks: results.json, RESULTS.md, results.svg."""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping

import msgspec
import uvloop

from benchmarks.comparison import report, results
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.proc import Cores, machine
from benchmarks.comparison.results import Goal, Result, reason
from benchmarks.comparison.works import WORKS, Work
from benchmarks.numbers.process import ROOT
from benchmarks.peers import PEERS, prepare
from benchmarks.peers.prepare import MISSING

ROUNDS, SECONDS = 5, 3
CHART = ROOT / ".tools" / "bench" / "bin" / "python"
NEEDS = {
    "fastify": ("node", "fastify", "undici", "dataloader", "lru-cache"),
    "nginx-lua": ("nginx", "lua-nginx-module"),
}


def main() -> int:
    """Return 0 where every goal was reached, 1 elsewhere."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("two cores are needed: one for the server, one for load and sources", file=sys.stderr)
        return 2
    versions = prepare()
    if lacking := [f"{name}: {versions[name]}" for name in ("nginx", "wrk") if versions[name].startswith(MISSING)]:
        print("\n".join(lacking), file=sys.stderr)
        return 2
    # wrk and the driver are started here, or run here: this process has the load's core and no other.
    os.sched_setaffinity(0, {cores[1]})
    plan = Plan(options.rounds, options.seconds, Cores(*cores[:2]), _missing(versions))
    reached = [_run(name, plan, _on(versions)) for name in options.names or WORKS]
    os.sched_setaffinity(0, cores)
    subprocess.run([CHART, "-m", "benchmarks.comparison.chart"], cwd=ROOT, check=True)
    return 0 if all(reached) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparison", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(WORKS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each peer")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="seconds of each round")
    options = parser.parse_args()
    if unknown := set(options.names) - WORKS.keys():
        parser.error(f"no such work: {', '.join(sorted(unknown))}")
    if min(options.rounds, options.seconds) < 1:
        parser.error("at least one round of one second")
    return options


def _missing(versions: Mapping[str, str]) -> dict[str, str]:
    """Return the peers that cannot run, each with what it lacks."""
    lacking = {name: reason(said.removeprefix(MISSING)) for name, said in versions.items() if said.startswith(MISSING)}
    needs = {peer: next((needed for kind, needed in NEEDS.items() if peer.startswith(kind)), ()) for peer in PEERS}
    found = {peer: [f"{name}: {lacking[name]}" for name in needed if name in lacking] for peer, needed in needs.items()}
    return {peer: reasons[0] for peer, reasons in found.items() if reasons}


def _on(versions: Mapping[str, str]) -> str:
    """Say on what, with which versions, by which command."""
    load = os.getloadavg()[0]
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if not version.startswith(MISSING))
    command = " ".join(["python -m benchmarks.comparison", *sys.argv[1:]])
    return f"`{command}` on {machine()}, load {load:.2f} at its start; {named}"


def _run(name: str, plan: Plan, on: str) -> bool:
    print(f"{name} ...", file=sys.stderr, flush=True)
    began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    result = msgspec.structs.replace(_measured(WORKS[name], plan), ran=f"Run {began} by {on}.")
    print(f"\n{name}\n\n{report.goals({name: result})}\n\n{report.section(result)}", flush=True)
    kept = results.load() | {name: result}
    kept = {each: kept[each] for each in WORKS if each in kept}
    results.save(kept)
    report.write(kept)
    return all(goal.reached for goal in result.goals)


def _measured(work: Work, plan: Plan) -> Result:
    try:
        return uvloop.run(_awaited(work, plan))
    except Exception as exc:  # whatever it is, the other works go on and the tables say so
        traceback.print_exc()
        return Result(work.about, [Goal("all of it", reason(f"{type(exc).__name__}: {exc}"), reached=None)], [""], [])


async def _awaited(work: Work, plan: Plan) -> Result:
    # Stopped by a signal, it stops the servers before it ends.
    task = asyncio.current_task()
    assert task is not None, "this runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work.measure(plan)


if __name__ == "__main__":
    raise SystemExit(main())
