"""The contract: bulk calls that fail: their reasons, their halves, their retries, and what they count as."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from tests.contract.bulk import ALONE, BULK, GENEROUS, NOTHING_KEPT, amounts, found_each, found_together, joined
from tests.harness import bff, patient
from tests.upstreams import Script, Seen, after, always, array, bulk, hang, in_turn, part, parts, raw, reset, response

SKUS = [f"sku-{at:02}" for at in range(16)]
POISON = "sku-05"
OK = dict.fromkeys(SKUS, 9.5)
SPOILT = OK | {POISON: "unavailable"}
CUT_OFF = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[")


def poisoned(answer: Script, *skus: str) -> Script:
    """Answer calls that ask for any of these so, and all others well."""
    good, bad = bulk("price"), set(skus or [POISON])

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await (answer if bad & set(seen.skus) else good)(seen, writer)

    return script


async def dripping(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n[")
    while True:
        writer.write(b" ")
        await asyncio.sleep(0.02)


async def reasons_and_calls(script: Script, **settings: Any) -> tuple[set[Any], int]:
    """Return how all pages that were read together ended, and how many calls were made."""
    async with joined(SKUS, script, **{**ALONE, **settings}) as together:
        return set(amounts(await together.found()).values()), len(together.calls)


async def test_whatever_is_no_200_with_an_array_fails_every_sku_and_404_is_rejected() -> None:
    cases: dict[str, tuple[Script, str]] = {
        "404": (always("[]", 404), "rejected"),
        "400": (always("[]", 400), "rejected"),
        "206": (always(array(part("price", sku) for sku in SKUS), 206), "rejected"),
        "302": (always("", 302, {"Location": "/parts"}), "rejected"),
        "429": (always("", 429), "overloaded"),
        "500": (always("[]", 500), "unavailable"),
        "503": (always("[]", 503), "unavailable"),
        "reset": (reset, "unavailable"),
        "cut off": (CUT_OFF, "unavailable"),
        "garbage": (raw(b"\x00\xff\r\n\r\n"), "garbled"),
        "text": (always("no"), "garbled"),
    }
    found = await found_each(SKUS, {case: script for case, (script, _) in cases.items()}, **ALONE)
    assert found == {case: dict.fromkeys(SKUS, reason) for case, (_, reason) in cases.items()}


async def test_a_slow_a_dripping_and_a_hanging_answer_are_timeouts() -> None:
    for script in (hang, dripping, after(5, bulk("price"))):
        times: dict[str, Any] = {"deadline_seconds": "5", "price__attempt_timeout_seconds": "0.5"}
        async with bff(price=script, **BULK, **ALONE, **times, price__attempts="1") as service:
            assert (await service.page("1001")).reasons["price"] == "timeout"
            assert await service.metric("bff_upstream_attempts_total", source="price", outcome="timeout") == 1


async def test_a_lone_read_that_fails_is_tried_again_as_any_other() -> None:
    for attempts in ("1", "2", "4"):
        async with bff(price=always("[]", 503), **BULK, price__attempts=attempts, **GENEROUS) as service:
            assert (await service.page("1001")).reasons["price"] == "unavailable"
            assert [seen.skus for seen in service.price.seen] == [["1001"]] * int(attempts)
    for script, reason in ((always("[]", 404), "rejected"), (always("no"), "garbled")):
        async with bff(price=script, **BULK, price__attempts="4", **GENEROUS) as service:
            assert (await service.page("1001")).reasons["price"] == reason
            assert len(service.price.seen) == 1


async def test_one_poisonous_sku_does_not_take_its_neighbours_down() -> None:
    garbled = answering_not_a_number(POISON)
    cases: dict[str, tuple[Script, str]] = {
        "500": (poisoned(always("no", 500)), "unavailable"),
        "400": (poisoned(always("no", 400)), "rejected"),
        "404": (poisoned(always("no", 404)), "rejected"),
        "429": (poisoned(always("no", 429)), "overloaded"),
        "reset": (poisoned(reset), "unavailable"),
        "cut off": (poisoned(CUT_OFF), "unavailable"),
        "no JSON": (garbled, "garbled"),
    }
    for case, (script, reason) in cases.items():
        found = amounts(await found_together(SKUS, script, **GENEROUS))
        assert found == OK | {POISON: reason}, case


def answering_not_a_number(sku: str) -> Script:
    """Answer with what is no JSON wherever a SKU is asked for."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        items = [part("price", one) if one != sku else f'{{"sku_id": "{one}", "price": NaN}}' for one in seen.skus]
        writer.write(response(array(items)))

    return script


async def test_a_failed_call_is_repeated_in_halves() -> None:
    async with joined(SKUS, poisoned(always("no", 400)), **GENEROUS) as together:
        await together.answers()
        sizes = [len(call) for call in together.calls]
        assert sorted(sizes, reverse=True) == [16, 8, 8, 4, 4, 2, 2, 1, 1]
        with_poison = [set(call) for call in together.calls if POISON in call]
        assert all(later < former for former, later in itertools.pairwise(with_poison))
        once = [sku for call in together.calls if POISON not in call for sku in call]
        assert sorted(once) == sorted(set(SKUS) - {POISON})


async def test_the_half_that_fails_alone_is_the_only_one_that_has_no_part() -> None:
    found = amounts(await found_together(SKUS, poisoned(always("no", 500), *SKUS[8:]), **GENEROUS))
    assert found == OK | dict.fromkeys(SKUS[8:], "unavailable")


