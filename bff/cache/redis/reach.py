"""Whether Redis can be reached and used, as `bff check` says it."""

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from bff.cache.redis.address import CONNECT_SECONDS, Address
from bff.cache.redis.lane import Clock, Lane, Unanswered


async def reach(address: Address, clock: Clock) -> tuple[bool, str]:
    """Connect as the service does; return whether that went well, and what was found."""
    lane = Lane(address, clock, lambda _kind: None)
    try:
        await lane.open()
        return True, f"server {lane.run_id}{await _warning(address)}"
    except Unanswered as exc:
        return False, f"{exc}: {exc.__cause__}".removesuffix(": ")
    finally:
        await lane.aclose()
        await address.aclose()


async def _warning(address: Address) -> str:
    connection = address.connection()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call] # else sentinels would not be asked where it leads
            await connection.send_command("CONFIG", "GET", "min-replicas-to-write")
            found = await connection.read_response()
    except RedisError:
        return "; warning: min-replicas-to-write cannot be read"
    except (OSError, TimeoutError):
        return ""
    finally:
        with suppress(Exception):
            await connection.disconnect(nowait=True)
    if [bytes(text) for text in found[1:]] == [b"0"]:
        return "; warning: min-replicas-to-write is 0, so that a fail-over may lose what was written last"
    return ""
