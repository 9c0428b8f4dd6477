"""The service as a process of its own, as those who deploy it start it."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
UNUSED = {f"BFF_{name}__URL": f"http://127.0.0.1:9/{name.lower()}/{{sku}}" for name in ("INFO", "PRICE", "STOCK")}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Served:
    """`bff serve`, and what it printed once it listened."""

    process: Process
    public: str
    admin: str

    async def end(self) -> Ended:
        """Wait for its end and read what else it printed."""
        async with asyncio.timeout(20):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return Ended(self.process.returncode, out.decode(), err.decode())


async def start(*arguments: str, settings: Mapping[str, str]) -> Process:
    """Start `bff`; nothing of this process's own settings reaches it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BFF_")} | dict(settings)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bff", *arguments, cwd=ROOT, env=environ, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )


async def run(*arguments: str, settings: Mapping[str, str] | None = None) -> Ended:
    """Run `bff` to its end."""
    process = await start(*arguments, settings=UNUSED if settings is None else settings)
    try:
        return await Served(process, "", "").end()
    finally:
        await _reap(process)


@asynccontextmanager
async def serving(*options: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[Served]:
    """Run `bff serve` on free ports until the body ends it, or has ended."""
    with TemporaryDirectory() as folder:
        own = {"BFF_PORT": "0", "BFF_ADMIN_PORT": "0", "BFF_DATA_DIR": folder}
        process = await start("serve", *options, settings={**UNUSED, **own, **(settings or {})})
        try:
            assert process.stdout is not None
            async with asyncio.timeout(20):
                public = (await process.stdout.readline()).decode()
                admin = (await process.stdout.readline()).decode()
            yield Served(process, public.removeprefix("public ").strip(), admin.removeprefix("admin ").strip())
        finally:
            await _reap(process)


async def _reap(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()
