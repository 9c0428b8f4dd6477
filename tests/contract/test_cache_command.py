"""The contract: `bff cache`, against a running service."""

import json
from typing import Any

import pytest

from tests.contract.process import run
from tests.harness import bff
from tests.upstreams import always

LONG: dict[str, Any] = {f"{name}__fresh_seconds": "600" for name in ("info", "price", "stock")}


async def test_invalidate_forgets_what_it_is_told_to() -> None:
    async with bff(**LONG) as service:
        for sku in ("1001", "1002"):
            await service.page(sku)
        ended = await run("cache", "invalidate", "1001", "never-seen", "--admin-url", service.run.admin_url)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        only = ("--source", "price", "--source", "stock")
        ended = await run("cache", "invalidate", "1002", *only, "--admin-url", service.run.admin_url)
        assert ended.code == 0
        for sku in ("1001", "1002"):
            await service.page(sku)
        assert [len(up.seen) for up in (service.info, service.price, service.stock)] == [3, 4, 4]


async def test_stats_say_what_is_kept() -> None:
    async with bff(stock=always("no", 404), stock__not_found_seconds="600", **LONG) as service:
        await service.page("1001")
        figures = (await service.admin("/cache")).json["memory"]
        ended = await run("cache", "stats", "--admin-url", service.run.admin_url + "/")
    assert (figures["entries"], figures["not_found"], figures["evicted"]) == (3, 1, 0)
    assert (figures["max_entries"], figures["max_bytes"]) == (100_000, 268_435_456)
    assert 0 < figures["bytes"] < 10_000
    assert ended.code == 0
    assert ended.out == f"memory: {', '.join(f'{name} {figure}' for name, figure in figures.items())}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-"], "sku_ids.0"),
        (["1001", "--source", "prices"], "sources.0"),
        (["x"] * 1001, "sku_ids"),
    ],
)
async def test_what_the_service_refuses_is_said_with_1(arguments: list[str], says: str) -> None:
    async with bff() as service:
        ended = await run("cache", "invalidate", *arguments, "--admin-url", service.run.admin_url)
    assert (ended.code, ended.out, says in ended.err, ended.err.count("\n")) == (1, "", True, 1)


@pytest.mark.parametrize("command", [["stats"], ["invalidate", "1001"]])
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://127.0.0.1", "nonsense", "http://["])
async def test_a_service_that_cannot_be_reached_is_said_with_1(command: list[str], url: str) -> None:
    ended = await run("cache", *command, "--admin-url", url)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert url in ended.err


async def test_an_answer_that_is_no_problem_is_said_by_its_status() -> None:
    async with bff(info=always(json.dumps([1]), 500)) as service:
        url = service.info.url
        ended = await run("cache", "invalidate", "1001", "--admin-url", url)
    assert (ended.code, ended.err) == (1, f"{url}: status 500\n")
