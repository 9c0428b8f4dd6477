"""What the sample sources answer, how they fail on request, and how their process starts and ends."""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bff.demo.launch import SourcesFailed, sample_sources
from bff.demo.product import PARTS
from tests.harness import Answer, request

AT_ONCE = (0, 0, 0)
NEVER_MS = 60_000  # longer than any test is allowed to run
WELL = {"delay_ms": None, "error_rate": 0.0, "hang": False, "garbage": False}


@dataclass(frozen=True)
class Source:
    url: str

    async def get(self, target: str) -> Answer:
        return await request(self.url, "GET", target)

    async def set(self, **faults: object) -> None:
        answer = await request(self.url, "PUT", "/_faults", body=json.dumps(faults).encode())
        assert (answer.status, answer.json) == (200, WELL | faults)

    async def is_silent_on(self, target: str) -> bool:
        try:
            async with asyncio.timeout(0.3):
                await self.get(target)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def running(
    delays_ms: tuple[int, int, int] = AT_ONCE, catalog: Path | None = None
) -> AsyncIterator[list[Source]]:
    async with sample_sources(0, catalog, delays_ms) as urls:
        yield [Source(urls[name]) for name in PARTS]


async def started(*options: str) -> Process:
    command = (sys.executable, "-m", "bff.demo.sources", *options)
    return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)


async def addresses(process: Process) -> dict[str, str]:
    assert process.stdout is not None
    return dict([(await process.stdout.readline()).decode().split() for _ in PARTS])


async def ended(process: Process, last_words: bytes | None = None) -> tuple[int | None, str, str]:
    output, errors = await process.communicate(last_words)
    return process.returncode, output.decode(), errors.decode()


async def test_each_source_answers_with_its_own_part() -> None:
    async with running() as (info, price, stock):
        answer = await info.get("/info/1001")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json["name"] == "Lumora X9 Pro 5G 512 GB"
        assert b'"price":7999.00,"original_price":8999.00' in (await price.get("/price/1001")).body
        assert (await stock.get("/stock/1001")).body == b'{"sku_id":"1001","quantity":128}'


async def test_a_source_knows_neither_other_skus_nor_the_other_sources() -> None:
    async with running() as (source, _, _):
        for path in ("/info/none", "/price/1001", "/info/1001/", "/info/a%2Fb", "/info/", "/"):
            assert (await source.get(path)).status == 404


async def test_many_are_asked_for_with_commas_and_the_ones_found_come_back() -> None:
    async with running() as (source, _, _):
        for skus in ("1002,none,G42,1002,,BOO-8001.hc", "1002%2CG42%2CBOO-8001%2Ehc"):
            answer = await source.get(f"/info?other=1&skus={skus}")
            assert [part["sku_id"] for part in answer.json] == ["1002", "G42", "BOO-8001.hc"]
        assert (await source.get("/info?skus=none")).body == b"[]"
        assert (await source.get("/info")).status == 422


async def test_an_etag_stands_for_the_bytes_of_one_part() -> None:
    async with running() as (source, _, _):
        answers = [await source.get(f"/info/{sku}") for sku in ("1001", "1001", "1002")]
    first, again, other = (answer.headers["etag"] for answer in answers)
    assert first == again != other


