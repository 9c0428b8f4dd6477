"""What the sample sources answer, how they fail on request, and how their process starts and ends."""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from bff.demo.launch import SourcesFailed, sample_sources
from bff.demo.product import PARTS

AT_ONCE = (0, 0, 0)
NEVER_MS = 60_000  # longer than any test is allowed to run
WELL = {"delay_ms": None, "error_rate": 0.0, "hang": False, "garbage": False}


@asynccontextmanager
async def clients(
    delays_ms: tuple[int, int, int] = AT_ONCE, catalog: Path | None = None
) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    async with sample_sources(0, catalog, delays_ms) as urls, AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
            for name, url in urls.items()
        }


@asynccontextmanager
async def info() -> AsyncIterator[httpx.AsyncClient]:
    async with clients() as sources:
        yield sources["info"]


async def put(client: httpx.AsyncClient, faults: dict[str, Any]) -> None:
    answer = await client.put("/_faults", json=faults)
    assert answer.json() == WELL | faults


async def started(*options: str) -> Process:
    command = (sys.executable, "-m", "bff.demo.sources", *options)
    return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)


async def addresses(process: Process) -> dict[str, str]:
    assert process.stdout is not None
    return dict([(await process.stdout.readline()).decode().split() for _ in PARTS])


async def ended(process: Process) -> tuple[int | None, str, str]:
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_each_source_answers_with_its_own_part() -> None:
    async with clients() as sources:
        answers = {name: await source.get(f"/{name}/1001") for name, source in sources.items()}
    assert {answer.headers["content-type"] for answer in answers.values()} == {"application/json"}
    assert answers["info"].json()["name"] == "Lumora X9 Pro 5G 512 GB"
    assert answers["price"].content.startswith(b'{"sku_id":"1001","price":7999.00,"original_price":8999.00')
    assert answers["stock"].content == b'{"sku_id":"1001","quantity":128}'


async def test_a_source_knows_neither_other_skus_nor_the_other_sources() -> None:
    async with info() as source:
        for path in ("/info/none", "/price/1001", "/info/1001/", "/info/a%2Fb", "/info/", "/"):
            assert (await source.get(path)).status_code == 404


async def test_many_are_asked_for_with_commas_and_the_ones_found_come_back() -> None:
    async with info() as source:
        for skus in ("1002,none,G42,1002,,BOO-8001.hc", "1002%2CG42%2CBOO-8001%2Ehc"):
            answer = await source.get(f"/info?other=1&skus={skus}")
            assert [part["sku_id"] for part in answer.json()] == ["1002", "G42", "BOO-8001.hc"]
        assert (await source.get("/info?skus=none")).content == b"[]"
        assert (await source.get("/info")).status_code == 422


async def test_an_etag_stands_for_the_bytes_of_one_part() -> None:
    async with info() as source:
        answers = [await source.get(f"/info/{sku}") for sku in ("1001", "1001", "1002")]
    first, again, other = (answer.headers["etag"] for answer in answers)
    assert first == again != other


