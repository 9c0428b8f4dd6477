"""`bff check`: reach every upstream, Redis and the database once, as the service itself would."""

import asyncio
from collections.abc import Callable

from bff.cache.redis.address import Address
from bff.cache.redis.reach import reach
from bff.product.parts import SOURCES, SourceName
from bff.settings import Settings
from bff.wiring.clocks import clock
from bff.wiring.durable import reach_database
from bff.wiring.sources import source_client
from clients.errors import UpstreamError
from clients.source import Caller

SKU = "bff-check"
_CALLER = Caller(request_id=SKU, trace_id="0" * 31 + "1")


async def reach_all(settings: Settings, say: Callable[[str], None]) -> bool:
    """Ask every source for a SKU that hardly exists, say a line of each, and return whether all are well."""
    asked: list[tuple[SourceName, bool]] = [(name, False) for name in SOURCES]
    asked += [(name, True) for name in SOURCES if getattr(settings, name).bulk_url is not None]
    results = await asyncio.gather(*(_reach(name, settings, bulk=bulk) for name, bulk in asked))
    for (name, bulk), (well, found) in zip(asked, results, strict=True):
        say(f"{name}{' in bulk' if bulk else ''}: {'ok' if well else 'failed'}, {found}")
    all_well = all(well for well, _ in results)
    if settings.redis_url is not None:
        well, found = await reach(Address(settings.redis_url), clock)
        say(f"redis: {'ok' if well else 'failed'}, {found}")
        all_well = all_well and well
    if settings.authenticates or settings.database_url is not None:
        well, found = await asyncio.to_thread(reach_database, settings)
        say(f"database: {'ok' if well else 'failed'}, {found}")
        all_well = all_well and well
    return all_well


async def _reach(name: SourceName, settings: Settings, *, bulk: bool) -> tuple[bool, str]:
    own = getattr(settings, name)
    seconds = settings.attempt_seconds(own)
    source = source_client(name, own)
    try:
        async with asyncio.timeout(seconds):
            status = await source.reach(SKU, _CALLER, seconds, bulk=bulk)
    except TimeoutError:
        return False, f"no answer within {seconds:g} s"
    except UpstreamError as exc:
        return False, f"{type(exc).__name__.lower()}: {exc.__cause__ or exc}"
    finally:
        await source.aclose()
    return status == 200 or (status in own.not_found_status and not bulk), f"status {status}"
