"""Serve the three sample sources in one process, on a port each: `python -m bff.demo.sources`.

It prints where they listen, and ends at once by SIGTERM, SIGINT or, on request, with its parent.
"""

import argparse
import asyncio
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import uvloop

from bff.demo.catalog import Catalog, CatalogError
from bff.demo.product import PARTS
from bff.demo.source import Source
from bff.listener import Listener, PortTaken, bind, url

FIRST_PORT = 8101
DELAYS_MS = (500, 300, 200)
_LAST_PORT = 65536 - len(PARTS)
_STDIN = 0


def bind_three(host: str, port: int) -> list[socket.socket]:
    """Listen on the port and the next two, or any free ones for 0; raise PortTaken, keeping none."""
    with ExitStack() as undo:
        ports = [port and port + offset for offset in range(len(PARTS))]
        sockets = [undo.enter_context(bind(host, each, f"port {each}")) for each in ports]
        undo.pop_all()
    return sockets


async def serve(sources: Sequence[Source], sockets: Sequence[socket.socket], stop: asyncio.Event) -> None:
    """Answer on the sockets until stop is set, then abandon what is still being answered."""
    listeners = [Listener(source, sock, 0) for source, sock in zip(sources, sockets, strict=True)]
    async with AsyncExitStack() as listening:
        for listener in listeners:
            await listening.enter_async_context(listener.listening())
        await stop.wait()
        # Each abandoned answer would be logged as a crash of the app.
        logging.getLogger("uvicorn.error").disabled = True
        for listener in listeners:
            listener.force_exit = True


async def _run(sources: Sequence[Source], sockets: Sequence[socket.socket], *, with_parent: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        threading.Thread(target=_stop_at_end_of_input, args=(loop, stop), daemon=True).start()
    for name, listening in zip(PARTS, sockets, strict=True):
        print(name, url(listening), flush=True)
    await serve(sources, sockets, stop)


def _stop_at_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # A thread, since no loop watches a plain file; unbuffered, since a daemon may die with a buffer's lock.
    while os.read(_STDIN, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped and return 0; 1 where a port is taken, 2 where the catalogue is bad."""
    options = _options().parse_args(arguments)
    try:
        catalog = Catalog.from_file(options.catalog) if options.catalog else Catalog.sample()
        sockets = bind_three(options.host, options.port)
    except CatalogError as exc:
        print(f"catalogue {options.catalog}: {exc}", file=sys.stderr)
        return 2
    except PortTaken as exc:
        print(exc, file=sys.stderr)
        return 1
    sources = [Source(name, catalog, delay_ms / 1000) for name, delay_ms in zip(PARTS, options.delays, strict=True)]
    uvloop.run(_run(sources, sockets, with_parent=options.with_parent))
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bff.demo.sources", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--port",
        type=_port,
        default=FIRST_PORT,
        help="of info; price and stock take the next two; 0: any free ones",
    )
    parser.add_argument("--catalog", type=Path, metavar="FILE", help="instead of the built-in catalogue")
    parser.add_argument(
        "--delays", type=_delays, default=DELAYS_MS, metavar="MS,MS,MS", help="of info, price and stock"
    )
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be 0 to {_LAST_PORT}, the next two are needed as well")
    return int(text)


def _delays(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]{1,8}(,[0-9]{1,8}){2}", text):
        raise argparse.ArgumentTypeError("must be three whole numbers of milliseconds, such as 500,300,200")
    return tuple(int(delay) for delay in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