async def test_a_call_that_may_do_better_is_done_in_halves_too() -> None:
    async with joined(SKUS, in_turn(always("no", 503), bulk("price")), **GENEROUS) as together:
        assert amounts(await together.found()) == OK
        assert sorted(map(len, together.calls)) == [8, 8, 16]


async def test_the_repeats_keep_within_the_retry_budget() -> None:
    async def made(script: Script, **settings: Any) -> int:
        async with joined(SKUS, script, **settings) as together:
            await together.answers()
            return len(together.calls)

    for script in (always("no", 500), always("no", 400), always("no")):
        for floor in (0, 1, 2, 5):
            budget = {"price__retry_ratio": "0", "price__retry_floor": str(floor)}
            assert await made(script, **budget) == 1 + floor


async def test_no_half_is_asked_for_where_the_source_wants_to_be_left_alone_for_longer_than_the_page_lasts() -> None:
    script = always("no", 429, {"Retry-After": "3600"})
    assert await reasons_and_calls(script, **GENEROUS) == ({"overloaded"}, 1)


async def test_a_call_that_timed_out_is_tried_again_whole() -> None:
    times = {"price__attempt_timeout_seconds": "1"}
    async with joined(SKUS, in_turn(hang, bulk("price")), **GENEROUS, **times) as together:
        assert amounts(await together.found()) == OK
        assert together.calls == [SKUS, SKUS]
        assert await together.service.metric("bff_upstream_attempts_total", source="price", outcome="timeout") >= 1


async def test_a_call_that_timed_out_as_often_as_is_set_is_a_timeout_for_every_sku() -> None:
    async with joined(SKUS, hang, **GENEROUS, price__attempt_timeout_seconds="0.7", price__attempts="2") as together:
        assert set((await together.found()).values()) == {"timeout"}
        assert together.calls == [SKUS, SKUS]


async def test_who_was_poisonous_stays_alone_for_a_while() -> None:
    async with joined(SKUS, poisoned(always("no", 400)), **GENEROUS, **NOTHING_KEPT) as together:
        await together.answers()
        before = len(together.calls)
        await together.hold()
        await together.ask(SKUS)
        await together.answers()
        assert sorted(together.calls[before:]) == sorted([[POISON], sorted(set(SKUS) - {POISON})])


async def test_nobody_is_suspected_where_the_source_fails_as_such() -> None:
    async with joined(SKUS[:4], always("no", 400), **GENEROUS, **NOTHING_KEPT) as together:
        await together.answers()
        before = len(together.calls)
        await together.hold()
        together.script = bulk("price")
        await together.ask(SKUS[:4])
        assert amounts(await together.found()) == dict.fromkeys(SKUS[:4], 9.5)
        assert together.calls[before:] == [SKUS[:4]]


async def test_a_call_is_one_attempt_and_one_verdict_of_the_circuit() -> None:
    async def opened(make: Callable[[int], Script], least: int, calls: int) -> str:
        circuit = {"price__circuit__min_attempts": str(least), "price__circuit__open_seconds": "60"}
        async with joined(SKUS, make(0), **{**ALONE, **circuit}) as together:
            await together.answers()
            service = together.service
            assert len(together.calls) == calls
            attempts = await service.metric("bff_upstream_attempts_total", source="price", outcome="unavailable")
            assert attempts == calls
            assert await service.metric("bff_upstream_attempts_total", source="price", outcome="ok") == 1
            return await service.circuit("price")

    assert await opened(lambda _: always("no", 500), least=2, calls=1) == "open"
    assert await opened(lambda _: always("no", 500), least=3, calls=1) == "closed"


async def test_an_open_circuit_makes_no_call() -> None:
    circuit: dict[str, Any] = {
        "price__circuit__min_attempts": "1",
        "price__circuit__open_seconds": "60",
        "price__attempts": "1",
    }
    async with bff(price=always("no", 500), **BULK, **circuit, **patient()) as service:
        assert (await service.page("first")).reasons["price"] == "unavailable"
        pages = await asyncio.gather(*(service.page(sku) for sku in SKUS))
        assert {page.reasons["price"] for page in pages} == {"circuit_open"}
        assert len(service.price.seen) == 1


async def test_halves_that_the_circuit_refuses_have_the_reason_of_the_call_that_was_made() -> None:
    circuit = {"price__circuit__min_attempts": "2", "price__circuit__open_seconds": "60"}
    assert await reasons_and_calls(always("no", 500), **GENEROUS, **circuit) == ({"unavailable"}, 1)


async def test_a_bulk_answer_that_is_too_slow_counts_once_against_the_circuit_and_is_served() -> None:
    circuit = {"price__circuit__min_attempts": "2", "price__circuit__slow_seconds": "0.05"}
    async with joined(SKUS, after(0.2, bulk("price")), **circuit, **ALONE) as together:
        assert amounts(await together.found()) == OK
        assert await together.service.circuit("price") == "open"


async def test_a_failure_of_many_is_not_remembered() -> None:
    async with joined(SKUS, always("no", 404), **ALONE) as together:
        await together.answers()
        together.script = bulk("price")
        pages = await asyncio.gather(*(together.service.page(sku) for sku in SKUS))
        assert {page.states["price"] for page in pages} == {"ok"}


async def test_a_source_whose_bulk_url_fails_is_not_asked_one_by_one() -> None:
    async with bff(price=always("no", 404), **BULK) as service:
        await service.page("1001")
        assert [seen.target for seen in service.price.seen] == ["/parts?skus=1001"]
        service.price.script = parts("price")
        assert (await service.page("1001")).reasons["price"] == "garbled"
