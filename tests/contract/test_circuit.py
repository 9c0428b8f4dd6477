"""The contract, "The attempts": what opens a circuit, and how it closes again."""

import asyncio
from typing import Any

from tests.harness import Bff, bff, until
from tests.upstreams import Script, after, always, by_sku, hang, in_turn, parts, raw, reset

ONCE: dict[str, Any] = {"price__attempts": "1"}
EAGER: dict[str, Any] = {**ONCE, "price__circuit__min_attempts": "4", "price__circuit__open_seconds": "60"}
REOPENING: dict[str, Any] = EAGER | {"price__circuit__open_seconds": "0.3", "price__circuit__probes": "2"}


async def reasons(service: Bff, count: int, name: str = "sku") -> list[str | None]:
    """Ask for so many products, one after the other."""
    return [(await service.page(f"{name}-{at}")).reasons["price"] for at in range(count)]


async def opened(script: Script, started: asyncio.Barrier | None = None, **settings: Any) -> bool:
    """Return whether four such answers open the circuit."""
    async with bff(price=script, **{**EAGER, **settings}) as service:
        if started is not None:
            await started.wait()
        before = await reasons(service, 4)
        assert "circuit_open" not in before
        state = await service.circuit("price")
        last = (await service.page("last")).reasons["price"]
        assert (last == "circuit_open") == (state == "open")
        assert len(service.price.seen) == (4 if state == "open" else 5)
        return state == "open"


FAILURES: dict[str, tuple[Script, dict[str, str]]] = {
    "5xx": (always("no", 500), {}),
    "reset": (reset, {}),
    "garbled": (always("no"), {}),
    "no HTTP": (raw(b"\x00\x01\x02\r\n\r\n"), {}),
    "429": (always("no", 429), {}),
    "timeout": (hang, {"price__attempt_timeout_seconds": "0.1"}),
    "slow": (after(0.2, parts("price")), {"price__circuit__slow_seconds": "0.1"}),
    "slow 404": (after(0.2, always("no", 404)), {"price__circuit__slow_seconds": "0.1"}),
}
SUCCESSES: dict[str, tuple[Script, dict[str, str]]] = {
    "200": (parts("price"), {}),
    "404": (always("no", 404), {}),
    "403": (always("no", 403), {}),
    "redirect": (always("", 302, {"Location": "/"}), {}),
    "408": (always("no", 408), {}),
    "425": (always("no", 425), {}),
    "slow, and no slow time set": (after(0.2, parts("price")), {}),
}


async def opened_each(cases: dict[str, tuple[Script, dict[str, str]]]) -> dict[str, bool]:
    """Try all cases side by side, once every service has started: a start takes the event loop for a while."""
    started = asyncio.Barrier(len(cases))
    found = await asyncio.gather(*(opened(script, started, **settings) for script, settings in cases.values()))
    return dict(zip(cases, found, strict=True))


async def test_failures_open_the_circuit() -> None:
    assert await opened_each(FAILURES) == dict.fromkeys(FAILURES, True)


async def test_every_other_answer_is_a_success() -> None:
    assert await opened_each(SUCCESSES) == dict.fromkeys(SUCCESSES, False)


async def test_it_opens_by_share_and_not_before_the_least_number_of_attempts() -> None:
    bad, good = always("no", 503), parts("price")
    assert not await opened(in_turn(good, good, good, bad, good))
    assert await opened(in_turn(good, bad, good, bad))
    async with bff(price=bad, **{**EAGER, "price__circuit__min_attempts": "6"}) as service:
        assert await reasons(service, 7) == ["unavailable"] * 6 + ["circuit_open"]
    async with bff(
        price=in_turn(good, good, bad, good, good, bad), **{**EAGER, "price__circuit__failure_ratio": "0.3"}
    ) as service:
        await reasons(service, 6)
        assert await service.circuit("price") == "open"


async def test_failures_count_within_the_window_alone() -> None:
    async with bff(price=always("no", 503), **EAGER, price__circuit__window_seconds="0.3") as service:
        await reasons(service, 3)
        await asyncio.sleep(0.5)
        await reasons(service, 3, "later")
        assert await service.circuit("price") == "closed"


async def test_every_attempt_counts_retries_too() -> None:
    async with bff(price=always("no", 503), **{**EAGER, "price__attempts": "2"}) as service:
        assert await reasons(service, 2) == ["unavailable"] * 2
        assert await service.circuit("price") == "open"


