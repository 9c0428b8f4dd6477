"""An issuer's keys over HTTP: when they are fetched, and what its outage changes."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from jwt.algorithms import ECAlgorithm
from structlog.testing import capture_logs

from bff.auth.jwks import MAX_BYTES, Unfetched, fetch
from bff.auth.keys import LIFETIME_SECONDS, REFETCH_SECONDS, RETRY_SECONDS, KeysUnavailable
from tests.service.issuer import (
    STATIC,
    by_hand,
    claims,
    ec_key,
    key_set,
    public,
    serving,
    signed,
    site,
)
from tests.unit.playing import Clockwork
from tests.upstreams import Script, always, hang, in_turn, raw, reset, response, upstream


async def test_a_static_token_needs_no_keys() -> None:
    async with site(reset) as own:
        assert await own.ask(STATIC.secret) == STATIC.principal
        assert own.fetches == 0


async def test_what_no_key_could_verify_asks_for_none() -> None:
    async with site(reset) as own:
        for text in ("no-jwt-at-all", by_hand({"alg": "none", "kid": "a"}, claims()), signed(kid=None)):
            assert await own.ask(text) is None
        assert own.fetches == 0


async def test_a_rotated_key_is_found() -> None:
    async with site(in_turn(serving(public("a", ec_key("a"))), serving(public("b", ec_key("b"))))) as own:
        assert await own.ask(signed())
        own.clock.now = REFETCH_SECONDS
        assert await own.ask(signed(ec_key("b"), kid="b"))
        assert await own.ask(signed()) is None  # the one that is gone is gone
        assert own.fetches == 2


async def test_unknown_kids_refetch_once_in_ten_seconds() -> None:
    async with site(serving(public("a", ec_key("a")))) as own:
        assert await own.ask(signed())
        for second in range(21):
            own.clock.now = float(second)
            assert await own.ask(signed(kid=f"z{second}")) is None
        assert own.fetches == 3  # at 0, 10 and 20


async def test_keys_that_went_unseen_long_enough_are_looked_at_anew() -> None:
    async with site(in_turn(serving(public("a", ec_key("a"))), serving(public("a", ec_key("b"))))) as own:
        assert await own.ask(signed())
        own.clock.now = LIFETIME_SECONDS - 0.1
        assert await own.ask(signed())
        assert own.fetches == 1
        own.clock.now = LIFETIME_SECONDS
        assert await own.ask(signed()) is None  # withdrawn, though its name lives on
        assert own.fetches == 2


async def test_known_keys_go_on_while_the_issuer_is_away() -> None:
    away = (reset, always("", 500), always("{"), always(key_set()), serving(public("a", ec_key("b"))))
    async with site(in_turn(serving(public("a", ec_key("a"))), *away)) as own:
        assert await own.ask(signed())
        own.clock.now = LIFETIME_SECONDS
        with capture_logs() as logs:
            for _ in away[:-1]:
                assert await own.ask(signed())
                assert await own.ask(signed(kid="z")) is None
                own.clock.now += REFETCH_SECONDS
        assert own.fetches == len(away)
        assert [line["error"] for line in logs][1:] == ["status 500", "JSONDecodeError", "no usable key"]
        assert all(line["log_level"] == "warning" and line["known"] == 1 for line in logs)
        assert await own.ask(signed()) is None  # it is back, with another key


async def test_where_keys_were_never_had_none_can_be_told_good_or_bad() -> None:
    async with site(in_turn(reset, serving(public("a", ec_key("a"))))) as own:
        for _ in range(3):
            with pytest.raises(KeysUnavailable):
                await own.ask(signed())
        assert own.fetches == 1  # it is asked once a second at most
        assert repr(own.keys) == "<Keys 0 known>"
        own.clock.now = RETRY_SECONDS
        assert await own.ask(signed())


async def test_one_fetch_serves_all_who_wait() -> None:
    async with site(serving(public("a", ec_key("a")))) as own:
        assert all(await asyncio.gather(*(own.ask(signed()) for _ in range(9))))
        assert own.fetches == 1


async def test_a_caller_that_leaves_does_not_end_the_fetch_of_the_others() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def script(seen: Any, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await answer.wait()
        writer.write(response(key_set(public("a", ec_key("a")))))

    async with site(script) as own, asyncio.TaskGroup() as group:
        leaving, staying = (group.create_task(own.ask(signed())) for _ in range(2))
        await asked.wait()
        assert repr(own.keys) == "<Keys 0 known, fetching>"
        leaving.cancel()
        await asyncio.wait({leaving})
        answer.set()
        assert await staying
        assert leaving.cancelled()
        assert own.fetches == 1


async def test_a_fetch_that_hangs_is_given_up_and_waited_for_by_nobody_later() -> None:
    async with site(hang) as own:
        with pytest.raises(KeysUnavailable):  # for two seconds of the socket's
            await own.ask(signed())
        with pytest.raises(KeysUnavailable):
            await own.ask(signed())
        assert own.fetches == 1


async def fetched(script: Script, clock: Callable[[], float] = Clockwork()) -> Any:  # noqa: B008 - it stands still
    async with asyncio.timeout(20), upstream(script) as issuer:
        return await asyncio.to_thread(fetch, f"{issuer.url}/keys", clock)


UNFIT: dict[str, Script] = {
    "a status of its own": always(key_set(), 404),
    "a redirect": always("", 302, {"Location": "http://127.0.0.1:1/"}),
    "no HTTP": raw(b"garbage\r\n\r\n"),
    "cut off": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    "not UTF-8": always(b'{"keys": "\xff"}'),
    "too deep": always("[" * 100_000),
    "too large": always(" " * MAX_BYTES + " "),
    "no object": always("[]"),
    "no keys": always("{}"),
    "keys that are no list": always('{"keys": {}}'),
}


@pytest.mark.parametrize("script", UNFIT.values(), ids=UNFIT)
async def test_an_unfit_answer_is_no_key_set(script: Script) -> None:
    with pytest.raises(Unfetched):
        await fetched(script)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "name.invalid", f"{'a' * 64}.invalid"])
async def test_an_issuer_that_cannot_be_reached_has_no_key_set(host: str) -> None:
    with pytest.raises(Unfetched):
        await asyncio.to_thread(fetch, f"http://{host}/", Clockwork())


async def test_an_answer_that_drips_is_given_up_when_its_time_is_over() -> None:
    async def script(seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.01)

    times: Iterable[float] = iter(range(99))
    with pytest.raises(Unfetched, match="too slow"):
        await fetched(script, partial(next, times))  # a second passes at each look


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert (await fetched(serving(public("a", ec_key("a"))))).keys() == {"a"}


async def test_keys_that_are_of_no_use_to_us_are_passed_over() -> None:
    private = ECAlgorithm.to_jwk(ec_key("b"), as_dict=True)
    others: list[Any] = [
        1,
        {},
        {"kid": "x"},
        {"kid": 1, **public("n", ec_key("b"))} | {"kid": 1},
        {"kid": "x", "kty": ["EC"]},
        {"kid": "x", "kty": "RSA", "n": 1, "e": "AQAB"},
        {"kid": "x", "kty": "RSA", "alg": ["RS256"]},
        {"kid": "x", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kid": "x", "kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LQ"},
        public("x", ec_key("b"), use="enc"),
        public("x", ec_key("b"), alg="ES256K"),
        {"kid": "x", **private},
    ]
    assert (await fetched(serving(*others, public("a", ec_key("a"))))).keys() == {"a"}
