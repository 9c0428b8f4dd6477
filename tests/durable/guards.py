"""What the service goes on with after a crash, and how it is taken out of a process, for the control."""

import inspect
from collections.abc import Callable

from bff.durable.worker import Worker

RECONCILER = "reconciler"


class Changed(Exception):
    """The service's code is not what this was written for: reconciliation would still be there."""


def _without_reconciler() -> None:
    """Leave what was begun to nobody: neither taken over from others, nor gone on with after a start."""
    for name in ("_reconcile", "_resume"):
        if not inspect.iscoroutinefunction(vars(Worker).get(name)):
            raise Changed(f"{Worker.__name__}.{name}")
        setattr(Worker, name, _nothing)


async def _nothing(self: Worker) -> None:
    """Do nothing."""


GUARDS: dict[str, Callable[[], None]] = {RECONCILER: _without_reconciler}
