"""Everything that the comparison needs and the machine may lack, fetched, and which versions these are."""

import json
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from importlib.metadata import version

from benchmarks.peers import javascript, nginx, programs

_PYTHON = ("fastapi", "uvicorn", "uvloop", "httptools", "httpx", "pydantic")
_JAVASCRIPT = ("fastify", "undici", "dataloader", "lru-cache")
MISSING = "missing: "


def prepare() -> dict[str, str]:
    """Fetch what is not here; return each thing's version, or after `MISSING` why it cannot be had."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _PYTHON},
        **_each(("node", *_JAVASCRIPT), _javascript),
        **_each(("nginx", "lua-nginx-module"), _nginx),
        **_each(("wrk",), _wrk),
    }


def missing(versions: dict[str, str]) -> list[str]:
    """Return what `prepare` could not get, each with its reason."""
    return [f"{name}: {text}" for name, text in versions.items() if text.startswith(MISSING)]


def _each(names: Sequence[str], versions: Callable[[], Sequence[str]]) -> dict[str, str]:
    try:
        return dict(zip(names, versions(), strict=True))
    except programs.Unavailable as exc:
        return dict.fromkeys(names, f"{MISSING}{exc}")


def _javascript() -> list[str]:
    javascript.install()
    packages = json.loads((javascript.SOURCES / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return [
        _said([*javascript.node(), "--version"]),
        *(packages[f"node_modules/{name}"]["version"] for name in _JAVASCRIPT),
    ]


def _nginx() -> list[str]:
    return [_number(_said([*nginx.find().command, "-v"])), nginx.lua_version()]


def _wrk() -> list[str]:
    return [_number(_said([*programs.wrk().command, "-v"]))]


def _said(command: list[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip()


def _number(text: str) -> str:
    found = re.search(r"\d+(?:\.\d+)+", text)
    if found is None:
        raise programs.Unavailable(text)
    return found[0]
