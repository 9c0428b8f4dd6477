"""The contract: `FRESH_SECONDS` and `CACHE`: what is refreshed ahead, shared and bounded."""

import asyncio
from typing import Any

from tests.harness import bff, until
from tests.upstreams import after, always, parts

LONG: dict[str, Any] = {"price__fresh_seconds": "60", "price__stale_seconds": "60", "price__revalidate_seconds": "0"}
SHORT: dict[str, Any] = {"price__fresh_seconds": "0.1", "price__stale_seconds": "60", "price__revalidate_seconds": "0"}


async def test_a_value_that_is_being_read_is_refreshed_shortly_before_its_end() -> None:
    settings: dict[str, Any] = {
        "price__fresh_seconds": "2",
        "price__stale_seconds": "60",
        "price__revalidate_seconds": "0",
    }
    async with bff(**settings) as service:
        found: list[str] = []

        async def refreshed() -> bool:
            answer = await service.page("1001")
            found.append(answer.headers["cache-status"].split(", ")[1].partition(";")[2].split(";")[0].strip())
            return len(service.price.seen) >= 2

        await until(refreshed)
        found.append((await service.page("1001")).headers["cache-status"].split(", ")[1].split("; ")[1])
    assert found[0] == "fwd=miss"
    assert set(found[1:]) == {"hit"}


async def test_a_value_that_nobody_reads_is_not_refreshed() -> None:
    async with bff(**SHORT) as service:
        await service.page("1001")
        await asyncio.sleep(0.4)
        assert len(service.price.seen) == 1


async def test_pages_that_are_asked_for_at_once_share_one_load() -> None:
    async with bff(price=after(0.2, parts("price"))) as service:
        answers = await asyncio.gather(*(service.page("1001") for _ in range(20)))
        assert [len(up.seen) for up in (service.info, service.price, service.stock)] == [1, 1, 1]
    assert {answer.states["price"] for answer in answers} == {"ok"}


async def test_the_cache_keeps_within_its_entries_and_404s_take_a_tenth() -> None:
    async with bff(cache__max_entries="30", info=always("no", 404), **LONG) as service:
        for at in range(60):
            await service.page(f"gone-{at}")
        service.info.script = parts("info")
        for sku in ("a", "b", "c", "d", "e"):
            await service.page(sku)
        asked = len(service.price.seen)
        for sku in ("a", "b", "c", "d", "e"):
            await service.page(sku)
        assert len(service.price.seen) == asked
        for at in range(60):
            await service.page(f"there-{at}")
        await service.page("a")
        assert [seen.sku for seen in service.price.seen].count("a") == 2
