"""The commands as processes: what is said, what is on disk afterwards."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness import request
from tests.upstreams import after, always, hang, parts, upstream

UNREACHED = {f"BFF_{name}__URL": f"http://127.0.0.1:9/{name}/{{sku}}" for name in ("INFO", "PRICE", "STOCK")}
FREE_PORTS = {"BFF_PORT": "0", "BFF_ADMIN_PORT": "0"}


@asynccontextmanager
async def command(*arguments: str, data: Path, **environ: str) -> AsyncIterator[Process]:
    """Run `bff` with an environment of its own, and kill it where the test has not ended it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BFF_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bff", *arguments),
        env={**inherited, "BFF_DATA_DIR": str(data), **environ},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def listeners(process: Process) -> tuple[str, str]:
    """Return the URLs that a service prints once it listens."""
    assert process.stdout is not None
    public, admin = (await process.stdout.readline()).split(), (await process.stdout.readline()).split()
    assert (public[0], admin[0]) == (b"public", b"admin")
    return public[1].decode(), admin[1].decode()


async def ended(process: Process) -> tuple[int, str, str]:
    """Return the exit code and what was printed."""
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_request_in_flight_is_answered_while_new_ones_are_refused_and_readiness_is_gone(tmp_path: Path) -> None:
    async with upstream(after(0.6, parts("info"))) as info:
        environ = {**UNREACHED, **FREE_PORTS, "BFF_INFO__URL": info.template, "BFF_DEADLINE_SECONDS": "2"}
        environ |= {"BFF_INFO__ATTEMPT_TIMEOUT_SECONDS": "2"}
        async with command("serve", data=tmp_path, **environ) as process:
            public, admin = await listeners(process)
            page = asyncio.ensure_future(request(public, "GET", "/api/v1/products/agg/1001"))
            while not info.seen:
                await asyncio.sleep(0.01)
            process.terminate()
            while (await request(admin, "GET", "/readyz")).status == 200:
                await asyncio.sleep(0.01)
            assert (await page).json["info"]["sku_id"] == "1001"
            code, _, log = await ended(process)
            assert code == 0
            assert all(json.loads(line) for line in log.splitlines())
    views = [json.loads(line) for file in tmp_path.glob("views/*.jsonl") for line in file.read_text().splitlines()]
    assert [view["sku_id"] for view in views] == ["1001"]


async def test_check_asks_every_source_for_an_unlikely_sku_and_says_a_line_of_each(tmp_path: Path) -> None:
    async with upstream(always("", 404)) as unknown, upstream(always("{}")) as known, upstream(always("", 500)) as bad:
        urls = {"BFF_INFO__URL": unknown.template, "BFF_PRICE__URL": known.template}
        async with command("check", data=tmp_path, **urls, BFF_STOCK__URL=known.template) as process:
            assert (await ended(process))[0] == 0
        async with command("check", data=tmp_path, **urls, BFF_STOCK__URL=bad.template) as process:
            code, out, _ = await ended(process)
    assert code == 1
    lines = ["settings: ok", "info: ok, status 404", "price: ok, status 200", "stock: failed, status 500"]
    assert out.splitlines() == lines
    assert {seen.sku for seen in unknown.seen} == {"bff-check"}


async def test_check_says_how_a_source_could_not_be_reached(tmp_path: Path) -> None:
    async with upstream(hang) as slow, upstream(always("", 404)) as well:
        urls = {**UNREACHED, "BFF_PRICE__URL": slow.template, "BFF_STOCK__URL": well.template}
        async with command("check", data=tmp_path, **urls, BFF_PRICE__ATTEMPT_TIMEOUT_SECONDS="0.1") as process:
            code, out, _ = await ended(process)
    assert code == 1
    assert out.splitlines()[1].startswith("info: failed, unavailable")
    assert out.splitlines()[2] == "price: failed, no answer within 0.1 s"


async def test_demo_says_what_runs_and_what_to_try_and_ends_well_by_a_signal(tmp_path: Path) -> None:
    options = ("--port", "0", "--admin-port", "0", "--sources-port", "0", "--delays", "1,1,1")
    async with command("demo", *options, data=tmp_path) as process:
        public, admin = await listeners(process)
        page = await request(public, "GET", "/api/v1/products/1001")
        assert (page.status, page.json["price"]["price"]) == (200, 7999.0)
        assert (await request(public, "GET", "/docs")).status == 200
        process.send_signal(signal.SIGINT)
        code, out, _ = await ended(process)
    assert code == 0
    for said in (f"curl -i {public}/api/v1/products/1001", "_faults", f"{admin}/metrics", "answers after 1 ms"):
        assert said in out


async def test_demo_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options, code, said in (
            (("--sources-port", port), 1, "--sources-port"),
            (("--catalog", str(tmp_path / "none.json"), "--sources-port", "0"), 2, "--catalog"),
            (("--delays", "a,b"), 2, "--delays"),
            (("--port", port, "--sources-port", "0"), 1, "BFF_PORT"),
        ):
            async with command("demo", *options, data=tmp_path) as process:
                ended_with, _, err = await ended(process)
            assert ended_with == code
            assert said in err


async def test_views_survive_a_kill_once_they_had_their_time(tmp_path: Path) -> None:
    async with upstream(parts("info")) as info:
        environ = {**UNREACHED, **FREE_PORTS, "BFF_INFO__URL": info.template}
        async with command("serve", data=tmp_path, **environ) as process:
            public, _ = await listeners(process)
            for number in range(20):
                assert (await request(public, "GET", f"/api/v1/products/agg/{number}")).status == 200
            written: list[str] = []
            while len(written) < 20:
                await asyncio.sleep(0.02)
                written = [line for file in tmp_path.glob("views/*.jsonl") for line in file.read_text().splitlines()]
            process.kill()
            await ended(process)
    left = [json.loads(line) for file in tmp_path.glob("views/*.jsonl") for line in file.read_text().splitlines()]
    assert [view["sku_id"] for view in left] == [str(number) for number in range(20)]
