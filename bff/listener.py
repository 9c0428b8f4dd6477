"""A uvicorn server on a socket of ours, stopped by us and not by a signal."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from bff.protocol import Quick, protocol

BACKLOG = 2048
TICK_SECONDS = 0.1  # as uvicorn counts them: ten ticks a second
KEEP_ALIVE_SECONDS = 75  # longer than a proxy keeps its side, so that it is the proxy that closes


class PortTaken(Exception):
    """A listener's address cannot be had. setting: which one it is."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting}: {reason}")
        self.setting = setting


class Listener(uvicorn.Server):
    """Serves an application on a bound socket, and leaves signals to others.

    grace_seconds: what requests in flight get at the end of `listening`.
    quick: answers some requests ahead of the application.
    """

    def __init__(self, app: ASGIApp, sock: socket.socket, grace_seconds: float, quick: Quick | None = None) -> None:
        config = uvicorn.Config(
            app,
            http=protocol(quick),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # no address of a client is looked at
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=grace_seconds,  # type: ignore[arg-type] # passed to wait_for: fractions are fine
        )
        super().__init__(config)
        self.servers: list[asyncio.base_events.Server] = []  # uvicorn has none before it has started
        self.sock = sock
        self._stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: it is not for one of several listeners to stop the process."""
        yield

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the body runs; afterwards requests in flight get their grace."""
        task = asyncio.get_running_loop().create_task(self.serve(sockets=[self.sock]))
        try:
            while not self.started and not task.done():  # noqa: ASYNC110 - uvicorn has a flag for it and no event
                await asyncio.sleep(0.005)
            yield
        finally:
            self.should_exit = True
            self._stop.set()
            await task

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop, or until cancelled: uvicorn would leave its sockets open then."""
        try:
            await super().serve(sockets)
        except asyncio.CancelledError:
            self._abandon()
            raise

    async def main_loop(self) -> None:
        """Do uvicorn's regular chores until told to stop; its own would notice that a tick later."""
        tick = 0
        while not await self.on_tick(tick):
            tick += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._stop.wait()

    def _abandon(self) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def bind(host: str, port: int, setting: str) -> socket.socket:
    """Listen on an address, without answering yet; PortTaken names the setting where it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
    except (socket.gaierror, UnicodeError) as exc:
        raise PortTaken(setting.replace("PORT", "HOST"), "is no address of this machine") from exc
    except OSError as exc:
        raise PortTaken(setting, exc.strerror or "cannot be listened on") from exc
    return sock


def url(sock: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if sock.family == socket.AF_INET6 else f"http://{host}:{port}"
