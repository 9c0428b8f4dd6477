"""What the loads of one turn of the event loop ask of Redis, in one question a SKU."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import structlog

from bff.cache.redis.tier import Asked, RedisTier, Took

log = structlog.get_logger(__name__)


class Asking(Protocol):
    """Whoever asks for a part. over: it wants no answer any more."""

    over: bool

    @property
    def sku(self) -> str:
        """Of what."""

    def send(self) -> Asked:
        """Return what is asked; it is sent in this turn."""

    def answered(self, took: Took | None) -> None:
        """Take what Redis says of the part, None where it says nothing; must not raise."""


class Questions:
    """The questions of a turn. soon: has something done before the turn ends."""

    def __init__(self, tier: RedisTier, soon: Callable[[Callable[[], None]], object]) -> None:
        self._tier = tier
        self._soon = soon
        self._waiting: dict[str, list[Asking]] = {}

    def __repr__(self) -> str:
        return f"<Questions {len(self._waiting)}>"

    def add(self, asking: Asking) -> None:
        """Have something asked at the end of this turn."""
        if not self._waiting:
            self._soon(self._send)
        self._waiting.setdefault(asking.sku, []).append(asking)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for sku, everybody in waiting.items():
            if left := [asking for asking in everybody if not asking.over]:
                self._tier.take(sku, [asking.send() for asking in left], partial(_hand_out, left))


def _hand_out(everybody: Sequence[Asking], took: Sequence[Took] | None) -> None:
    for number, asking in enumerate(everybody):
        try:
            asking.answered(None if took is None else took[number])
        except Exception as exc:  # the others must hear of theirs all the same
            log.error("an answer of Redis was not taken", exc_info=exc)
