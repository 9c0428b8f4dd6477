"""Measure what is named, or everything, print it and write it to benchmarks/NUMBERS.md."""

import argparse
from collections.abc import Awaitable, Callable
from functools import partial

import uvloop

from benchmarks.numbers import counts, durable, hostile, memory, pages, pods
from benchmarks.numbers.report import Row, machine, table, write

Measure = Callable[[], Awaitable[tuple[list[Row], str]]]


def main() -> int:
    """Return 0 where every goal was reached, 1 elsewhere."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.numbers", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="pages, hostile, deadlines, disconnects, failures, memory, pods, durable, million",
    )
    parser.add_argument("--skus", type=int, default=1_000_000, help="distinct SKUs of `million`, in thousands' steps")
    options = parser.parse_args()
    measures = _measures(options.skus)
    if unknown := set(options.names) - measures.keys():
        parser.error(f"no such number: {', '.join(sorted(unknown))}")
    reached = [_run(name, measures[name]) for name in options.names or measures]
    return 0 if all(reached) else 1


def _measures(skus: int) -> dict[str, Measure]:
    return {
        "pages": pages.measure,
        "hostile": hostile.measure,
        "deadlines": counts.deadlines,
        "disconnects": counts.disconnects,
        "failures": counts.failures,
        "memory": memory.measure,
        "pods": pods.measure,
        "durable": durable.measure,
        "million": partial(memory.million, skus),
    }


def _run(name: str, measure: Measure) -> bool:
    started_on = machine()
    rows, notes = uvloop.run(_awaited(measure))
    print(f"\n{name}\n{table(rows)}\n{notes}", flush=True)
    write(name, rows, notes, started_on)
    return all(row.reached is not False for row in rows)


async def _awaited(measure: Measure) -> tuple[list[Row], str]:
    return await measure()


if __name__ == "__main__":
    raise SystemExit(main())
