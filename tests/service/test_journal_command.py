"""`bff journal` as a process, beside the service that writes what it reads: on SQLite and on Postgres."""

import asyncio
import json
import re
import sqlite3
import sys
from asyncio import to_thread
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bff.demo.launch import environment, sample_sources
from tests.harness import Answer, request
from tests.postgres_server import fresh
from tests.service.test_commands import UNREACHED, command, ended, listeners

TOKEN = "a-token-of-the-tests"
SCOPES = ["catalog:write", "reservations"]
AUTH = {"BFF_AUTH__TOKENS": json.dumps({"ops": {"token": TOKEN, "scopes": SCOPES}})}
STEP = (("step_started  ", "running    -"), ("step_done     ", "done       -"))
ENDED = {"succeeded", "compensated", "failed", "cancelled", "timed_out", "confirmed", "rejected", "released"}
GENEROUS_SECONDS = 300.0
"""For whatever a test waits for: a busy machine stalls, and a test must not."""


@dataclass
class Shop:
    """A service with something to tell of. environ: what it was started with."""

    url: str
    data: Path
    environ: dict[str, str]
    keys: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    async def ask(self, target: str, **body: Any) -> dict[str, Any]:
        """Have something accepted."""
        headers = [("Authorization", f"Bearer {TOKEN}"), ("Content-Type", "application/json")]
        headers.append(("Idempotency-Key", f"key-{next(self.keys)}"))
        async with asyncio.timeout(GENEROUS_SECONDS):
            while True:
                answer = await request(self.url, "POST", f"/api/v1/{target}", headers, json.dumps(body).encode())
                if answer.status != 503:  # as long as its database is not there yet
                    break
                await asyncio.sleep(0.05)
        assert answer.status == 202, answer.body
        found: dict[str, Any] = answer.json
        return found

    async def look(self, target: str, subject: str, method: str = "GET") -> Answer:
        headers = [("Authorization", f"Bearer {TOKEN}")]
        return await request(self.url, method, f"/api/v1/{target}/{subject}", headers)

    async def end_of(self, target: str, subject: str) -> dict[str, Any]:
        """Wait until something has ended, and return it."""
        async with asyncio.timeout(GENEROUS_SECONDS):
            while (answer := await self.look(target, subject)).json["state"] not in ENDED:
                await asyncio.sleep(0.05)
        found: dict[str, Any] = answer.json
        return found

    async def journal(self, *arguments: str) -> tuple[int, list[str], str]:
        """Run `bff journal` in the service's environment."""
        async with command("journal", *arguments, data=self.data, **self.environ) as process:
            code, out, err = await ended(process)
        return code, out.splitlines(), err


@asynccontextmanager
async def shop(data: Path, **settings: str) -> AsyncIterator[Shop]:
    """Run the service and the owners behind it."""
    async with sample_sources(delays_ms=(0, 0, 0)) as urls:
        environ = {**environment(urls), **AUTH, **settings, "BFF_LOG__LEVEL": "error"}
        async with command("serve", data=data, **environ, BFF_PORT="0", BFF_ADMIN_PORT="0") as process:
            public, _ = await listeners(process)
            yield Shop(public, data, environ)


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the settings of a database of the test's own."""
    if request.param == "sqlite":
        return {}
    url = fresh(request.getfixturevalue("postgres"))
    return {"BFF_DATABASE_URL": url, "BFF_EXECUTOR_ID": "one", "BFF_WORKER__EMBEDDED": "true"}


async def test_what_happened_is_shown_rebuilt_and_verified_beside_the_service(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with shop(tmp_path / "data #1?", **settings) as service:
        change = (await service.ask("changes", sku_id="G1", price={"price": 1.50}, stock={"quantity": 5}))["id"]
        failed = (await service.ask("changes", sku_id="nobody", price={"price": 1}))["id"]
        changes = [await service.end_of("changes", each) for each in (change, failed)]
        sold = (await service.ask("products/G1/reservations", quantity=2))["id"]
        too_many = (await service.ask("products/G1/reservations", quantity=9))["id"]
        reservations = [await service.end_of("reservations", each) for each in (sold, too_many)]
        assert [each["state"] for each in (*changes, *reservations)] == ["succeeded", "failed", "confirmed", "rejected"]
        await _shows(service, change)
        code, lines, _ = await service.journal("replay")
        rebuilt = {found["id"]: found for found in map(json.loads, lines)}
        assert code == 0
        assert [rebuilt[each["id"]] for each in (*changes, *reservations)] == [*changes, *reservations]
        code, lines, err = await service.journal("replay", sold, "nothing", change)
        assert (code, [json.loads(line)["id"] for line in lines], err) == (
            1,
            [sold, change],
            "nothing: has no events\n",
        )
        events = 7 + 5 + 2 + 2
        assert await service.journal("verify") == (
            0,
            [f"{events} events of 2 changes and 2 reservations: no difference"],
            "",
        )
        assert await service.journal("show", "nothing") == (1, [], "nothing: has no events\n")


async def _shows(service: Shop, change: str) -> None:
    code, lines, err = await service.journal("show", change)
    time = r"20..-..-..T..:..:..\....Z"
    assert (code, err) == (0, "")
    said = ["accepted      -      pending    -", "started       -      running    -"]
    said += [f"{event}{part}  {state}" for part in ("price", "stock") for event, state in STEP]
    said += ["ended         -      succeeded  -"]
    assert [re.sub(f"^{number}  {time}  ", "", line) for number, line in enumerate(lines, 1)] == said
    code, lines, _ = await service.journal("show", "--json", change)
    events = [json.loads(line) for line in lines]
    assert [event["seq"] for event in events] == list(range(1, 8))
    assert events[0]["facts"] == {"sku_id": "G1", "steps": ["price", "stock"], "caller": "ops"}
    assert (events[3]["event"], events[3]["state"]) == ("step_done", "done")


async def test_it_agrees_with_itself_while_the_service_works(tmp_path: Path, settings: dict[str, str]) -> None:
    async with shop(tmp_path, **settings) as service:
        stop = asyncio.Event()

        async def buy() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                await service.ask(f"products/G{number % 50}/reservations", quantity=1)
                await service.ask("changes", sku_id=f"G{number % 50}", price={"price": number})
                if number % 5 == 0:
                    subject = (await service.ask("products/G1/reservations", quantity=1))["id"]
                    await service.look("reservations", subject, "DELETE")

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(buy())
            for _ in range(5):
                code, lines, err = await service.journal("verify")
                assert (code, err) == (0, ""), lines
                assert lines[0].endswith("no difference")
            stop.set()
        assert int(lines[0].split()[0].replace(",", "")) > 100


async def test_what_differs_is_a_line_each_and_ends_with_1(tmp_path: Path, settings: dict[str, str]) -> None:
    async with shop(tmp_path, **settings) as service:
        change = (await service.ask("changes", sku_id="G1", price={"price": 1}))["id"]
        await service.end_of("changes", change)
        url = settings.get("BFF_DATABASE_URL")
        await to_thread(
            _break, tmp_path / "bff.sqlite", url, f"update bff_changes set state = 'failed' where id = '{change}'"
        )
        await to_thread(_break, tmp_path / "bff.sqlite", url, "update bff_counts set count = -1 where name = 'queued'")
        code, lines, err = await service.journal("verify")
        assert (code, err) == (1, "5 events of 1 change and 0 reservations: 2 differences\n")
        assert lines == [
            f"{change}: state is failed, and succeeded by its events",
            "bff_counts: queued is -1, and 0 reservations are queued",
        ]


def _break(path: Path, url: str | None, statement: str) -> None:
    if url is None:
        with closing(sqlite3.connect(path, timeout=60)) as file:
            file.execute(statement)
            file.commit()
    else:
        with psycopg.connect(url) as connection:
            connection.execute(statement.encode())


async def test_a_cause_moves_no_terminal(tmp_path: Path) -> None:
    async with shop(tmp_path) as service:
        change = (await service.ask("changes", sku_id="G1", price={"price": 1}))["id"]
        await service.end_of("changes", change)
        said = f"update bff_events set cause = 'a\x1b[2Jb\nc' where subject = '{change}' and seq = 2"
        await to_thread(_break, tmp_path / "bff.sqlite", None, said)
        code, lines, _ = await service.journal("show", change)
        assert (code, len(lines)) == (0, 5)
        assert lines[1].endswith("  a?[2Jb?c")
        await to_thread(_break, tmp_path / "bff.sqlite", None, "update bff_events set facts = '{' where seq = 1")
        assert await service.journal("show", change) == (1, [], f"{change}: an event cannot be read\n")


async def test_a_database_that_cannot_be_read_is_one_line_and_1(tmp_path: Path) -> None:
    async def said(data: Path, *arguments: str, **settings: str) -> str:
        async with command("journal", *arguments, data=data, **UNREACHED, **settings) as process:
            code, out, err = await ended(process)
        assert (code, out, err.count("\n")) == (1, "", 1), err
        return err

    for name, content in (("empty", b""), ("garbage", b"garbage " * 1000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bff.sqlite").write_bytes(content)
    (tmp_path / "half").mkdir()
    await to_thread(_break, tmp_path / "half" / "bff.sqlite", None, "create table bff_events (subject text)")
    gone = {"BFF_DATABASE_URL": "postgresql://u:secret@127.0.0.1:9/x", "BFF_EXECUTOR_ID": "one"}
    assert "none/bff.sqlite: is not there" in await said(tmp_path / "none", "verify")
    assert "empty/bff.sqlite: is empty" in await said(tmp_path / "empty", "replay")
    assert "garbage/bff.sqlite: cannot be read" in await said(tmp_path / "garbage", "show", "x")
    assert "half/bff.sqlite: no such table" in await said(tmp_path / "half", "verify")
    away = await said(tmp_path, "verify", **gone)
    assert away.startswith("BFF_DATABASE_URL: ")
    assert "refused" in away
    assert "secret" not in away
    assert not (tmp_path / "none").exists()


async def test_settings_that_are_refused_end_with_2(tmp_path: Path) -> None:
    async with command("journal", "verify", data=tmp_path, BFF_NO_SUCH="1") as process:
        code, out, err = await ended(process)
    assert (code, out) == (2, "")
    assert "BFF_NO_SUCH: is not a setting" in err


async def test_a_reader_that_leaves_early_sees_no_trace(tmp_path: Path) -> None:
    async with shop(tmp_path) as service:
        for number in range(300):
            await service.ask(f"products/G{number}/reservations", quantity=1)
        environ = {**service.environ, "BFF_DATA_DIR": str(tmp_path)}
        process = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m bff journal replay | head -1", env=environ, stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate()
    assert (out.count(b"\n"), err.decode()) == (1, "")