async def test_a_catalogue_file_takes_the_place_of_the_sample(tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text('[{"sku_id": "A1", "name": "n", "price": 1234567890123456.789012, "quantity": 1}]')
    async with running(catalog=file) as (info, price, _):
        assert (await price.get("/price/A1")).body == b'{"sku_id":"A1","price":1234567890123456.789012}'
        assert [(await info.get(f"/info/{sku}")).status for sku in ("1001", "G42")] == [404, 404]


async def test_what_is_left_out_of_the_faults_is_off() -> None:
    async with running() as (source, _, _):
        assert (await source.get("/_faults")).json == WELL
        await source.set(hang=True, error_rate=1.0)
        await source.set(garbage=True)
        assert (await source.get("/_faults")).json == WELL | {"garbage": True}
        await source.set()
        assert (await source.get("/info/1001")).status == 200


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
    async with running() as (source, _, _):
        await source.set(error_rate=1.0)
        for faults in (*unknown, *late, *wrong):
            assert (await request(source.url, "PUT", "/_faults", body=faults.encode())).status == 422, faults
        assert (await source.get("/_faults")).json == WELL | {"error_rate": 1.0}


async def test_faults_are_one_sources_own() -> None:
    async with running() as (info, price, _):
        await info.set(error_rate=1.0)
        assert [(await info.get(path)).status for path in ("/info/1001", "/info?skus=1001")] == [500, 500]
        assert (await price.get("/price/1001")).status == 200


async def test_the_same_error_rate_fails_the_same_share_of_calls_each_time() -> None:
    async with running() as (source, _, _):
        rounds = []
        for _ in range(2):
            await source.set(error_rate=0.5)
            rounds.append([(await source.get("/info/1001")).status for _ in range(40)])
    assert rounds[0] == rounds[1]
    assert 10 < rounds[0].count(500) < 30


async def test_garbage_is_a_200_that_is_not_json() -> None:
    async with running() as (source, _, _):
        await source.set(garbage=True)
        for path in ("/info/1001", "/info?skus=1001"):
            answer = await source.get(path)
            with pytest.raises(json.JSONDecodeError):
                json.loads(answer.body)
            assert answer.status == 200


async def test_a_source_waits_its_own_delay() -> None:
    async with running((NEVER_MS, 0, NEVER_MS)) as sources:
        asked = [
            asyncio.ensure_future(source.get(f"/{name}/1001")) for name, source in zip(PARTS, sources, strict=True)
        ]
        done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert done == {asked[1]}
        for question in waiting:
            question.cancel()


async def test_a_set_delay_takes_the_place_of_the_sources_own() -> None:
    async with running((NEVER_MS, 0, 0)) as (info, price, _):
        await info.set(delay_ms=0)
        await price.set(delay_ms=NEVER_MS)
        assert (await info.get("/info/1001")).status == 200
        assert await price.is_silent_on("/price/1001")


async def test_a_hanging_source_answers_nobody_and_can_be_told_to_stop_hanging() -> None:
    async with running() as (source, _, _):
        await source.set(hang=True, delay_ms=0)
        assert [await source.is_silent_on(path) for path in ("/info/1001", "/info?skus=1001")] == [True, True]
        await source.set()
        assert (await source.get("/info/1001")).status == 200


async def test_the_process_prints_its_three_addresses_in_order_and_nothing_else() -> None:
    process = await started("--port", "0")
    urls = await addresses(process)
    process.terminate()
    assert await ended(process) == (0, "", "")
    assert list(urls) == ["info", "price", "stock"]
    assert len({url for url in urls.values() if url.startswith("http://127.0.0.1:")}) == 3


async def test_a_given_port_is_the_first_of_three_in_a_row() -> None:
    for first in range(20_101, 32_000, 7):  # below the ports that the system hands out
        with suppress(SourcesFailed):  # somebody else's
            async with sample_sources(first) as urls:
                break
    assert list(urls.values()) == [f"http://127.0.0.1:{first + offset}" for offset in range(3)]


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
    process = await started("--port", "0", "--delays", f"0,{NEVER_MS},0", "--with-parent")
    info, price, stock = map(Source, (await addresses(process)).values())
    await info.set(hang=True)
    asked = [asyncio.ensure_future(call) for call in (info.get("/info/1001"), price.get("/price/1001"))]
    await stock.get("/stock/1001")  # asked last: by its answer the others are under way
    if number is not None:
        process.send_signal(number)
    # Given bytes, even none, communicate() closes the standard input; else that stays open.
    assert await ended(process, None if number else b"") == (0, "", "")
    await asyncio.gather(*asked, return_exceptions=True)


async def test_nothing_listens_after_the_context() -> None:
    async with sample_sources() as urls:
        pass
    for url in urls.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()
