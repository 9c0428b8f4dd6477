"""Whether Redis can be reached and used, as `bff check` says it."""

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from bff.cache.redis.address import CONNECT_SECONDS, Connect
from bff.cache.redis.lane import Clock, Lane, Unanswered


async def reach(connect: Connect, clock: Clock) -> tuple[bool, str]:
    """Connect as the service does; return whether that went well, and what was found."""
    lane = Lane(connect, clock, lambda _kind: None)
    try:
        await lane.open()
    except Unanswered as exc:
        return False, f"{exc}: {exc.__cause__}".removesuffix(": ")
    finally:
        await lane.aclose()
    return True, f"server {lane.run_id}{await _warning(connect)}"


async def _warning(connect: Connect) -> str:
    connection = connect()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
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
