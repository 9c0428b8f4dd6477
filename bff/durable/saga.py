"""The way of a change: each part in turn, and back again where one could not be written or the change was stopped.

It knows the order of things alone, so that it can be run again from any point: each step says how it ended, also where
that was before.
"""

from collections.abc import Awaitable, Callable, Sequence

END = "end"

Do = Callable[[str], Awaitable[str]]


async def change(sources: Sequence[str], do: Do) -> str:
    """Take a change to its end, and return its state, or "fenced" where it is another's to end.

    do: does a step, and returns "done", "failed", "stopped" or "fenced". The end, too, may be "stopped", by a cancel
    that came while the last part was being written.
    """
    begun: list[str] = []
    ended = "done"
    for source in sources:
        begun.append(source)
        if (ended := await do(f"write {source}")) != "done":
            break
    if ended == "done":
        ended = await do(END)
        if ended != "stopped":
            return ended
    if ended == "fenced":
        return ended
    for source in reversed(begun):
        if await do(f"undo {source}") == "fenced":
            return "fenced"
    return await do(END)
