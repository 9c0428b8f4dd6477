"""The contract: "The attempts": what is tried again, how often, and whose the calls are."""

import asyncio
from typing import Any

from tests.harness import Bff, bff, request, until
from tests.upstreams import after, always, by_sku, hang, in_turn, parts, raw, reset

OPEN_NEVER: dict[str, Any] = {f"{name}__circuit__min_attempts": "100000" for name in ("info", "price", "stock")}
PATIENT: dict[str, Any] = {"deadline_seconds": "30", "price__attempt_timeout_seconds": "30"}


async def calls(script: Any, **settings: Any) -> tuple[int, str | None]:
    """Return how often price was asked for one page, and its reason there."""
    async with bff(price=script, **settings) as service:
        answer = await service.page("1001")
        return len(service.price.seen), answer.reasons["price"]


async def test_what_may_do_better_is_tried_again() -> None:
    good = parts("price")
    failures = {str(status): always("no", status) for status in (408, 425, 429, 500, 502, 503, 504, 599)}
    failures |= {"reset": reset, "cut-off": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")}
    scripts = {sku: in_turn(script, good) for sku, script in failures.items()}
    async with bff(price=by_sku(scripts, good), price__retry_floor="100", **OPEN_NEVER) as service:
        found = {sku: (await service.page(sku)).states["price"] for sku in scripts}
        asked = [seen.sku for seen in service.price.seen]
    assert found == dict.fromkeys(failures, "ok")
    assert {sku: asked.count(sku) for sku in failures} == dict.fromkeys(failures, 2)


async def test_a_timeout_is_tried_again() -> None:
    assert await calls(in_turn(hang, parts("price")), price__attempt_timeout_seconds="0.15") == (2, None)


async def test_what_cannot_do_better_is_not_tried_again() -> None:
    answers = {str(status): always("{}", status) for status in (400, 401, 403, 404, 405, 409, 410, 418, 201, 202, 206)}
    answers |= {str(status): always("", status, {"Location": "/part/other"}) for status in (301, 302, 307, 308)}
    answers |= {"204": raw(b"HTTP/1.1 204 X\r\n\r\n"), "304": raw(b"HTTP/1.1 304 X\r\n\r\n")}
    expected = dict.fromkeys(answers, "rejected") | {"404": "not_found"}
    answers |= {"garbled": always("no"), "another-sku": always('{"sku_id": "x", "price": 1}'), "html": always("<p>")}
    expected |= dict.fromkeys(("garbled", "another-sku", "html"), "garbled")
    async with bff(price=by_sku(answers, parts("price")), **OPEN_NEVER) as service:
        found = {sku: (await service.page(sku)).reasons["price"] for sku in answers}
        asked = sorted(seen.target for seen in service.price.seen)
    assert found == expected
    assert asked == sorted(f"/part/{sku}" for sku in answers)


async def test_the_tries_in_all_are_those_that_are_set() -> None:
    for attempts in (1, 2, 5):
        assert await calls(always("no", 503), price__attempts=str(attempts)) == (attempts, "unavailable")


async def test_the_tries_in_all_hold_over_connections_that_were_kept_too() -> None:
    async with bff(price=in_turn(parts("price"), reset), price__attempts="1") as service:
        await service.page("kept")
        assert (await service.page("1001")).reasons["price"] == "unavailable"
        assert [seen.sku for seen in service.price.seen] == ["kept", "1001"]


async def test_the_reason_is_how_the_last_attempt_ended() -> None:
    assert await calls(in_turn(always("no", 503), always("no", 408))) == (2, "rejected")
    assert await calls(in_turn(reset, always("no", 429))) == (2, "overloaded")
    assert await calls(in_turn(always("no", 429, {"Connection": "close"}), reset)) == (2, "unavailable")
    assert await calls(in_turn(always("no", 503), always("no"))) == (2, "garbled")


async def test_no_try_begins_where_too_little_of_the_page_remains() -> None:
    late = after(0.27, always("no", 503))
    assert await calls(late, deadline_seconds="0.3", price__attempts="5") == (1, "unavailable")


async def test_retry_after_is_kept_to_or_not_tried_again_where_the_page_would_not_last() -> None:
    async def asked(value: str, **more: str) -> int:
        headers = {"Retry-After": value, **more}
        return (await calls(in_turn(always("no", 503, headers), parts("price"))))[0]

    assert await asked("0") == 2
    assert await asked("1") == 1
    assert await asked("3600") == 1
    date = "Fri, 20 Nov 2026 08:00:00 GMT"
    assert await asked("Fri, 20 Nov 2026 08:30:00 GMT", Date=date) == 1
    assert await asked(date, Date=date) == 2


async def test_retry_after_is_waited_for_where_the_page_lasts() -> None:
    times: list[float] = []
    answers = in_turn(always("no", 429, {"Retry-After": "1"}), parts("price"))

    async def script(seen: Any, writer: Any) -> None:
        times.append(asyncio.get_running_loop().time())
        await answers(seen, writer)

    assert await calls(script, **PATIENT) == (2, None)
    assert times[1] - times[0] >= 1


async def test_the_budget_is_a_floor_and_a_share_of_the_questions() -> None:
    async def total(pages: int, **settings: Any) -> int:
        async with bff(price=always("no", 503), **OPEN_NEVER, **settings) as service:
            for at in range(pages):
                await service.page(f"sku-{at}")
            return len(service.price.seen)

    assert await total(6, price__retry_ratio="0", price__retry_floor="0") == 6
    assert await total(6, price__retry_ratio="0", price__retry_floor="2") == 6 + 2
    assert await total(8, price__retry_ratio="0.5", price__retry_floor="0") == 8 + 4
    assert await total(6, price__retry_ratio="0", price__retry_floor="100") == 6 * 2


async def test_what_is_left_of_the_budget_is_shown() -> None:
    async with bff(price=always("no", 503), price__retry_ratio="0", price__retry_floor="3", **OPEN_NEVER) as service:
        found = []
        for at in range(4):
            found.append((await service.admin("/sources")).json["price"]["retry_budget"])
            await service.page(f"sku-{at}")
    assert found == [{"left": left, "ratio": 0} for left in (3, 2, 1, 0)]


async def test_a_full_queue_is_overloaded_and_nothing_is_asked() -> None:
    async with bff(price=hang, price__concurrency="1", price__queue="0", **PATIENT) as service:
        waiting = asyncio.ensure_future(service.page("1001"))
        await until(lambda: _seen(service, 1))
        answer = await service.page("1002")
        assert len(service.price.seen) == 1
        waiting.cancel()
    assert (answer.status, answer.reasons["price"]) == (200, "overloaded")


async def test_no_slot_before_the_pages_time_is_up_is_overloaded_and_no_verdict() -> None:
    circuit: dict[str, Any] = {"price__circuit__min_attempts": "2", "deadline_seconds": "0.5", "price__attempts": "1"}
    async with bff(price=hang, price__concurrency="1", price__attempt_timeout_seconds="0.5", **circuit) as service:
        first = asyncio.ensure_future(service.page("first"))
        await until(lambda: _seen(service, 1))
        answers = await asyncio.gather(*(service.page(f"sku-{at}") for at in range(8)))
        assert (await first).reasons["price"] == "timeout"
        assert {answer.reasons["price"] for answer in answers} <= {"overloaded", "timeout"}
        assert "overloaded" in {answer.reasons["price"] for answer in answers}
        assert await service.circuit("price") == "closed"


async def test_the_calls_in_flight_never_exceed_the_concurrency() -> None:
    now, most = 0, 0
    good = parts("price")

    async def script(seen: Any, writer: Any) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        now -= 1
        await good(seen, writer)

    async with bff(price=script, price__concurrency="3", **PATIENT) as service:
        answers = await asyncio.gather(*(service.page(f"sku-{at}") for at in range(12)))
    assert most == 3
    assert {answer.states["price"] for answer in answers} == {"ok"}


async def test_a_callers_deadline_ends_its_waiting_and_not_the_call_which_fills_the_cache() -> None:
    async with bff(price=after(0.4, parts("price")), **PATIENT) as service:
        answer = await service.page("1001", X_Request_Timeout_Ms="100")
        assert answer.reasons["price"] == "timeout"
        await until(lambda: _filled(service))
        assert len(service.price.seen) == 1


async def test_callers_in_a_hurry_open_no_circuit() -> None:
    circuit: dict[str, Any] = {"price__circuit__min_attempts": "2", "price__attempts": "1"}
    async with bff(price=after(0.3, parts("price")), **circuit, **PATIENT) as service:
        for at in range(5):
            assert (await service.page(f"sku-{at}", X_Request_Timeout_Ms="50")).reasons["price"] == "timeout"
        await until(lambda: _metric(service, "ok", 5))
        assert await service.circuit("price") == "closed"


async def test_a_callers_deadline_shortens_no_call_that_another_waits_for() -> None:
    async with bff(price=after(0.4, parts("price")), **PATIENT) as service:
        hasty = asyncio.ensure_future(service.page("1001", X_Request_Timeout_Ms="100"))
        await until(lambda: _seen(service, 1))
        patient = await service.page("1001")
        assert (await hasty).reasons["price"] == "timeout"
        assert patient.states["price"] == "ok"
        assert len(service.price.seen) == 1


async def test_a_call_ends_at_the_services_own_deadline() -> None:
    async with bff(price=hang, deadline_seconds="0.3", price__attempts="10") as service:
        assert (await service.page("1001")).reasons["price"] == "timeout"
        await until(lambda: _sockets(service, 0))
        assert (await service.admin("/sources")).json["price"]["in_flight"] == 0


async def leaving(service: Bff, *, stay: bool) -> None:
    """Ask for a page and leave while price hangs; with somebody else who stays, or nobody."""
    going = asyncio.ensure_future(request(service.run.public_url, "GET", "/api/v1/products/1001"))
    await until(lambda: _seen(service, 1))
    staying = asyncio.ensure_future(service.page("1001")) if stay else None
    await asyncio.sleep(0.2)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    if staying is not None:
        await asyncio.sleep(0.3)
        assert service.price.open_connections == 1
        staying.cancel()
        await asyncio.gather(staying, return_exceptions=True)
    await until(lambda: _sockets(service, 0))


async def test_a_call_is_cancelled_when_every_client_that_waits_for_it_has_left() -> None:
    for stay in (False, True):
        async with bff(price=hang, price__circuit__min_attempts="1", **PATIENT) as service:
            await leaving(service, stay=stay)
            assert len(service.price.seen) == 1
            assert await service.circuit("price") == "closed"
            assert await service.metric("bff_upstream_attempts_total", source="price", outcome="cancelled") == 1
            assert (await service.admin("/sources")).json["price"]["in_flight"] == 0


async def _seen(service: Bff, count: int) -> bool:
    return len(service.price.seen) >= count


async def _sockets(service: Bff, count: int) -> bool:
    return service.price.open_connections == count


async def _filled(service: Bff) -> bool:
    return (await service.page("1001", X_Request_Timeout_Ms="50")).states["price"] == "ok"


async def _metric(service: Bff, outcome: str, count: int) -> bool:
    return await service.metric("bff_upstream_attempts_total", source="price", outcome=outcome) == count
