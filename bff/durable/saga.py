"""The way of a change: each part in turn, and back again where one could not be written or the change was stopped.

It knows the order of things alone, so that it can be run again from any point: each step says how it ended, also where
that was before.
"""

from collections.abc import Awaitable, Callable, Sequence

Do = Callable[[str], Awaitable[str]]


async def change(sources: Sequence[str], do: Do) -> str:
    """Take a change to its end, and return its state, or "fenced" where it is another's to end.

    do: does a step, and returns "done", "failed", "stopped" or "fenced".
    """
    begun: list[str] = []
    for source in sources:
        begun.append(source)
        if (ended := await do(f"write {source}")) == "fenced":
            return ended
        if ended != "done":
            for written in reversed(begun):
                if await do(f"undo {written}") == "fenced":
                    return "fenced"
            break
    return await do("end")
