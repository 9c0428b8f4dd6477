"""The life of a process: bind, start, serve, drain, stop."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog

from bff.listener import Listener, bind, url
from bff.settings import Settings
from bff.wiring.service import Service, build

ADMIN_GRACE_SECONDS = 1.0
GC_THRESHOLDS = (50_000, 20, 50)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A service that listens, and where."""

    service: Service
    public_url: str
    admin_url: str


@contextlib.asynccontextmanager
async def running(settings: Settings, *, docs: bool = False, front: bool = True) -> AsyncIterator[Running]:
    """Serve while the body runs, then drain: readiness, public listener, requests, views, admin listener.

    docs, front: as `bff.api.public.public_app` has them.
    Raises PortTaken before anything is answered.
    """
    with contextlib.ExitStack() as sockets:
        public = sockets.enter_context(bind(settings.host, settings.port, "BFF_PORT"))
        admin = sockets.enter_context(bind(settings.admin_host, settings.admin_port, "BFF_ADMIN_PORT"))
        service = build(settings, works=settings.embedded, docs=docs, front=front)
        await service.caching.start()
        service.durable.start()
        loop = asyncio.get_running_loop()
        lag = loop.create_task(service.watch_loop_lag())
        shipping = loop.create_task(service.shipper.run())
        async with Listener(service.admin, admin, ADMIN_GRACE_SECONDS).listening():
            try:
                async with Listener(service.public, public, settings.grace_seconds, service.quick).listening():
                    service.readiness.ready = True
                    try:
                        yield Running(service, url(public), url(admin))
                    finally:
                        service.drain()
            finally:
                service.shipper.stop()
                try:
                    await shipping
                finally:  # a loop that ends early cancels all its tasks at once, this one too
                    lag.cancel()
                    await service.aclose()
    log.info("stopped")


@contextlib.asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[str]:
    """Do durable work while the body runs, which is given the URL of the admin listener, the only one.

    Raises PortTaken.
    """
    with bind(settings.admin_host, settings.admin_port, "BFF_ADMIN_PORT") as admin:
        service = build(settings, works=True)
        await service.caching.start()
        service.durable.start()
        lag = asyncio.get_running_loop().create_task(service.watch_loop_lag())
        async with Listener(service.admin, admin, ADMIN_GRACE_SECONDS).listening():
            try:
                service.readiness.ready = True
                try:
                    yield url(admin)
                finally:
                    service.drain()
            finally:
                lag.cancel()
                await service.aclose()
    log.info("stopped")


async def work(settings: Settings, announce: Callable[[str], None]) -> None:
    """Do durable work until SIGTERM or SIGINT. announce: told the admin URL once it listens."""
    stop = _stop_on_signals()
    async with working(settings) as admin_url:
        _spare_the_collector()
        announce(admin_url)
        await stop.wait()


async def serve(settings: Settings, announce: Callable[[str, str], None], *, docs: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. announce: told the public and the admin URL once both listen."""
    stop = _stop_on_signals()
    async with running(settings, docs=docs) as service:
        _spare_the_collector()
        announce(service.public_url, service.admin_url)
        await stop.wait()


def _spare_the_collector() -> None:
    """Leave what lives as long as the process out of collections, and make these rarer.

    Pages make next to no cycles, and by default their allocations alone have a collector walk through the whole cache.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


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
