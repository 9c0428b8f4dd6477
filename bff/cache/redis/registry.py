"""What a pod remembers of the registry of pods, so that a Redis that has lost it learns who there was.

A pod that is cut off may be in the lost registry alone. Writers have to reckon with it for a minute.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

KNOWN_SECONDS = 60.0  # as in the scripts
_LEASE = re.compile(rb"([0-9]{1,15}):([0-9]{1,9})")


class _Lease(NamedTuple):
    ends: float  # by this pod's clock
    longest_ms: int


class Registry:
    """The pods, this one left out, as they were when it was last looked at. own: this pod's name."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._of: tuple[str, int] | None = None
        self._pods: dict[str, _Lease] = {}
        self._lost: dict[str, _Lease] = {}  # that were in one which is gone

    def __repr__(self) -> str:
        return f"<Registry {len(self._pods)} others, {len(self._lost)} of a lost one>"

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def since(self) -> int:
        """Since when there is the one that was read last, by the server's clock; 0 where none was."""
        return 0 if self._of is None else self._of[1]

    def read(self, of: tuple[str, int], registry: Sequence[bytes], now_ms: int, now: float) -> None:
        """Take a registry. of: its server and since when it is there. now_ms, now: by its clock and by ours."""
        if self._of is not None and of != self._of:
            self._lost |= self._pods
        elif self._lost:
            self._lost = {}  # they were told with this very tick
        self._of = of
        self._pods = {}
        for name, text in zip(registry[::2], registry[1::2], strict=True):
            pod, lease = name.decode("ascii", "replace"), _LEASE.fullmatch(text)
            if lease is not None and pod != self._own:
                self._pods[pod] = _Lease(now + (int(lease[1]) - now_ms) / 1000, int(lease[2]))

    def seeds(self, now: float) -> list[str | int]:
        """Return what a new registry is told: who was in the lost one, how long its lease is over, its longest call."""
        told: list[str | int] = []
        for name, lease in self._lost.items():
            over = now - lease.ends
            if over < KNOWN_SECONDS:
                told += (name, int(over * 1000), lease.longest_ms)
        return told
