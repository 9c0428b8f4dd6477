"""The contract: "State and reason": what is served from where, and for how long."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

from tests.harness import Answer, Bff, bff, until
from tests.upstreams import after, always, by_sku, hang, in_turn, parts, reset

NO_TRIES: dict[str, Any] = {f"{name}__attempts": "1" for name in ("info", "price", "stock")}
LONG: dict[str, Any] = {"price__fresh_seconds": "60", "price__stale_seconds": "60", "price__revalidate_seconds": "0"}
SHORT: dict[str, Any] = {"price__fresh_seconds": "0.1", "price__stale_seconds": "60", "price__revalidate_seconds": "0"}
NOW: dict[str, Any] = {"price__fresh_seconds": "0.1", "price__stale_seconds": "0", "price__revalidate_seconds": "60"}


def source(answer: Answer, name: str = "price") -> dict[str, str | None]:
    found = answer.json["meta"]["sources"][name]
    return {str(key): value for key, value in found.items()}


async def price_is(service: Bff, state: str, reason: str | None) -> None:
    """Wait until a page's price is so."""

    async def so() -> bool:
        answer = await service.page("1001")
        return (answer.states["price"], answer.reasons["price"]) == (state, reason)

    await until(so)


async def test_a_loaded_part_is_ok_and_is_served_again_without_a_question_while_fresh() -> None:
    async with bff(**LONG, info__required=False) as service:
        first, second = await service.page("1001"), await service.page("1001")
        assert len(service.price.seen) == 1
    assert source(first) == source(second)
    assert (source(first)["state"], source(first)["reason"]) == ("ok", None)


async def test_as_of_is_when_the_attempt_that_brought_the_value_began() -> None:
    async with bff(price=in_turn(after(0.1, always("no", 500)), parts("price")), **LONG) as service:
        before = datetime.now(UTC)  # noqa: TID251 - as_of is wall-clock time
        shown = source(await service.page("1001"))["as_of"]
        after_all = datetime.now(UTC)  # noqa: TID251
        assert len(service.price.seen) == 2
    assert shown is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown)
    seconds = (datetime.fromisoformat(shown) - before).total_seconds()
    assert 0.095 <= seconds <= (after_all - before).total_seconds()


async def test_past_its_fresh_time_it_is_asked_for_again() -> None:
    async with bff(**SHORT) as service:
        await service.page("1001")
        await asyncio.sleep(0.2)
        answer = await service.page("1001")
        assert len(service.price.seen) == 2
    assert answer.states["price"] == "ok"


async def test_a_value_is_stale_where_the_source_was_asked_and_failed() -> None:
    failures = {
        "unavailable": always("no", 503),
        "rejected": always("no", 403),
        "garbled": always("no"),
        "overloaded": always("no", 429),
        "timeout": hang,
    }
    async with bff(**SHORT, **NO_TRIES, price__attempt_timeout_seconds="0.2") as service:
        first = {reason: await service.page(reason) for reason in failures}
        service.price.script = by_sku(failures, hang)
        await asyncio.sleep(0.2)
        for reason in failures:
            answer = await service.page(reason)
            assert answer.json["price"] == first[reason].json["price"]
            assert source(answer) == {"state": "stale", "as_of": source(first[reason])["as_of"], "reason": reason}
            assert answer.json["meta"]["complete"] is False
            assert answer.status == 200


async def test_past_its_bound_it_is_missing_and_the_reason_is_how_the_source_failed() -> None:
    settings: dict[str, Any] = SHORT | {"price__stale_seconds": "0.3"}
    async with bff(**settings, **NO_TRIES) as service:
        await service.page("1001")
        service.price.script = always("no", 503)
        await asyncio.sleep(0.6)
        answer = await service.page("1001")
    assert answer.json["price"] is None
    assert source(answer) == {"state": "missing", "as_of": None, "reason": "unavailable"}


async def test_a_values_bound_is_its_fresh_time_plus_the_larger_of_revalidate_and_stale() -> None:
    settings: dict[str, Any] = {
        "price__fresh_seconds": "0.1",
        "price__stale_seconds": "0",
        "price__revalidate_seconds": "0.5",
    }
    async with bff(**settings, **NO_TRIES) as service:
        await service.page("1001")
        service.price.script = always("no", 503)
        await asyncio.sleep(0.2)
        assert (await service.page("1001")).states["price"] == "stale"
        await asyncio.sleep(0.6)
        assert (await service.page("1001")).states["price"] == "missing"


