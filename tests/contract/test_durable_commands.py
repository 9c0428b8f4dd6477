"""The contract: what the commands make of durable work."""

import asyncio
import json
import signal
from collections.abc import Awaitable
from pathlib import Path

import pytest

from tests.contract.process import UNUSED, Ended, Served, run, serving, start
from tests.harness import request, until
from tests.upstreams import parts, upstream

AUTH = {"BFF_AUTH__TOKENS": json.dumps({"a": {"token": "a-token", "scopes": ["catalog:write"]}})}
SAID = "the engine does not start"
BEARER = [("Authorization", "Bearer a-token")]


async def checked(folder: Path, **settings: str) -> Ended:
    async with upstream(parts("info")) as info, upstream(parts("price")) as price, upstream(parts("stock")) as stock:
        urls = {"BFF_INFO__URL": info.template, "BFF_PRICE__URL": price.template, "BFF_STOCK__URL": stock.template}
        return await run("check", settings={**urls, **settings, "BFF_DATA_DIR": str(folder)})


async def test_check_reaches_the_database_where_somebody_may_write(tmp_path: Path) -> None:
    assert "database" not in (await checked(tmp_path)).out
    well = await checked(tmp_path, **AUTH)
    assert well.code == 0
    assert "database: ok, SQLite" in well.out
    (tmp_path / "file").write_text("in the way")
    ill = await checked(tmp_path / "file", **AUTH)
    assert ill.code == 1
    assert "database: failed" in ill.out


@pytest.mark.parametrize("name", ["bff.sqlite", "dbos.sqlite"])
async def test_check_finds_a_file_that_is_no_database(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no database at all " * 100)
    ended = await checked(tmp_path, **AUTH)
    assert ended.code == 1
    assert "database: failed, file is not a database" in ended.out


async def test_an_engine_that_cannot_start_is_said_once_and_starts_once_it_can(tmp_path: Path) -> None:
    engines = tmp_path / "dbos.sqlite"
    engines.write_bytes(b"no database at all " * 100)
    async with serving(settings={**AUTH, "BFF_DATA_DIR": str(tmp_path)}) as served:
        assert served.process.stderr is not None
        said = ""
        async with asyncio.timeout(20):
            while SAID not in said:
                said = (await served.process.stderr.readline()).decode()
        assert "file is not a database" in said
        assert (await request(served.admin, "GET", "/durable")).json["worker"] == {"working": False}
        await asyncio.sleep(1.0)  # it tries five times a second
        engines.unlink()

        async def works() -> bool:
            return bool((await request(served.admin, "GET", "/durable")).json["worker"]["working"])

        await until(works, 20)
        served.process.terminate()
        ended = await served.end()
    assert SAID not in ended.err


async def test_check_says_of_a_server_that_is_away_no_more_than_that(tmp_path: Path) -> None:
    url = "postgresql://user:s3cret@127.0.0.1:9/x"
    ended = await checked(tmp_path, **AUTH, BFF_DATABASE_URL=url, BFF_EXECUTOR_ID="a")
    assert ended.code == 1
    assert "database: failed" in ended.out
    assert "s3cret" not in ended.out + ended.err


async def test_a_worker_opens_the_admin_listener_alone_and_a_signal_ends_it_with_0(tmp_path: Path) -> None:
    own = {**UNUSED, **AUTH, "BFF_ADMIN_PORT": "0", "BFF_DATA_DIR": str(tmp_path)}
    worker = Served(await start("worker", settings=own), "", "")
    assert worker.process.stdout is not None
    async with asyncio.timeout(20):
        line = (await worker.process.stdout.readline()).decode()
    assert line.startswith("admin http://127.0.0.1:")
    admin = line.removeprefix("admin ").strip()
    assert (await request(admin, "GET", "/readyz")).status == 200

    async def works() -> bool:
        return bool((await request(admin, "GET", "/durable")).json["worker"]["working"])

    await until(works, 20)
    worker.process.send_signal(signal.SIGTERM)
    ended = await worker.end()
    assert (ended.code, ended.out) == (0, "")


async def test_a_worker_where_nobody_may_write_is_refused() -> None:
    ended = await run("worker")
    assert ended.code == 2
    assert "BFF_AUTH__TOKENS" in ended.err


async def test_of_two_processes_with_one_file_the_second_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    own = {**UNUSED, **AUTH, "BFF_DATA_DIR": str(tmp_path)}

    async def answers(service: Served) -> int:
        return (await request(service.public, "GET", "/api/v1/changes", BEARER)).status

    async with serving(settings=own) as first:
        await until(lambda: _is(answers(first), 200), 20)
        async with serving(settings=own) as second:
            await asyncio.sleep(1)
            assert await answers(second) == 503
            assert (await request(second.admin, "GET", "/durable")).json["pending"] is None  # which is not known
            assert "bff_durable_queue{" not in (await request(second.admin, "GET", "/metrics")).body.decode()
            first.process.send_signal(signal.SIGKILL)
            await until(lambda: _is(answers(second), 200), 20)
            second.process.terminate()
            assert "another process has it, and its lock" in (await second.end()).err


async def test_where_nobody_may_write_there_is_no_database_to_be_away() -> None:
    async with serving(settings=UNUSED) as service:
        found = (await request(service.admin, "GET", "/durable")).json
        assert (found["enabled"], found["database"], found["worker"], found["queued"]) == (False, None, None, None)


async def _is(answer: Awaitable[int], status: int) -> bool:
    return await answer == status
