"""The contract: durable routes while their database is away, and all of it over the sample services."""

import fcntl
from pathlib import Path
from typing import Any

from bff.demo.launch import environment
from tests.contract.durable import (
    CHANGES,
    RESERVATIONS,
    SELLING,
    TOKENS,
    ask,
    changed,
    has_its_database,
    look,
    reaches,
    reserve,
    send,
)
from tests.contract.owners import Owner, Till
from tests.contract.test_problems import is_problem
from tests.harness import Bff, bff
from tests.service.test_demo_sources import running

BODY = {"sku_id": "1001", "price": {"price": 8}}


async def nothing_is_lost(service: Bff, till: Till) -> None:
    """Ask for a change and a reservation while the database is away, and again once it is there."""
    some = f"{'0' * 32}"
    refused = [
        await ask(service, BODY, "k"), await reserve(service, 1, "k"), await send(service, "GET", CHANGES),
        await send(service, "GET", f"{CHANGES}/{some}"), await send(service, "DELETE", f"{CHANGES}/{some}"),
        await send(service, "GET", f"{CHANGES}/{some}/events"),
        await send(service, "GET", f"{RESERVATIONS}/{some}", caller="shop"),
        await send(service, "DELETE", f"{RESERVATIONS}/{some}", caller="shop"),
    ]  # fmt: skip
    for answer in refused:
        is_problem(answer, 503, "overloaded", answer.json["instance"])
        assert int(answer.headers["retry-after"]) >= 1
        assert not [word for word in ("sqlite", str(service.data), "Error") if word in answer.body.decode()]
    assert (await ask(service, {}, "k")).status == 422  # what is wrong is wrong, wherever the database is
    assert (await service.page("1001")).status == 200
    assert (await service.admin("/readyz")).status == 200
    assert (await service.admin("/durable")).json["database"] == "away"
    assert await service.metric("bff_durable_usable") == 0


async def it_goes_on(service: Bff, till: Till) -> None:
    await has_its_database(service)
    assert (await changed(service, BODY, "k"))["state"] == "succeeded"
    answer = await reserve(service, 1, "k")
    await reaches(service, answer.headers["location"], ["confirmed"], "shop")
    assert till.left == {"1001": 4}


def owners(till: Till) -> dict[str, Any]:
    return {"price": Owner("price"), "stock": till, "auth__tokens": TOKENS, **SELLING}


async def test_while_the_database_cannot_be_opened_pages_are_served_and_work_is_503(tmp_path: Path) -> None:
    file = tmp_path / "bff.sqlite"
    file.mkdir()
    till = Till(**{"1001": 5})
    async with bff(data_dir=str(tmp_path), **owners(till)) as service:
        await nothing_is_lost(service, till)
        file.rmdir()
        await it_goes_on(service, till)


async def test_while_another_process_has_the_database_pages_are_served_and_work_is_503(tmp_path: Path) -> None:
    till = Till(**{"1001": 5})
    with (tmp_path / "bff.sqlite.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with bff(data_dir=str(tmp_path), **owners(till)) as service:
            await nothing_is_lost(service, till)
            fcntl.flock(held, fcntl.LOCK_UN)
            await it_goes_on(service, till)


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "bff.sqlite"
    file.write_bytes(b"not a database, but somebody's\n" * 100)
    till = Till(**{"1001": 5})
    async with bff(data_dir=str(tmp_path), **owners(till)) as service:
        await nothing_is_lost(service, till)
    assert file.read_bytes() == b"not a database, but somebody's\n" * 100


async def test_the_sample_services_are_owners_as_the_contract_has_them() -> None:
    async with running() as sources:
        urls = dict(zip(("info", "price", "stock"), (source.url for source in sources), strict=True))
        settings: dict[str, Any] = {
            name.removeprefix("BFF_").lower(): value for name, value in environment(urls).items()
        }
        async with bff(**settings, auth__tokens=TOKENS, deadline_seconds="10") as service:
            await has_its_database(service)
            before = (await service.page("1001")).json
            parts: dict[str, Any] = {"info": {"name": "n"}, "price": {"price": 8}, "stock": {"quantity": 5}}
            assert (await changed(service, {"sku_id": "1001", **parts}, "a"))["state"] == "succeeded"
            after = (await service.page("1001")).json
            assert all(parts[name].items() <= after[name].items() for name in parts)
            assert after["info"] != before["info"]
            unknown = await changed(service, {"sku_id": "none", **parts}, "b")
            assert (unknown["state"], unknown["steps"][0]["state"]) == ("failed", "failed")
            answers = [await reserve(service, quantity, f"k{quantity}") for quantity in (4, 3, 1)]
            states = [
                (await reaches(service, answer.headers["location"], ["confirmed", "rejected"], "shop"))["state"]
                for answer in answers
            ]
            assert states == ["confirmed", "rejected", "confirmed"]
            assert (await service.page("1001")).json["stock"]["quantity"] == 0
            await send(service, "DELETE", answers[0].headers["location"], caller="shop")
            await reaches(service, answers[0].headers["location"], ["released"], "shop")
            assert (await service.page("1001")).json["stock"] == {"sku_id": "1001", "quantity": 4, "available": True}
            assert len((await look(service, CHANGES))["items"]) == 2