async def test_nothing_is_sent_later_than_its_bound_even_where_the_page_waited_for_another_part() -> None:
    settings: dict[str, Any] = SHORT | {
        "price__stale_seconds": "0.2",
        "info__fresh_seconds": "0",
        "info__stale_seconds": "0",
    }
    async with bff(**settings, **NO_TRIES, info__revalidate_seconds="0") as service:
        service.info.script = parts("info")
        await service.page("1001")
        service.info.script = after(0.5, parts("info"))
        service.price.script = always("no", 503)
        answer = await service.page("1001")
    assert answer.status == 200
    assert answer.states["price"] == "missing"


async def test_a_stale_part_whose_bound_passes_while_the_page_waits_for_another_is_not_sent() -> None:
    settings: dict[str, Any] = SHORT | {
        "price__stale_seconds": "0.5",
        "info__fresh_seconds": "0.1",
        "info__revalidate_seconds": "0",
    }
    async with bff(**settings, **NO_TRIES, deadline_seconds="5", info__attempt_timeout_seconds="5") as service:
        await service.page("1001")
        service.price.script = always("no", 503)
        service.info.script = after(0.8, parts("info"))
        await asyncio.sleep(0.2)
        answer = await service.page("1001")
    assert (answer.states["price"], answer.reasons["price"]) == ("missing", "unavailable")


async def test_a_read_within_the_revalidate_time_never_waits_and_one_refresh_runs() -> None:
    async with bff(**NOW, deadline_seconds="30", price__attempt_timeout_seconds="30") as service:
        first = await service.page("1001")
        service.price.script = hang
        await asyncio.sleep(0.2)
        answers = await asyncio.gather(*(service.page("1001") for _ in range(5)))
        await until(lambda: _seen(service, 2))
        answers.append(await service.page("1001"))
        assert len(service.price.seen) == 2
    for answer in answers:
        assert source(answer) == {"state": "stale", "as_of": source(first)["as_of"], "reason": "revalidating"}
        assert answer.json["meta"]["complete"] is True


async def test_once_a_refresh_has_failed_the_reason_is_how_it_ended() -> None:
    async with bff(**NOW, **NO_TRIES) as service:
        await service.page("1001")
        service.price.script = reset
        await asyncio.sleep(0.2)
        assert (await service.page("1001")).reasons["price"] == "revalidating"
        await price_is(service, "stale", "unavailable")
        assert (await service.page("1001")).json["meta"]["complete"] is False
        service.price.script = always("no", 429)
        await price_is(service, "stale", "overloaded")
        service.price.script = parts("price")
        await price_is(service, "ok", None)


async def test_a_refresh_that_the_circuit_refuses_says_so() -> None:
    circuit: dict[str, Any] = {"price__circuit__min_attempts": "1", "price__circuit__open_seconds": "60"}
    async with bff(**NOW, **NO_TRIES, **circuit) as service:
        await service.page("1001")
        service.price.script = always("no", 503)
        assert (await service.page("1002")).reasons["price"] == "unavailable"
        assert (await service.page("1003")).reasons["price"] == "circuit_open"
        await asyncio.sleep(0.2)
        await price_is(service, "stale", "circuit_open")


async def test_a_404_replaces_a_cached_value_at_once() -> None:
    for settings in (SHORT, NOW):
        async with bff(**settings, price__not_found_seconds="60") as service:
            await service.page("1001")
            service.price.script = always("no", 404)
            await asyncio.sleep(0.2)
            await price_is(service, "missing", "not_found")
            service.price.script = always("no", 503)
            answer = await service.page("1001")
            assert len(service.price.seen) == 2
        assert (answer.json["price"], answer.reasons["price"]) == (None, "not_found")


async def test_a_404_is_remembered_for_its_time_and_asked_for_again_after_it() -> None:
    async with bff(price=always("no", 404), price__not_found_seconds="0.5") as service:
        answers = [await service.page("1001") for _ in range(3)]
        assert len(service.price.seen) == 1
        service.price.script = parts("price")
        await asyncio.sleep(0.7)
        assert (await service.page("1001")).states["price"] == "ok"
    for answer in answers:
        assert source(answer) == {"state": "missing", "as_of": None, "reason": "not_found"}
        assert answer.json["meta"]["complete"] is True
        assert answer.status == 200


async def test_a_failure_is_not_remembered() -> None:
    async with bff(price=always("no", 403)) as service:
        assert (await service.page("1001")).reasons["price"] == "rejected"
        service.price.script = parts("price")
        assert (await service.page("1001")).states["price"] == "ok"


async def _seen(service: Bff, count: int) -> bool:
    return len(service.price.seen) >= count
