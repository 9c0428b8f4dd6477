"""The issuer's keys as they are known, and when they are asked for again. What they are for is not known here."""

import asyncio
import math
from collections.abc import Callable, Mapping

import structlog

from bff.auth.jwks import FETCH_SECONDS, Clock, Key, Unfetched

LIFETIME_SECONDS = 300.0
REFETCH_SECONDS = 10.0
RETRY_SECONDS = 1.0  # while none was ever had

log = structlog.get_logger(__name__)


class KeysUnavailable(Exception):
    """No key was ever had, so that no JWT can be told good or bad."""


class Keys:
    """The issuer's keys: fetched by the first who asks, kept for good, looked at anew when they may have changed.

    fetch: blocks, for two seconds or a little more, and runs in a thread; raises Unfetched.
    clock: monotonic seconds.
    """

    def __init__(self, fetch: Callable[[], Mapping[str, Key]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._known: Mapping[str, Key] = {}
        self._read = self._asked = -math.inf
        self._flight: asyncio.Future[Mapping[str, Key]] | None = None

    def __repr__(self) -> str:
        return f"<Keys {len(self._known)} known{', fetching' if self._flight else ''}>"

    async def find(self, kid: str) -> Key | None:
        """Return the key of that name, after at most two seconds; raise KeysUnavailable where none was ever had."""
        now = self._clock()
        if kid not in self._known or now - self._read >= LIFETIME_SECONDS:
            self._ask(now)
            if self._flight is not None:  # a caller that leaves ends its own waiting, not the fetch
                await asyncio.wait({self._flight}, timeout=max(0.0, self._asked + FETCH_SECONDS - now))
        if not self._known:
            raise KeysUnavailable
        return self._known.get(kid)

    def _ask(self, now: float) -> None:
        """Start a fetch, where none is under way and the last one is long enough ago."""
        pause = REFETCH_SECONDS if self._known else RETRY_SECONDS
        if self._flight is None and now - self._asked >= pause:
            self._asked = now
            self._flight = asyncio.get_running_loop().run_in_executor(None, self._fetch)
            self._flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Future[Mapping[str, Key]]) -> None:
        self._flight = None
        try:
            self._known = flight.result()
        except Unfetched as exc:
            log.warning("the keys of JWTs could not be fetched", error=str(exc), known=len(self._known))
        else:
            self._read = self._asked
