"""One report for each attempt that was made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bff.resilience.stack import Call, Clock, Next


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended: with a result or with an error, after so many seconds."""

    result: Any
    error: BaseException | None
    seconds: float


class Observe:
    """Reports every attempt to an observer, cancelled ones too."""

    def __init__(self, observer: Callable[[Attempt], None], clock: Clock) -> None:
        self._observer = observer
        self._clock = clock

    async def __call__(self, call: Call, proceed: Next) -> Any:
        """Make the attempt and report it."""
        began = self._clock()
        result, error = None, None
        try:
            result = await proceed(call)
        except BaseException as exc:
            error = exc
            raise
        finally:
            self._observer(Attempt(result, error, self._clock() - began))
        return result
