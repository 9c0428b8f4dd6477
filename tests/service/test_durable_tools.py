"""What `make check-durable` stands on: owners that do what they were asked for, a control, and judges that see."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.consistency.client import Broken, Connection
from tests.durable.accounts import Books
from tests.durable.asking import reserve
from tests.durable.changes import judged
from tests.durable.guards import GUARDS
from tests.durable.ledger import Account, Effect, Ledger, Owners, Taken, Write, owning
from tests.durable.orders import Order
from tests.durable.pods import NotStarted, Pod
from tests.durable.report import Result, details, table
from tests.durable.sale import BUYERS, SKU, UNITS, Buyer, judge
from tests.harness import until
from tests.rings import ROOT

PRICE = "G5000001"
ID = "0" * 32


async def put(owners: Owners, source: str, sku: str, seconds: float = 5.0) -> int:
    connection = Connection(owners.urls[source], seconds)
    try:
        body = json.dumps({"sku_id": sku, "price": 7} if source == "price" else {"sku_id": sku, "quantity": 7})
        headers = 'Idempotency-Key: "of-the-test"\r\n'
        return (await connection.request("PUT", f"/{source}/{sku}", headers, body.encode())).status
    finally:
        connection.close()


async def test_an_owner_does_what_it_was_asked_for_where_who_asked_has_gone() -> None:
    async with owning() as owners:
        await owners.misbehave(delay_ms=300)
        with pytest.raises(Broken):
            await put(owners, "price", PRICE, 0.1)

        async def is_done() -> bool:
            return [effect.applied for effect in (await owners.ledger("price")).keys] == [1]

        assert not await is_done()
        await until(is_done)
        assert json.loads(await owners.part("price", PRICE))["price"] == 7


async def test_an_owner_declines_what_is_written_to_some_products() -> None:
    async with owning() as owners:
        statuses = [await put(owners, "stock", sku) for sku in ("G4090001", "G4220001", "G4040001", "G5000001")]
        assert statuses == [409, 422, 404, 200]
        assert await put(owners, "price", "G4090001") == 200
        assert [write.sku_id for write in (await owners.ledger("stock")).writes] == ["G5000001"]


@pytest.mark.parametrize("guard", GUARDS)
async def test_a_guard_can_be_taken_out_of_the_service_as_it_is(guard: str) -> None:
    command = ("tests.durable.pod", "--without", guard, "--", "--help")
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"serve" in out


async def test_a_pod_that_does_not_start_says_why(tmp_path: Path) -> None:
    pod = Pod("pod", ("bff", "serve"), {"BFF_NONSENSE": "1"}, tmp_path / "log")
    await pod.launch()
    with pytest.raises(NotStarted, match="BFF_NONSENSE"):
        await pod.listening()
    with pytest.raises(NotStarted, match="ended by itself"):
        await pod.kill()


def sold(confirmed: int) -> tuple[list[Buyer], Ledger]:
    buyers = [Buyer(reserve(SKU, ""), f"{number}", "rejected insufficient") for number in range(BUYERS)]
    for buyer in buyers[:confirmed]:
        buyer.state = "confirmed"
    taken = {
        buyer.id: Taken(SKU, 1, "deducted" if buyer.state == "confirmed" else "insufficient", released=False)
        for buyer in buyers
    }
    return buyers, Ledger([], [], 0, {SKU: Account(UNITS - confirmed, confirmed)}, taken)


def test_a_sale_of_each_unit_once_is_as_it_should_be() -> None:
    result = judge(*sold(UNITS), "sqlite")
    assert result.faults == []
    assert (result.counts["confirmed"], result.counts["rejected"]) == (UNITS, BUYERS - UNITS)


def test_a_sale_of_more_than_there_is_is_not() -> None:
    result = judge(*sold(UNITS + 1), "sqlite")
    assert result.counts["oversold"] == 1
    assert not result.is_as_it_should_be


@pytest.mark.parametrize("state", ["queued", "released", "rejected insufficient"])
def test_a_buyer_who_is_told_otherwise_than_the_owner_answered_is_found(state: str) -> None:
    buyers, ledger = sold(UNITS)
    buyers[0].state = state
    assert any("told otherwise" in fault for fault in judge(buyers, ledger, "sqlite").faults)


def seen(state: str, step: str, attempts: int = 1) -> dict[str, Any]:
    steps = [{"name": "price", "state": step, "attempts": attempts}]
    return {"state": state, "steps": steps, "updated_at": "2026-11-21T10:00:00.000Z"}


def told(*names: str, state: str) -> list[dict[str, Any]]:
    at = "2026-11-21T10:00:00.000Z"
    return [
        {"seq": seq, "id": seq, "event": name, "step": None, "cause": None, "state": state, "at": at}
        for seq, name in enumerate(names, 1)
    ]


def written(*numbers: str) -> dict[str, Ledger]:
    """Return ledgers in which a change has written a price under keys that end so."""
    parts = [b'{"sku_id":"G5000001","price":1.50}', b'{"sku_id":"G5000001","price":7}']
    writes = [
        Write(f'"{ID}-price-{number}"', PRICE, *(parts if nth % 2 == 0 else reversed(parts)))
        for nth, number in enumerate(numbers)
    ]
    keys = [Effect(write.key or "", PRICE, 1, 1) for write in writes]
    return {"info": Ledger([], [], 0), "price": Ledger(keys, writes, 0), "stock": Ledger([], [], 0)}


def account(order: Order, *numbers: str) -> Result:
    ledgers = written(*numbers)
    first = b'{"sku_id":"G5000001","price":1.50}'
    last = bytes(ledgers["price"].writes[-1].part) if numbers else first
    place = ("price", PRICE)
    return judged([order], Books({place: first}, {place: last}, ledgers), "sqlite")


def succeeded() -> Order:
    order = Order(0, PRICE, {"price": {"price": 7}}, id=ID)
    order.seen = [seen("pending", "pending", 0), seen("running", "running"), seen("succeeded", "done")]
    order.events = told("accepted", "started", "step_started", "step_done", "ended", state="succeeded")
    return order


def test_a_change_that_is_done_once_is_as_it_should_be() -> None:
    result = account(succeeded(), "1")
    assert result.faults == []
    assert (result.counts["succeeded"], result.counts["stuck"]) == (1, 0)


@pytest.mark.parametrize("numbers", [(), ("1", "undo-1"), ("1", "undo-1", "2")])
def test_a_change_that_succeeded_and_whose_effect_is_not_there_once_is_found(numbers: tuple[str, ...]) -> None:
    assert not account(succeeded(), *numbers).is_as_it_should_be


def test_an_effect_that_came_twice_is_counted() -> None:
    assert account(succeeded(), "1", "undo-1", "2").counts["twice"] == 1


def test_a_state_that_goes_back_is_found() -> None:
    order = succeeded()
    order.seen.insert(1, seen("running", "done"))
    assert any("its step price" in fault for fault in account(order, "1").faults)


def test_events_with_a_gap_are_found() -> None:
    order = succeeded()
    del order.events[2]
    assert any("numbers of its events" in fault for fault in account(order, "1").faults)


def test_a_cancel_that_was_acknowledged_and_not_heeded_is_found() -> None:
    order = succeeded()
    order.cancel_seconds, order.cancelled = 0.1, 202
    assert any("acknowledged" in fault for fault in account(order, "1").faults)


def test_a_change_that_is_not_at_its_end_is_stuck() -> None:
    order = succeeded()
    order.seen = [seen("running", "running")]
    result = account(order)
    assert result.counts["stuck"] == 1
    assert not result.is_as_it_should_be


def test_the_table_says_what_is_not_as_it_should_be() -> None:
    good, bad = Result("keys", "sqlite", {"kills": 3}), Result("sale", "sqlite", faults=["one too many"])
    lines = table([good, bad]).splitlines()
    assert lines[2].endswith("as it should be")
    assert lines[3].endswith("NOT")
    assert "NOT AS IT SHOULD BE: one too many" in details(bad)
