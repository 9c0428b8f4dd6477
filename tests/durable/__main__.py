"""Check that what was accepted is done once and to its end, whoever is killed, and that reconciliation sees to it."""

import argparse
import asyncio
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random

import psutil
import uvloop

from tests.durable.asking import Unexpected
from tests.durable.changes import change
from tests.durable.control import control
from tests.durable.keys import try_keys
from tests.durable.ledger import NotAnswered, owning
from tests.durable.pods import POSTGRES, SQLITE, NotStarted, site
from tests.durable.report import Result, details, table
from tests.durable.sale import sell
from tests.postgres_server import PostgresServer, fresh, postgres_server

INTERRUPTED = 130
LONGEST_SECONDS = 300.0  # of a run
RUNS = {"sale": sell, "changes": change, "keys": try_keys}
CONTROL = "control"
NAMES = (*RUNS, CONTROL)
DATABASES = (SQLITE, POSTGRES)
EXPLAINED = (NotStarted, NotAnswered, Unexpected, TimeoutError)

Say = Callable[[str], None]


def main() -> int:
    """Return 0 where every run is as it should be, 1 elsewhere."""
    parser = argparse.ArgumentParser(prog="python -m tests.durable", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of all that is at random")
    parser.add_argument("--only", type=partial(_names, NAMES), default=NAMES, help=f"of {','.join(NAMES)}")
    parser.add_argument("--database", type=partial(_names, DATABASES), default=DATABASES, help="sqlite,postgres")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts it in the background has it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    began, results = time.perf_counter(), list[Result]()
    try:
        with _leaving_nobody():
            for database in options.database:
                results += _run_all(database, options.only, options.seed, began)
    except KeyboardInterrupt:
        return INTERRUPTED
    _tell(results, time.perf_counter() - began)
    return int(not all(result.is_as_it_should_be for result in results))


def _names(known: Sequence[str], text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"no such thing: {', '.join(unknown)}")
    return names


def _run_all(database: str, names: Sequence[str], seed: int, began: float) -> Iterator[Result]:
    def say(name: str, text: str) -> None:
        print(f"{time.perf_counter() - began:5.1f} s: {name}, {database}: {text}", flush=True)

    with _server(database) as server:
        for name in names:
            say(name, "starting")
            urls = [None, None] if server is None else [fresh(server), fresh(server)]
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                yield from runner.run(_run(name, urls, Random(seed), partial(say, name)))


async def _run(name: str, urls: Sequence[str | None], random: Random, say: Say) -> list[Result]:
    """Run one; what keeps it from its end is a fault of its own."""
    results, broken = list[Result](), list[str]()
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            if name == CONTROL:
                return await control(urls, random, say)
            async with owning() as owners, site(owners, urls[0]) as pods:
                return [await RUNS[name](pods, owners, random, say)]
    except* EXPLAINED as group:
        broken = [f"{type(exc).__name__} {exc}" for exc in _leaves(group)]
    results.append(Result(name, SQLITE if urls[0] is None else POSTGRES, faults=broken))
    return results


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


@contextmanager
def _server(database: str) -> Iterator[PostgresServer | None]:
    if database == SQLITE:
        yield None
        return
    with postgres_server() as server:
        yield server


@contextmanager
def _leaving_nobody() -> Iterator[None]:
    """Kill what the body has started and left behind: what was just being started when it was broken off."""
    try:
        yield
    finally:
        for child in psutil.Process().children(recursive=True):
            child.kill()


def _tell(results: Sequence[Result], seconds: float) -> None:
    for result in results:
        print(details(result))
    print(f"{table(results)}\n{seconds:.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
