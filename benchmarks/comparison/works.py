"""The works, by name: who takes part, what is asked, and what is to be reached."""

from typing import Any, Protocol

from benchmarks.comparison.closed import Closed, Target
from benchmarks.comparison.growth import Growth
from benchmarks.comparison.memory import Memory
from benchmarks.comparison.openloop import OpenLoop
from benchmarks.comparison.plan import Contender, Plan
from benchmarks.comparison.results import Result
from benchmarks.comparison.wrk import AGG
from benchmarks.numbers.process import everywhere


class Work(Protocol):
    """Something to measure."""

    @property
    def about(self) -> str:
        """What it is, for the reader of the table."""

    async def measure(self, plan: Plan) -> Result:
        """Do it."""


# Nothing is older than its fresh time: the peers know no other bound.
_NO_LONGER = everywhere(revalidate_seconds=0, stale_seconds=0)
_NOTHING = (0, 0, 0)
_LONG = (3600, 3600, 3600)


def _bff(label: str = "bff", **options: Any) -> Contender:
    return Contender(label, "bff", {"settings": _NO_LONGER, **options})


def _agg(**options: Any) -> Contender:
    return Contender("bff, agg route", "bff", {"settings": _NO_LONGER, **options}, prefix=AGG)


def _peer(name: str, **options: Any) -> Contender:
    return Contender(name, name, options)


WORKS: dict[str, Work] = {
    "cold-bulk": Closed(
        about="Every SKU for the first time, nothing kept, sources that take many SKUs at once; 128 connections.",
        mode="turn",
        skus=0,
        connections=128,
        warm_seconds=1,
        contenders=[
            _bff(bulk=True, fresh=_NOTHING),
            _agg(bulk=True, fresh=_NOTHING),
            _peer("fastify"),
            _peer("fastify-batched", bulk=True),
            _peer("nginx-lua", bulk=True),
            _peer("nginx-lua-plain"),
            _peer("usual"),
        ],
        targets=[Target("bff", "fastify", 2.0), Target("bff", "nginx-lua", 1.0)],
    ),
    "cold-single": Closed(
        about="Every SKU for the first time, nothing kept, sources that take one SKU at a time; 64 connections.",
        mode="turn",
        skus=0,
        connections=64,
        warm_seconds=1,
        contenders=[
            _bff(fresh=_NOTHING),
            Contender("bff, through httpx.AsyncClient", "bff-client", {"settings": _NO_LONGER, "fresh": _NOTHING}),
            _peer("fastify"),
            _peer("usual"),
        ],
        targets=[Target("bff", "fastify", 0.25, aim=0.5), Target("bff", "usual", 15.0)],
    ),
    "hot": Closed(
        about="One SKU that is cached; 64 connections. `bare` answers with the very bytes and headers of bff's page.",
        mode="one",
        skus=1,
        connections=64,
        warm_seconds=1,
        contenders=[
            _bff(fresh=_LONG),
            _agg(fresh=_LONG),
            Contender("bare", "bare", replays=True),
            _peer("fastify-cached", fresh=_LONG),
        ],
        targets=[Target("bff", "bare", 0.75), Target("bff", "fastify-cached", 0.5, aim=1.0)],
    ),
    "zipf": Closed(
        about="100,000 SKUs, the n-th of them asked for in proportion to n^-1.1, parts kept for 5 s, sources that take"
        " many SKUs at once; 64 connections.",
        mode="zipf",
        skus=100_000,
        connections=64,
        warm_seconds=6,
        contenders=[
            _bff(bulk=True, fresh=(5, 5, 5), settings=_NO_LONGER | {"cache__max_entries": 400_000}),
            _peer("fastify-cached", bulk=True, fresh=(5, 5, 5)),
        ],
        targets=[Target("bff", "fastify-cached", 0.5, aim=1.0)],
    ),
    "open-loop": OpenLoop(
        about="500 pages a second at random times, whatever was answered, every SKU for the first time; sources that"
        " take 50, 30 and 20 ms. What a page took since it was due, less those 50 ms; of `bare`, which asks nobody,"
        " all that it took: that is what the driver and a server's answer take by themselves.",
        ours=[_bff("bff, bulk", bulk=True, fresh=_NOTHING), _bff("bff, single", fresh=_NOTHING)],
        peers=[_peer("fastify"), Contender("bare", "bare", replays=True)],
    ),
    "growth": Growth(
        about="CPU of a cached page that was asked for three times before, less that of `bare` under the same load,"
        " with an answer of the same size.",
        options={"bulk": True, "fresh": _LONG, "settings": _NO_LONGER},
    ),
    "memory": Memory(
        about="100,000 SKUs' parts cached, every page asked for three times and viewed once.",
        options={"bulk": True, "fresh": _LONG, "settings": _NO_LONGER},
    ),
}
