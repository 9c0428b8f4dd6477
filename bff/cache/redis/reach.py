"""Whether Redis can be reached and used, as `bff check` says it."""

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from bff.cache.redis.address import CONNECT_SECONDS, Address
from bff.cache.redis.keys import NOTICES, Keys, pod_channel
from bff.cache.redis.lane import Clock, Lane, Unanswered
from bff.cache.redis.scripts import LEAVE, TAKE, TICK

NAME = "bff-check"


async def reach(address: Address, clock: Clock) -> tuple[bool, str]:
    """Connect as the service does; return whether that went well, and what was found."""
    lane = Lane(address, clock, lambda _kind: None)
    try:
        await lane.open()
        await _use(lane)
        await _listen(address)
        return True, f"server {lane.run_id}{await _warning(address)}"
    except Unanswered as exc:
        return False, f"{exc}: {exc.__cause__}".removesuffix(": ")
    finally:
        await lane.aclose()
        await address.aclose()


async def _use(lane: Lane) -> None:
    """Do what pods do: look a part up, renew a lease, publish; raises Unanswered."""
    keys = Keys(lane.run_id)
    await lane.call(TAKE, keys.part(NAME, NAME), ("n" + NAME, 1, NAME, 1, 0, 0), CONNECT_SECONDS)
    until = lane.server_ms[0] + 60_000
    await lane.call(TICK, (keys.pods, keys.due), (NAME, 1, 1, pod_channel(NAME), "t0", until, 0), CONNECT_SECONDS)
    await lane.call(LEAVE, (keys.pods,), (NAME,), CONNECT_SECONDS)


async def _listen(address: Address) -> None:
    """Subscribe as pods do; raises Unanswered."""
    connection = address.connection()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("SUBSCRIBE", NOTICES, pod_channel(NAME))
            for _ in range(2):
                await connection.read_response()
    except (RedisError, OSError, TimeoutError) as exc:
        raise Unanswered("cannot subscribe") from exc
    finally:
        with suppress(Exception):
            await connection.disconnect(nowait=True)


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
