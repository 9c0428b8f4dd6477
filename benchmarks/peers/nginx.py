"""nginx with its Lua module, one worker on one core: both a peer and what all peers ask."""

import asyncio
import os
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers.process import Child
from benchmarks.peers.programs import Program, Unavailable, installed, unpacked

LUA = Path(__file__).resolve().parent / "lua"
START_SECONDS = 5.0
_SOURCES = ("nginx-lua", "nginx-lua-pcre2")
_MODULES = ("ndk_http_module", "ngx_http_lua_module")
_MODULE_FOLDER = "usr/lib/nginx/modules"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
# Ends nginx before it serves: a test of the configuration alone would not run it.
_TRIAL = 'init_by_lua_block { require "cjson"; io.stdout:write(ngx.config.ngx_lua_version); os.exit(0) }'
_CONFIG = """
{modules}
daemon off; pid nginx.pid; error_log stderr error; worker_processes 1; {user}
events {{ worker_connections 8192; }}
http {{
    access_log off; types {{ }} default_type application/json; server_tokens off;
    keepalive_requests 1000000000; keepalive_timeout 75s; tcp_nodelay on;
    {temporary}
    lua_package_path "{paths}"; lua_package_cpath "{libraries}";
    {http}
}}
"""


@cache
def find() -> Program:
    """Return an nginx that runs Lua: the system's, or one unpacked with all that it needs."""
    system = installed("nginx")
    if system is not None and _fault(system) is None:
        return system
    reasons = []
    for name in _SOURCES:
        try:
            program = unpacked(name)
        except Unavailable as exc:
            reasons.append(str(exc))
        else:
            if (fault := _fault(program)) is None:
                return program
            reasons.append(fault)
    raise Unavailable("; ".join(reasons))


def command(folder: Path, http: str) -> list[str]:
    """Return what runs nginx in a folder of its own. http: what stands in the http block."""
    return _command(find(), folder, http)


async def worker(child: Child) -> int:
    """Return the id of the process that does the work."""
    for _ in range(int(START_SECONDS / 0.02)):
        if child.ended:
            break
        if pids := _children(child.pid):
            return pids[0]
        await asyncio.sleep(0.02)
    raise child.failed("nginx did not start")


def lua_version() -> str:
    """Return the version of the Lua module."""
    number = int(_tried(find()).stdout)
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _fault(program: Program) -> str | None:
    done = _tried(program)
    return None if done.returncode == 0 else done.stderr.strip()


def _tried(program: Program) -> subprocess.CompletedProcess[str]:
    with TemporaryDirectory() as folder:
        trial = _command(program, Path(folder), _TRIAL)
        return subprocess.run(trial, capture_output=True, text=True, check=False)


def _command(program: Program, folder: Path, http: str) -> list[str]:
    config = folder / "nginx.conf"
    config.write_text(_config(program, folder, http), encoding="utf-8")
    return [*program.command, "-p", str(folder), "-c", str(config), "-e", "stderr"]


def _config(program: Program, folder: Path, http: str) -> str:
    return _CONFIG.format(
        modules="\n".join(f'load_module "{program.root / _MODULE_FOLDER / name}.so";' for name in _MODULES),
        # A worker of root's would become nobody, who may not read the checkout.
        user="user root;" if os.getuid() == 0 else "",
        temporary=" ".join(f"{name}_temp_path {folder}/{name};" for name in _TEMPORARY),
        paths=f"{LUA}/?.lua;{program.root / 'usr/share/lua/5.1'}/?.lua;;",
        libraries=";".join([*(f"{path}/?.so" for path in program.found("usr/lib/*-linux-*/lua/5.1")), ";"]),
        http=http,
    )
