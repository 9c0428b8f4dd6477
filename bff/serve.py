"""The life of a process: bind, start, serve, drain, stop."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import structlog
import uvicorn
from starlette.types import ASGIApp

from bff.settings import Settings
from bff.wiring import Service, build

BACKLOG = 2048
ADMIN_GRACE_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 75  # longer than a proxy keeps its side, so that it is the proxy that closes

log = structlog.get_logger(__name__)


class PortTaken(Exception):
    """A listener's address cannot be had. setting: which one it is."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting}: {reason}")
        self.setting = setting


class Listener(uvicorn.Server):
    """A uvicorn server on a socket of ours, which leaves signals to us."""

    def __init__(self, app: ASGIApp, sock: socket.socket, grace_seconds: float) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=grace_seconds,  # type: ignore[arg-type] # passed to wait_for: fractions are fine
        )
        super().__init__(config)
        self.sock = sock

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: `serving` stops both listeners, in order."""
        yield

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the body runs; afterwards requests in flight get their grace."""
        task = asyncio.get_running_loop().create_task(self.serve(sockets=[self.sock]))
        while not self.started and not task.done():  # noqa: ASYNC110 - uvicorn has a flag for it and no event
            await asyncio.sleep(0.005)
        try:
            yield
        finally:
            self.should_exit = True
            await task


def bind(host: str, port: int, setting: str) -> socket.socket:
    """Bind a listener's address, without listening yet; PortTaken names the setting where it cannot be had."""
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
    except OSError as exc:
        raise PortTaken(setting, exc.strerror or "cannot be listened on") from exc
    return sock


def url(sock: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if sock.family == socket.AF_INET6 else f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Running:
    """A service that listens, and where."""

    service: Service
    public_url: str
    admin_url: str


@contextlib.asynccontextmanager
async def running(settings: Settings, *, docs: bool = False) -> AsyncIterator[Running]:
    """Serve while the body runs, then drain: readiness, public listener, requests, views, admin listener.

    Raises PortTaken before anything is answered.
    """
    with contextlib.ExitStack() as sockets:
        public = sockets.enter_context(bind(settings.host, settings.port, "BFF_PORT"))
        admin = sockets.enter_context(bind(settings.admin_host, settings.admin_port, "BFF_ADMIN_PORT"))
        service = build(settings, docs=docs)
        loop = asyncio.get_running_loop()
        lag = loop.create_task(service.watch_loop_lag())
        shipping = loop.create_task(service.shipper.run())
        async with Listener(service.admin, admin, ADMIN_GRACE_SECONDS).listening():
            async with Listener(service.public, public, settings.grace_seconds).listening():
                service.readiness.ready = True
                try:
                    yield Running(service, url(public), url(admin))
                finally:
                    service.readiness.ready = False
                    log.info("draining")
            service.shipper.stop()
            await shipping
            lag.cancel()
            await service.aclose()
    log.info("stopped")


async def serve(settings: Settings, announce: Callable[[str, str], None], *, docs: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. announce: told the public and the admin URL once both listen."""
    stop = _stop_on_signals()
    async with running(settings, docs=docs) as service:
        announce(service.public_url, service.admin_url)
        await stop.wait()


def _stop_on_signals() -> asyncio.Event:
    """Return an event that the first signal sets; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop
