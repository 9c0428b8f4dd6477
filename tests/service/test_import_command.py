"""`bff changes import` as a process, against the service as another one: killed, interrupted, refused, taken up."""

import asyncio
import json
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bff.demo.launch import environment, sample_sources
from tests.harness import request
from tests.service.test_commands import command, ended, listeners

TOKEN = "a-token-of-the-tests"
TOKENS = json.dumps({"ops": {"token": TOKEN, "scopes": ["catalog:write"]}})
AUTHORIZED = ("Authorization", f"Bearer {TOKEN}")
GENEROUS_SECONDS = 600.0
"""For whatever a test waits for: a busy machine stalls, and a test must not."""

Environ = Mapping[str, str]


@asynccontextmanager
async def serving(data: Path, environ: Environ, port: int = 0) -> AsyncIterator[tuple[Process, str]]:
    """Run the service in front of sources that there are."""
    own = {"BFF_AUTH__TOKENS": TOKENS, "BFF_LOG__LEVEL": "error", "BFF_ADMIN_PORT": "0", "BFF_PORT": str(port)}
    async with command("serve", data=data, **{**environ, **own}) as process:
        public, _ = await listeners(process)
        yield process, public


@asynccontextmanager
async def shop(data: Path) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Run sample sources and the service; yield its URL, and the sources' by name."""
    async with sample_sources(delays_ms=(0, 0, 0)) as urls, serving(data, environment(urls)) as (_, url):
        yield url, urls


@asynccontextmanager
async def importing(file: Path, url: str, *options: str, token: str = TOKEN) -> AsyncIterator[Process]:
    """Run the import of a file."""
    arguments = ("changes", "import", str(file), "--url", url, *options)
    async with command(*arguments, data=file.parent, PRODUCT_BFF_TOKEN=token) as process:
        yield process


async def imported(file: Path, url: str, *options: str, token: str = TOKEN) -> tuple[int, list[str], str]:
    """Run the import of a file to its end; return its exit code, its lines, and what it said besides."""
    async with importing(file, url, *options, token=token) as process, asyncio.timeout(GENEROUS_SECONDS):
        code, out, err = await ended(process)
    return code, out.splitlines(), err


def table(folder: Path, lines: list[str]) -> Path:
    """Write a file of prices and stock."""
    path = folder / "prices.csv"
    path.write_text("\n".join(["sku_id,price,quantity", *lines, ""]), encoding="utf-8")
    return path


def report_of(file: Path) -> list[dict[str, Any]]:
    text = file.with_name(file.name + ".report.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def state_of(file: Path) -> Path:
    return file.with_name(file.name + ".report.jsonl.state")


def written_of(file: Path) -> int:
    return state_of(file).read_bytes().count(b'"succeeded"')


async def recorded(file: Path, rows: int, process: Process) -> None:
    """Wait until so many rows are on record; the process must not end before that."""
    async with asyncio.timeout(GENEROUS_SECONDS):
        while not state_of(file).exists() or written_of(file) <= rows:
            assert process.returncode is None, await ended(process)
            await asyncio.sleep(0.05)


async def all_changes(url: str) -> list[dict[str, Any]]:
    """Return every change that there is."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await request(url, "GET", f"/api/v1/changes?limit=100{cursor}", [AUTHORIZED])
        found += answer.json["items"]
        if answer.json["next"] is None:
            return found
        cursor = f"&cursor={answer.json['next']}"


async def held(url: str, name: str, sku: str) -> str:
    """Return what an owner holds, as it stands there."""
    return (await request(url, "GET", f"/{name}/{sku}")).body.decode()


async def writes(url: str, name: str) -> list[dict[str, Any]]:
    """Return the writes that an owner has done."""
    found: list[dict[str, Any]] = (await request(url, "GET", f"/{name}/_ledger")).json["writes"]
    return found


async def test_thousands_of_rows_through_a_kill_of_either_side_are_each_written_once(tmp_path: Path) -> None:
    rows, bad = 3000, {700: "one", 1900: "-1", 2500: "two"}
    file = table(tmp_path, [f"G{number},{bad.get(number, f'{number}.10')}," for number in range(1, rows + 1)])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    async with sample_sources(delays_ms=(0, 0, 0)) as urls:
        environ = environment(urls)
        async with serving(tmp_path / "data", environ, port) as (service, _):
            async with importing(file, url) as first:
                await recorded(file, rows // 4, first)
                first.kill()
                assert (await ended(first))[0] == -signal.SIGKILL
            done_before = written_of(file)
            async with importing(file, url) as second:
                await recorded(file, rows // 2, second)
                service.kill()
                await ended(service)
                async with serving(tmp_path / "data", environ, port), asyncio.timeout(GENEROUS_SECONDS):
                    code, out, err = await ended(second)
                    changes = await all_changes(url)
                    written = await writes(urls["price"], "price")
                    digits = [await held(urls["price"], "price", f"G{number}") for number in (1, 1500, rows)]
    assert done_before > rows // 4
    assert (code, out.splitlines()[0]) == (1, "3,000 rows: 2,997 succeeded, 3 failed, 0 still running"), err
    assert "asking again" in err
    assert "the service answers again" in err
    assert [
        (row["line"], row["sku_id"], row["state"]) for row in sorted(report_of(file), key=lambda row: row["line"])
    ] == [
        (701, "G700", "malformed"),
        (1901, "G1900", "refused"),
        (2501, "G2500", "malformed"),
    ]
    assert len(changes) == rows - len(bad)
    assert {change["state"] for change in changes} == {"succeeded"}
    assert sorted(write["sku_id"] for write in written) == sorted(f"G{n}" for n in range(1, rows + 1) if n not in bad)
    assert digits == [f'{{"sku_id":"G{number}","price":{number}.10}}' for number in (1, 1500, rows)]


async def test_what_fails_is_reported_with_its_line_and_why_and_the_rest_is_written(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    lines = [
        '{"sku_id":"G1","price":{"price":12.30,"currency":"CNY"},"priority":0}',
        '{"sku_id":"nobody","price":{"price":1}}',
        '{"sku_id":"G2","price":{"price":"1"},"colour":"red"}',
        '{"sku_id":"G3"',
        '{"sku_id":"G4","stock":{"quantity":9007199254740991}}',
        '{"sku_id":"a b","stock":{"quantity":1}}',
        '{"sku_id":"G5","price":{"price":1},"stock":{"quantity":1},"timeout_seconds":30}',
    ]
    path.write_text("\n".join(lines))
    async with shop(tmp_path / "data") as (url, urls):
        code, out, _ = await imported(path, url, "--timeout-seconds", "120")
        changes = {change["sku_id"]: change for change in await all_changes(url)}
        price, stock = await held(urls["price"], "price", "G1"), await held(urls["stock"], "stock", "G4")
    assert code == 1
    assert out[0] == "7 rows: 3 succeeded, 4 failed, 0 still running"
    assert out[-1] == f"report: {path}.report.jsonl"
    told = {row["line"]: row for row in report_of(path)}
    assert told == {
        2: {
            "line": 2,
            "sku_id": "nobody",
            "state": "failed",
            "error": "price: the price service knows no such product",
            "id": changes["nobody"]["id"],
        },
        3: told[3],
        4: {"line": 4, "sku_id": None, "state": "malformed", "error": "must be a JSON object", "id": None},
        6: {"line": 6, "sku_id": "a b", "state": "refused", "error": "sku_id must be a SKU", "id": None},
    }
    assert (told[3]["state"], told[3]["sku_id"], told[3]["id"]) == ("refused", "G2", None)
    for said in ("colour is not known", "price.price must be a number"):
        assert said in told[3]["error"]
        assert any(line.split()[:2] == ["1", "refused"] and said in line for line in out)
    assert price == '{"sku_id":"G1","price":12.30,"currency":"CNY"}'
    assert json.loads(stock)["quantity"] == 2**53 - 1


async def test_of_several_rows_for_a_product_the_last_one_stands_and_all_were_written_in_order(tmp_path: Path) -> None:
    file = table(tmp_path, [f"G{number % 3},{number}," for number in range(1, 31)])
    async with shop(tmp_path / "data") as (url, urls):
        assert (await imported(file, url))[0] == 0
        written = await writes(urls["price"], "price")
    for sku in range(3):
        prices = [write["part"]["price"] for write in written if write["sku_id"] == f"G{sku}"]
        assert prices == [number for number in range(1, 31) if number % 3 == sku]


async def test_an_interrupt_says_how_to_go_on_and_a_second_run_does_what_is_left(tmp_path: Path) -> None:
    file = table(tmp_path, [f"G{number},{number},{number}" for number in range(1, 121)])
    async with shop(tmp_path / "data") as (url, urls):
        async with importing(file, url) as process:
            await recorded(file, 10, process)
            process.send_signal(signal.SIGINT)
            code, out, err = await ended(process)
        assert code == 130
        assert err.endswith("interrupted\nrun the same command again to go on where this stopped\n")
        assert "Traceback" not in err
        assert out[: out.index(":")] == "120 rows"
        assert not out.startswith("120 rows: 120 succeeded")
        assert report_of(file) == []
        code, lines, _ = await imported(file, url)
        assert (code, lines[0]) == (0, "120 rows: 120 succeeded, 0 failed, 0 still running")
        assert len(await all_changes(url)) == 120
        assert len(await writes(urls["stock"], "stock")) == 120
        again = await imported(file, url)
        assert again[:2] == (0, [lines[0], lines[-1]])
        assert "every row has ended in an earlier run" in again[2]
        state_of(file).unlink()  # all that is left is the keys
        code, lines, _ = await imported(file, url)
        assert (code, lines[1]) == (0, "120 had been accepted by an earlier run, and were not written again")
        assert len(await all_changes(url)) == 120
        code, lines, _ = await imported(file, url, "--name", "once more", "--priority", "3")
        assert (code, len(lines), len(await all_changes(url))) == (0, 2, 240)
