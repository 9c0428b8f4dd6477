"""Ending the work on a request whose client has left."""

import asyncio
from types import TracebackType

from starlette.types import Receive

CLIENT_LEFT = 499  # nginx's number for a client that did not wait; it is counted, and sent to nobody


class ClientLeft(Exception):
    """The client closed its connection before it was answered."""


class UntilDisconnect:
    """Cancels its body when the client leaves, and raises ClientLeft then.

    Made like asyncio.timeout: the cancellation is taken back, so that one from elsewhere is not swallowed.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watcher.cancel()
        if self._left and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientLeft from error

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._task.cancel()