async def test_a_catalogue_file_takes_the_place_of_the_sample(tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text('[{"sku_id": "A1", "name": "n", "price": 1234567890123456.789012, "quantity": 1}]')
    async with clients(catalog=file) as sources:
        price = await sources["price"].get("/price/A1")
        assert price.content == b'{"sku_id":"A1","price":1234567890123456.789012}'
        assert [(await sources["info"].get(f"/info/{sku}")).status_code for sku in ("1001", "G42")] == [
            404,
            404,
        ]


async def test_what_is_left_out_of_the_faults_is_off() -> None:
    async with info() as source:
        assert (await source.get("/_faults")).json() == WELL
        await put(source, {"hang": True, "error_rate": 1.0})
        await put(source, {"garbage": True})
        assert (await source.get("/_faults")).json() == WELL | {"garbage": True}
        await put(source, {})
        assert (await source.get("/info/1001")).status_code == 200


async def test_refused_faults_leave_those_in_force() -> None:
    unknown = ['{"slow": true}', "[]", "{", ""]
    late = ['{"delay_ms": -1}', '{"delay_ms": 0.5}', '{"delay_ms": "1"}', '{"delay_ms": true}']
    wrong = [
        '{"error_rate": 1.1}',
        '{"error_rate": true}',
        '{"hang": 1}',
        '{"hang": null}',
        '{"garbage": "yes"}',
    ]
    async with info() as source:
        await put(source, {"error_rate": 1.0})
        for faults in (*unknown, *late, *wrong):
            assert (await source.put("/_faults", content=faults)).status_code == 422, faults
        assert (await source.get("/_faults")).json() == WELL | {"error_rate": 1.0}


async def test_faults_are_one_sources_own() -> None:
    async with clients() as sources:
        await put(sources["info"], {"error_rate": 1.0})
        assert (await sources["info"].get("/info/1001")).status_code == 500
        assert (await sources["info"].get("/info?skus=1001")).status_code == 500
        assert (await sources["price"].get("/price/1001")).status_code == 200


async def test_the_same_error_rate_fails_the_same_share_of_calls_each_time() -> None:
    async with info() as source:
        rounds = []
        for _ in range(2):
            await put(source, {"error_rate": 0.5})
            rounds.append([(await source.get("/info/1001")).status_code for _ in range(40)])
    assert rounds[0] == rounds[1]
    assert 10 < rounds[0].count(500) < 30


async def test_garbage_is_a_200_that_is_not_json() -> None:
    async with info() as source:
        await put(source, {"garbage": True})
        for path in ("/info/1001", "/info?skus=1001"):
            answer = (await source.get(path)).raise_for_status()
            with pytest.raises(json.JSONDecodeError):
                answer.json()


async def test_a_source_waits_its_own_delay() -> None:
    async with clients((NEVER_MS, 0, NEVER_MS)) as sources:
        asked = {name: asyncio.ensure_future(source.get(f"/{name}/1001")) for name, source in sources.items()}
        done, _ = await asyncio.wait(asked.values(), return_when=asyncio.FIRST_COMPLETED)
        assert done == {asked["price"]}
        for question in asked.values():
            question.cancel()


async def test_a_set_delay_takes_the_place_of_the_sources_own() -> None:
    async with clients((NEVER_MS, 0, 0)) as sources:
        await put(sources["info"], {"delay_ms": 0})
        await put(sources["price"], {"delay_ms": NEVER_MS})
        assert (await sources["info"].get("/info/1001")).status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            await sources["price"].get("/price/1001", timeout=0.3)


async def test_a_hanging_source_answers_nobody_and_can_be_told_to_stop_hanging() -> None:
    async with info() as source:
        await put(source, {"hang": True, "delay_ms": 0})
        for path in ("/info/1001", "/info?skus=1001"):
            with pytest.raises(httpx.ReadTimeout):
                await source.get(path, timeout=0.3)
        await put(source, {})
        assert (await source.get("/info/1001")).status_code == 200


async def test_the_process_prints_its_three_addresses_in_order_and_nothing_else() -> None:
    process = await started("--port", "0")
    urls = await addresses(process)
    process.terminate()
    assert await ended(process) == (0, "", "")
    assert list(urls) == list(PARTS)
    assert len({url for url in urls.values() if url.startswith("http://127.0.0.1:")}) == 3


async def test_a_given_port_is_the_first_of_three_in_a_row() -> None:
    for first in range(20_101, 32_000, 7):  # below the ports that the system hands out
        with suppress(SourcesFailed):  # somebody else's
            async with sample_sources(first) as urls:
                assert list(urls.values()) == [f"http://127.0.0.1:{first + offset}" for offset in range(3)]
                return
    pytest.fail("no three free ports in a row")


async def test_a_taken_port_is_named_and_ends_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output, errors = await ended(await started("--port", str(port)))
        assert (code, output, errors.count("\n")) == (1, "", 1)
        assert f"port {port}" in errors
        with pytest.raises(SourcesFailed, match=f"port {port}"):
            async with sample_sources(port):
                pytest.fail("it started")


async def test_a_bad_catalogue_is_named_and_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text('[{"sku_id": "A1", "name": 7, "price": 1, "quantity": 1}]')
    code, output, errors = await ended(await started("--catalog", str(file)))
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "$[0].name" in errors


@pytest.mark.parametrize("option", ["--port=65534", "--port=-1", "--delays=1,2", "--delays=1,2,x"])
async def test_a_wrong_option_is_refused(option: str) -> None:
    code, _, errors = await ended(await started(option))
    assert (code, "must be" in errors) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, None])
async def test_a_signal_or_the_end_of_the_parent_ends_it_with_requests_in_flight(number: int | None) -> None:
    watch = () if number else ("--with-parent",)
    process = await started("--port", "0", "--delays", f"0,{NEVER_MS},0", *watch)
    urls = await addresses(process)
    async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
        await client.put(f"{urls['info']}/_faults", json={"hang": True})
        asked = [asyncio.ensure_future(client.get(f"{urls[n]}/{n}/1001")) for n in ("info", "price")]
        await client.get(f"{urls['stock']}/stock/1001")  # asked last: by its answer the others are under way
        if number is not None:
            process.send_signal(number)
        assert await ended(process) == (0, "", "")  # communicate() closes its standard input
        await asyncio.gather(*asked, return_exceptions=True)


async def test_nothing_listens_after_the_context() -> None:
    async with sample_sources() as urls:
        pass
    for url in urls.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()