async def test_an_attempt_that_did_not_have_its_whole_time_is_no_verdict() -> None:
    times: dict[str, Any] = {"deadline_seconds": "0.5", "price__attempts": "2", "price__circuit__min_attempts": "2"}
    async with bff(price=hang, **{**EAGER, **times}, price__attempt_timeout_seconds="0.3") as service:
        assert await reasons(service, 1) == ["timeout"]
        assert len(service.price.seen) == 2
        assert await service.circuit("price") == "closed"
    async with bff(price=hang, **{**EAGER, **times}, price__attempt_timeout_seconds="0.1") as service:
        await reasons(service, 1)
        assert await service.circuit("price") == "open"


async def test_an_open_circuit_asks_nothing_and_concerns_its_source_alone() -> None:
    async with bff(price=always("no", 503), **EAGER) as service:
        await reasons(service, 4)
        asked = len(service.price.seen)
        answer = await service.page("1001")
        assert len(service.price.seen) == asked
        assert [await service.circuit(name) for name in ("info", "price", "stock")] == ["closed", "open", "closed"]
        assert await service.metric("bff_circuit_state", source="price") == 2
        assert await service.metric("bff_circuit_state", source="info") == 0
    assert answer.reasons == {"info": None, "price": "circuit_open", "stock": None}


async def test_half_open_lets_the_probes_through_and_no_more() -> None:
    async with bff(price=always("no", 503), **REOPENING) as service:
        await reasons(service, 4)
        service.price.script = after(0.5, parts("price"))
        await asyncio.sleep(0.4)
        asked = len(service.price.seen)
        pages = asyncio.gather(*(service.page(f"probe-{at}") for at in range(6)))
        await until(lambda: _is(service, "half_open"))
        assert await service.metric("bff_circuit_state", source="price") == 1
        found = [answer.reasons["price"] for answer in await pages]
        assert len(service.price.seen) - asked == 2
        assert sorted(map(str, found)) == ["None"] * 2 + ["circuit_open"] * 4
        assert await service.circuit("price") == "closed"
        assert await reasons(service, 3, "after") == [None] * 3


async def test_a_probe_that_fails_opens_it_again() -> None:
    async with bff(price=always("no", 503), **REOPENING) as service:
        await reasons(service, 4)
        await asyncio.sleep(0.4)
        asked = len(service.price.seen)
        assert await reasons(service, 3, "probe") == ["unavailable", "circuit_open", "circuit_open"]
        assert len(service.price.seen) == asked + 1
        assert await service.circuit("price") == "open"


async def test_all_probes_have_to_succeed_before_it_closes() -> None:
    async with bff(price=always("no", 503), **REOPENING) as service:
        await reasons(service, 4)
        service.price.script = parts("price")
        await asyncio.sleep(0.4)
        await service.page("probe-1")
        assert await service.circuit("price") == "half_open"
        await service.page("probe-2")
        assert await service.circuit("price") == "closed"


async def test_probes_that_are_abandoned_are_given_back() -> None:
    async with bff(price=always("no", 503), **REOPENING, deadline_seconds="5") as service:
        await reasons(service, 4)
        service.price.script = hang
        await asyncio.sleep(0.4)
        asked = len(service.price.seen)
        probes = [asyncio.ensure_future(service.page(f"probe-{at}")) for at in range(2)]
        await until(lambda: _seen(service, asked + 2))
        for probe in probes:
            probe.cancel()
        await until(lambda: _sockets(service, 0))
        service.price.script = parts("price")
        assert await reasons(service, 2, "again") == [None, None]
        assert await service.circuit("price") == "closed"


async def test_a_required_source_with_an_open_circuit_is_a_503_at_once() -> None:
    settings: dict[str, Any] = {name.replace("price", "info"): value for name, value in EAGER.items()}
    async with bff(info=by_sku({}, always("no", 503)), **settings) as service:
        for at in range(4):
            assert (await service.page(f"sku-{at}")).status == 502
        answer = await service.page("1001")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.reasons["info"] == "circuit_open"


async def _is(service: Bff, state: str) -> bool:
    return await service.circuit("price") == state


async def _seen(service: Bff, count: int) -> bool:
    return len(service.price.seen) >= count


async def _sockets(service: Bff, count: int) -> bool:
    return service.price.open_connections == count
