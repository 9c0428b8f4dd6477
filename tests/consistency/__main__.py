"""Check that no page is old after an acknowledged write, and that without any of its guards the service's would be."""

import argparse
import asyncio
import secrets
import signal
import sys
from collections.abc import Sequence
from functools import partial

import uvloop

from tests.consistency.fleet import Died
from tests.consistency.guards import GUARDS
from tests.consistency.report import described, details, table
from tests.consistency.trial import FULL, Plan, Result, run
from tests.redis_server import NotStarted, redis_server
from tests.rings import Unfetched

INTERRUPTED = 130
CONTROL_TIMES = 2  # a control ends once it has found enough, and may take so many times as long to


def main() -> int:
    """Return 0 where no run has found what it should not, 1 elsewhere."""
    parser = argparse.ArgumentParser(prog="python -m tests.consistency", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the run with all guards (60)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of all that is at random")
    parser.add_argument("--only", type=_names, default=[FULL, *GUARDS], help=f"of {','.join([FULL, *GUARDS])}")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts it in the background has it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        results = [_run(_plan(name, options.seconds, options.seed)) for name in options.only]
    except KeyboardInterrupt:
        return INTERRUPTED
    except (Died, NotStarted, Unfetched) as exc:
        print(exc, file=sys.stderr)
        return 1
    return _tell(results)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in (FULL, *GUARDS)]:
        raise argparse.ArgumentTypeError(f"no such guard: {', '.join(unknown)}")
    return names


def _plan(name: str, seconds: float, seed: int) -> Plan:
    return Plan(name, seconds if name == FULL else CONTROL_TIMES * seconds, seed)


def _run(plan: Plan) -> Result:
    say = partial(print, f"{plan.name}:", flush=True)
    say("starting")
    # Around the loop, and not inside: a thread of the nemesis that starts Redis has ended before Redis is stopped.
    with redis_server() as redis, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(plan, redis, say))


def _tell(results: Sequence[Result]) -> int:
    print(table(results))
    for result in results:
        print(f"{result.plan.name}\n{details(result)}")
        if not result.is_as_it_should_be:
            print(described(result), file=sys.stderr)
    return int(not all(result.is_as_it_should_be for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
