"""The loads of one source that pods share: see `bff.product.look`."""

from bff.cache.flights import Flight
from bff.cache.redis.tier import Asked
from bff.cache.tiers import Outcome
from bff.product.look import Look
from bff.product.sharing import Sharing
from clients.source import Caller


class Shared:
    """Starts loads that other pods take part in."""

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._servable = _asked(sharing, *sharing.lifetimes.servable)
        self._refreshed = _asked(sharing, *sharing.lifetimes.refreshed)

    def __repr__(self) -> str:
        return f"<Shared {self._sharing.name} {self._sharing.alone!r}>"

    def start(self, flight: Flight[Outcome], caller: Caller) -> None:
        """Start the load of a flight."""
        asked = self._refreshed if flight.kept else self._servable
        flight.standing = look = Look(self._sharing, flight, caller, asked)
        flight.work = look
        if self._sharing.tier.usable:
            self._sharing.questions.add(look)
        else:
            look.answered(None)

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        await self._sharing.alone.aclose()


def _asked(sharing: Sharing, value: float, unknown: float) -> Asked:
    return Asked(sharing.name, int(value * 1000), int(unknown * 1000))
