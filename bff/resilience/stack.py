"""Layers around a call. A stack of layers is a layer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

Clock = Callable[[], float]
Send = Callable[[float], Awaitable[Any]]
Next = Callable[["Call"], Awaitable[Any]]


@dataclass(slots=True)
class Call:
    """One question put to one source, through all of its attempts.

    send: makes one attempt; it is given the seconds that the attempt may take.
    deadline: when the whole call must have ended, by the layers' clock.
    leaves_to_guard: whether it is the guard's to try again after an error that may do better.
    is_repeat: whether it repeats a part of a call that failed, and is no new question.
    queued: whether it waits for a slot just now.
    began: when its last attempt began, by the same clock.
    """

    send: Send
    deadline: float
    leaves_to_guard: Callable[[Exception], bool] = lambda _: True
    is_repeat: bool = False
    queued: bool = False
    began: float = 0.0


class Layer(Protocol):
    """A policy around a call."""

    async def __call__(self, call: Call, proceed: Next) -> Any:
        """Make the call by `proceed`, at most as the policy allows."""


def stack(*layers: Layer) -> Next:
    """Return one callable out of layers, the outermost first."""
    proceed: Next = _innermost
    for layer in reversed(layers):
        proceed = partial(layer, proceed=proceed)
    return proceed


async def _innermost(_: Call) -> Any:
    raise TypeError("the last layer makes the attempt by call.send and proceeds no further")
