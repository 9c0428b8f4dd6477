"""Each guard of the service, and how it is taken out of a process, for the control that has to find old values then."""

from collections.abc import Callable

from bff.cache.flights import Flights
from bff.cache.redis.scripts import FILL, LIFT, PUT_MARK, Script
from bff.product.podsfence import Telling, Told


class Changed(Exception):
    """The service's code is not what a guard was written for: the guard would still be there."""


def _without_nonce() -> None:
    """Keep what a load has brought, whatever happened to its part meanwhile."""
    _rewrite(FILL, "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end", "")


def _without_mark() -> None:
    """Put no mark where a part is about to be written, and do not miss it afterwards.

    A writer who misses his mark tells the pods once more: that alone would keep old values out.
    """
    _rewrite(PUT_MARK, "redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])", "redis.call('DEL', KEYS[3])")
    _rewrite(LIFT, "if found == ARGV[1] then", "if true then")


def _without_acknowledgement() -> None:
    """Go on once the pods are told, without waiting until they have taken note."""

    async def acknowledged(self: Telling, told: Told) -> None:
        """Wait for nobody."""

    _replace(Telling, "acknowledged", acknowledged)


def _without_in_flight() -> None:
    """Let a load that is under way when its part is invalidated go on as if nothing had happened."""

    def revoke(self: Flights[object], key: str) -> None:
        """Leave the flight where it is."""

    _replace(Flights, "revoke", revoke)


GUARDS: dict[str, Callable[[], None]] = {
    "nonce": _without_nonce,
    "mark": _without_mark,
    "acknowledgement": _without_acknowledgement,
    "in-flight": _without_in_flight,
}


def _rewrite(script: Script, text: str, instead: str) -> None:
    if script.text.count(text) != 1:
        raise Changed(f"script {script.name}")
    rewritten = Script(script.name, script.text.replace(text, instead))
    for name in ("text", "digest"):  # in place: other modules hold the script itself
        object.__setattr__(script, name, getattr(rewritten, name))


def _replace(owner: type, name: str, function: Callable[..., object]) -> None:
    if name not in vars(owner):
        raise Changed(f"{owner.__name__}.{name}")
    setattr(owner, name, function)
