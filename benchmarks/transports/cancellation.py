"""Whether cancelled calls cost a candidate its connections: 7,200 of them, and then a healthy upstream."""

import asyncio

from benchmarks.transports.candidates import CANDIDATES, Call, Candidate
from benchmarks.transports.upstreams import after, upstream

CANCELLED, AT_ONCE, SLOTS, CALLS = 7_200, 60, 10, 100
HEADER = ["", f"answers in {CALLS} calls", f"slots lost of {SLOTS}", "sockets still open", "errors"]


async def _leave(call: Call, url: str) -> None:
    """Start calls in batches and cancel each batch at another stage: queueing, connecting, waiting."""
    for batch in range(CANCELLED // AT_ONCE):
        calls = [asyncio.ensure_future(call(url)) for _ in range(AT_ONCE)]
        await asyncio.sleep(0.002 * (batch % 6))
        for each in calls:
            each.cancel()
        await asyncio.wait(calls)


async def _come_back(call: Call, url: str) -> list[int | BaseException]:
    """Make as many calls at once as there are slots, again and again."""
    ended: list[int | BaseException] = []
    for _ in range(CALLS // SLOTS):
        ended += await asyncio.gather(*(call(url) for _ in range(SLOTS)), return_exceptions=True)
    return ended


async def _row(candidate: Candidate) -> list[str]:
    async with upstream(after(0.3)) as slow, upstream(after(0.02)) as healthy, candidate.open(SLOTS) as call:
        await _leave(call, slow.url)
        await asyncio.sleep(0.5)
        left = slow.connections
        ended = await _come_back(call, healthy.url)
        errors = sorted({type(end).__name__ for end in ended if isinstance(end, BaseException)})
        answers = sum(isinstance(end, int) for end in ended)
        return [candidate.name, str(answers), str(SLOTS - healthy.most), str(left), ", ".join(errors) or "none"]


async def table() -> list[list[str]]:
    """Return the rows, a candidate each."""
    return [HEADER, *[await _row(candidate) for candidate in CANDIDATES]]
