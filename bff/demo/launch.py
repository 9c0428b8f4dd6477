"""Start the sample sources as a process of their own, and stop it."""

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from bff.demo.product import PARTS
from bff.demo.source import DEDUCT_PATH, RELEASE_PATH

STOP_SECONDS = 3.0


class SourcesFailed(Exception):
    """The sources' process ended before all three listened; the text is what it wrote on standard error."""


@asynccontextmanager
async def sample_sources(
    port: int = 0, catalog: Path | None = None, delays_ms: tuple[int, int, int] | None = None
) -> AsyncIterator[dict[str, str]]:
    """Run the sources and yield their base URLs by name; raise SourcesFailed where they do not start.

    Port 0 takes any free ones; no catalogue means the built-in one, no delays their own.
    """
    # A file, since a pipe that nobody reads while they run could fill and stop them.
    with tempfile.TemporaryFile() as errors:
        process = await _start(_options(port, catalog, delays_ms), errors)
        try:
            yield await _listening(process, errors)
        finally:
            await stop(process, STOP_SECONDS)


def environment(urls: Mapping[str, str]) -> dict[str, str]:
    """Return what a service in front of the sources finds in its environment. urls: base URLs by the sources' names."""
    return {
        **{f"BFF_{name.upper()}__URL": f"{url}/{name}/{{sku}}" for name, url in urls.items()},
        "BFF_STOCK__DEDUCT_URL": urls["stock"] + DEDUCT_PATH,
        "BFF_STOCK__RELEASE_URL": urls["stock"] + RELEASE_PATH,
    }


def _options(port: int, catalog: Path | None, delays_ms: tuple[int, int, int] | None) -> list[str]:
    options = ["--with-parent", "--port", str(port)]
    if catalog is not None:
        options += ["--catalog", str(catalog)]
    if delays_ms is not None:
        options += ["--delays", ",".join(map(str, delays_ms))]
    return options


async def _start(options: list[str], errors: IO[bytes]) -> Process:
    # In a session of its own: a Ctrl-C on the terminal is for the parent, which stops the sources last.
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bff.demo.sources", *options),
        stdin=PIPE,
        stdout=PIPE,
        stderr=errors,
        start_new_session=True,
    )


async def _listening(process: Process, errors: IO[bytes]) -> dict[str, str]:
    assert process.stdout is not None  # it is a pipe
    urls: dict[str, str] = {}
    while len(urls) < len(PARTS):
        line = await process.stdout.readline()
        if not line:
            await process.wait()
            errors.seek(0)
            raise SourcesFailed(errors.read().decode(errors="replace").strip())
        name, url = line.decode().split()
        urls[name] = url
    return urls


async def stop(process: Process, seconds: float) -> None:
    """Ask a process to end, and kill it where it has not in so many seconds."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
