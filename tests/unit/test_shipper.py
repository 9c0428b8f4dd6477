"""Taking views out: in batches, with a sink that may break, to the last one at a stop."""

import asyncio
import errno
import json
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from bff.viewlog.recorder import Recorder
from bff.viewlog.shipper import INTERVAL_SECONDS, MOST_AT_ONCE, RETRY_SECONDS, Shipper
from tests.unit.playing import now, start, turns
from tests.unit.test_recorder import view


@dataclass
class Shelf:
    """A sink that breaks at so many tries, from one of them on."""

    breaks_from: int = 10**9
    breaks_until: int = 10**9
    batches: list[bytes] = field(default_factory=list)
    tries: int = 0
    closed: bool = False

    def write(self, lines: bytes) -> None:
        self.tries += 1
        if self.breaks_from <= self.tries < self.breaks_until:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.batches.append(lines)

    def close(self) -> None:
        self.closed = True

    @property
    def skus(self) -> list[int]:
        return [int(json.loads(line)["sku_id"]) for line in b"".join(self.batches).splitlines()]


class Shipping:
    """A shipper at work. It counts in the loop's thread, so that tests can wait for it and for no clock."""

    def __init__(self, sink: Shelf, capacity: int = 10**6) -> None:
        self.counts: list[tuple[float, str, int]] = []
        self.sink = sink
        self.recorder = Recorder(lambda count: self.count("dropped", count), capacity)
        self.shipper = Shipper(self.recorder, sink, self.count)
        self.run = start(self.shipper.run())
        self._more = asyncio.Event()

    def count(self, outcome: str, count: int) -> None:
        self.counts.append((round(now(), 6), outcome, count))
        self._more.set()

    async def next_count(self) -> None:
        self._more.clear()
        await self._more.wait()

    async def stop(self) -> None:
        self.shipper.stop()
        await self.run

    def record(self, *numbers: int) -> None:
        for number in numbers:
            self.recorder.record(view(number))


async def test_what_came_in_an_interval_goes_out_at_its_end_in_one_batch() -> None:
    shipping = Shipping(Shelf())
    await turns()
    shipping.record(1, 2, 3)
    await shipping.next_count()
    assert shipping.counts == [(INTERVAL_SECONDS, "written", 3)]
    shipping.record(4)
    await shipping.next_count()
    assert shipping.counts[1:] == [(2 * INTERVAL_SECONDS, "written", 1)]
    assert (shipping.sink.skus, len(shipping.sink.batches)) == ([1, 2, 3, 4], 2)
    await shipping.stop()


async def test_a_view_is_out_within_200_ms() -> None:
    assert 2 * INTERVAL_SECONDS <= 0.2


async def test_a_burst_goes_out_in_batches_without_a_pause_between() -> None:
    shipping = Shipping(Shelf())
    await turns()
    shipping.record(*range(MOST_AT_ONCE * 2 + 1))
    for _ in range(3):
        await shipping.next_count()
    assert shipping.counts == [(INTERVAL_SECONDS, "written", size) for size in (MOST_AT_ONCE, MOST_AT_ONCE, 1)]
    assert shipping.sink.skus == list(range(MOST_AT_ONCE * 2 + 1))
    await shipping.stop()


async def test_nothing_is_written_where_nothing_came() -> None:
    shipping = Shipping(Shelf())
    await asyncio.sleep(5.0)
    await shipping.stop()
    assert (shipping.sink.tries, shipping.counts, shipping.sink.closed) == (0, [], True)


async def test_at_a_stop_what_is_left_goes_out_at_once() -> None:
    shipping = Shipping(Shelf())
    await turns()
    shipping.record(1, 2)
    await shipping.stop()
    assert (now(), shipping.sink.skus, shipping.sink.closed) == (0.0, [1, 2], True)
    assert shipping.counts == [(0.0, "written", 2)]


async def test_a_stop_before_the_first_step_loses_nothing() -> None:
    shipping = Shipping(Shelf())
    shipping.record(1, 2)
    await shipping.stop()
    assert shipping.sink.skus == [1, 2]


async def test_a_broken_sink_keeps_what_it_did_not_take_and_tries_again_a_second_later() -> None:
    shipping = Shipping(Shelf(breaks_from=1, breaks_until=4))
    await turns()
    with capture_logs() as logs:
        shipping.record(1, 2)
        await shipping.next_count()
        assert repr(shipping.shipper).startswith("<Shipper broken")
        shipping.record(3)
        await shipping.next_count()
    assert shipping.counts == [
        (INTERVAL_SECONDS, "failed", 2),  # once, and not at every try
        (INTERVAL_SECONDS + 3 * RETRY_SECONDS, "written", 3),
    ]
    assert (shipping.sink.skus, shipping.sink.tries) == ([1, 2, 3], 4)
    assert [line["error"] for line in logs] == ["No space left on device"]
    assert repr(shipping.shipper).startswith("<Shipper well")
    await shipping.stop()


async def test_a_sink_that_breaks_again_is_counted_again() -> None:
    shipping = Shipping(Shelf(breaks_from=2, breaks_until=3))
    await turns()
    for number in (1, 2):
        shipping.record(number)
        await shipping.next_count()
    await shipping.next_count()
    assert [(outcome, count) for _, outcome, count in shipping.counts] == [
        ("written", 1),
        ("failed", 1),
        ("written", 1),
    ]
    await shipping.stop()


async def test_a_queue_that_runs_full_before_a_broken_sink_drops_and_counts() -> None:
    shipping = Shipping(Shelf(breaks_from=1), capacity=3)
    shipping.record(1, 2, 3, 4, 5)
    assert [(outcome, count) for _, outcome, count in shipping.counts] == [("dropped", 1), ("dropped", 1)]
    await turns()
    await shipping.stop()


async def test_what_a_broken_sink_does_not_take_at_the_stop_is_counted_as_dropped() -> None:
    shipping = Shipping(Shelf(breaks_from=1))
    await turns()
    with capture_logs() as logs:
        shipping.record(1, 2)
        await shipping.stop()
    assert [(outcome, count) for _, outcome, count in shipping.counts] == [("failed", 2), ("dropped", 2)]
    assert (shipping.sink.closed, logs[-1]["views"], now()) == (True, 2, 0.0)


@pytest.mark.parametrize("during", ["a retry", "an interval"])
async def test_a_stop_waits_for_no_pause(during: str) -> None:
    shipping = Shipping(Shelf(breaks_from=1, breaks_until=2 if during == "a retry" else 1))
    await turns()
    shipping.record(1)
    await shipping.next_count()
    began = now()
    await shipping.stop()
    assert (now(), shipping.sink.skus) == (began, [1])
