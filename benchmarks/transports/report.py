"""The tables as Markdown, with what they were taken on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("httpx", "httpcore", "httptools", "uvloop", "httpx2", "httpcore2", "httpx-aiohttp", "aiohttp", "pyreqwest")


def machine() -> str:
    """Say on what, with which versions."""
    info = Path("/proc/cpuinfo").read_text()
    model = info.partition("model name")[2].partition("\n")[0].strip("\t :") or platform.machine()
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    where = f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}"
    return f"{where}, Python {platform.python_version()}, {versions}."


def markdown(rows: list[list[str]]) -> str:
    """Render rows, the header first."""
    header, *body = rows
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
