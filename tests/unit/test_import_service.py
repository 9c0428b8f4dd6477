"""How the service is asked: until it answers, with pauses that grow, and never longer than patience lasts."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx  # noqa: TID251 - the test plays the transport
import pytest

from bff.imports.pace import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Impatient, Pace
from bff.imports.rows import Outcome, Row
from bff.imports.service import ANSWER_SECONDS, BROKEN_TRIES, Accepted, Service, Stopped, is_url
from clients.http import AnyTransport, Response
from tests.unit.playing import Clockwork, now

ROW = Row(7, 8, "1001", b'{"sku_id":"1001"}')
Played = Callable[[Any], Response]


def answer(status: int, document: Any = None, **headers: str) -> Played:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Response(status, headers=sent, content=b"" if document is None else json.dumps(document).encode())


def problem(status: int, kind: str, **members: Any) -> Played:
    return answer(status, {"type": f"urn:bff:problem:{kind}", "detail": "Because.", **members})


def accepted(change_id: str = "c1", **headers: str) -> Played:
    return answer(202, {"id": change_id, "state": "pending"}, **headers)


class Playing(AnyTransport):
    """Answers each request with the next of a script; the last one serves for all that follow."""

    def __init__(self, *script: Played | None) -> None:
        self.script = list(script)
        self.asked: list[float] = []
        self.seen: list[Any] = []
        self.at_once = self.most_at_once = 0

    async def handle_async_request(self, request: Any) -> Response:
        self.asked.append(now())
        self.seen.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.001)
            played = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            if played is None:
                await asyncio.sleep(3600)
            assert played is not None
            return played(request)
        finally:
            self.at_once -= 1


def service(transport: Playing, said: list[str] | None = None, patience: float = 300.0, at_once: int = 4) -> Service:
    pace = Pace(asyncio.get_running_loop().time, patience)
    say = (said if said is not None else []).append
    return Service("http://bff.test:8000/base/", "t0ken", "import-abc", transport, pace, at_once, say)


def refuse(_: Any) -> Response:
    raise httpx.ConnectError("ConnectionRefusedError")


async def test_a_row_is_asked_for_under_its_own_key() -> None:
    transport = Playing(accepted())
    assert await service(transport).accept(ROW) == Accepted("c1", replayed=False)
    (request,) = transport.seen
    assert (request.method, request.extensions["target"]) == ("POST", b"/base/api/v1/changes")
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["idempotency-key"] == "import-abc-7"
    assert request.headers["content-type"] == "application/json"
    assert b"".join(request.stream) == ROW.body


@pytest.mark.parametrize("ill", [refuse, *(answer(status) for status in (408, 425, 429, 502, 503, 504))])
async def test_what_may_pass_is_asked_again_with_pauses_that_grow(ill: Played) -> None:
    said: list[str] = []
    transport = Playing(*[ill] * 9, accepted())
    assert await service(transport, said).accept(ROW) == Accepted("c1", replayed=False)
    pauses = [round(later - earlier, 2) for earlier, later in zip(transport.asked, transport.asked[1:], strict=False)]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]
    assert len(said) == 2
    assert said[0].startswith("http://bff.test:8000/base/: ")
    assert said[1] == "the service answers again"


async def test_what_the_service_asks_to_wait_is_waited() -> None:
    transport = Playing(answer(503, retry_after="7"), answer(429, retry_after="1"), accepted())
    await service(transport).accept(ROW)
    assert [round(at) for at in transport.asked] == [0, 7, 8]


async def test_a_key_that_is_still_being_taken_is_asked_for_again() -> None:
    transport = Playing(problem(409, "key-in-use"), accepted(idempotent_replayed="true"))
    assert await service(transport).accept(ROW) == Accepted("c1", replayed=False)


async def test_an_answer_that_does_not_come_is_asked_for_again() -> None:
    transport = Playing(None, accepted(idempotent_replayed="true"))
    assert await service(transport).accept(ROW) == Accepted("c1", replayed=False)
    assert round(transport.asked[1], 1) == ANSWER_SECONDS + FIRST_PAUSE_SECONDS


async def test_what_an_earlier_run_had_accepted_is_told_apart() -> None:
    assert await service(Playing(accepted(idempotent_replayed="true"))).accept(ROW) == Accepted("c1", replayed=True)


@pytest.mark.parametrize(
    ("played", "error"),
    [
        (problem(422, "body-invalid", errors=[{"field": "price.price", "message": "must be"}]), "price.price must be"),
        (
            problem(422, "body-invalid", errors=[{"field": "", "message": "m"}, {"field": "a", "message": "b"}]),
            "m; a b",
        ),
        (problem(413, "too-large"), "Because."),
        (problem(422, "key-reused"), "was imported before, with other options; with another --name the file is"),
        (problem(409, "conflict"), "Because."),
        (answer(400), "status 400"),
        (answer(418, [1]), "status 418"),
        (answer(418, {"errors": [1]}), "status 418"),
    ],
)
async def test_a_row_that_is_refused_says_why_and_is_not_asked_for_again(played: Played, error: str) -> None:
    transport = Playing(played)
    outcome = await service(transport).accept(ROW)
    assert isinstance(outcome, Outcome)
    assert outcome.state == "refused"
    assert (outcome.error or "").startswith(error)
    assert len(transport.asked) == 1


@pytest.mark.parametrize(
    "played",
    [
        *(problem(status, "x") for status in (401, 403, 404, 405, 501)),
        *(answer(status) for status in (200, 201, 301, 307, 505)),
        answer(202),
        answer(202, {"id": 7}),
        answer(202, {"id": "../x"}),
    ],
)
async def test_what_no_row_can_pass_stops_the_whole(played: Played) -> None:
    with pytest.raises(Stopped, match=r"^http://bff[.]test:8000/base/: "):
        await service(Playing(played)).accept(ROW)


async def test_a_row_that_the_service_breaks_on_is_left_after_some_tries() -> None:
    transport = Playing(answer(500))
    assert await service(transport).accept(ROW) == Outcome("broken", "status 500")
    assert len(transport.asked) == BROKEN_TRIES


async def test_patience_ends_where_no_answer_comes_for_long_and_not_before() -> None:
    transport = Playing(refuse)
    with pytest.raises(Stopped, match="no answer: ConnectionRefusedError, for too long"):
        await service(transport, patience=60).accept(ROW)
    assert 60 <= transport.asked[-1] < 60 + LONGEST_PAUSE_SECONDS + 1


async def test_many_that_fail_at_once_make_one_pause() -> None:
    transport = Playing(*[refuse] * 4, accepted())
    asking = service(transport)
    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(asking.accept(Row(number, number, None, b"{}")))
    assert [round(at, 1) for at in transport.asked[:5]] == [0.0] * 4 + [FIRST_PAUSE_SECONDS]
    assert transport.most_at_once == 4
    assert transport.asked[-1] < 0.5


@pytest.mark.parametrize("state", ["succeeded", "compensated", "failed", "cancelled", "timed_out"])
async def test_a_change_that_has_ended_says_how(state: str) -> None:
    transport = Playing(answer(200, {"state": state, "error": "why"}))
    found = await service(transport).ended("c1")
    assert found is not None
    assert (found.state, found.error, found.change_id) == (state, "why", "c1")
    assert transport.seen[0].extensions["target"] == b"/base/api/v1/changes/c1"
    assert transport.seen[0].method == "GET"


@pytest.mark.parametrize("state", ["pending", "running", "of a later version", None])
async def test_one_that_has_not_says_nothing(state: str | None) -> None:
    assert await service(Playing(answer(200, {"state": state}))).ended("c1") is None


async def test_one_that_is_not_there_any_more_is_unknown_and_a_broken_answer_is_asked_for_again() -> None:
    found = await service(Playing(answer(500), answer(404))).ended("c1")
    assert found is not None
    assert found.state == "unknown"


async def test_a_token_that_ends_meanwhile_stops_the_whole() -> None:
    with pytest.raises(Stopped, match="status 401: Because"):
        await service(Playing(problem(401, "unauthorized"))).ended("c1")


def test_pace_forgets_once_it_is_answered_and_never_waits_past_patience() -> None:
    clock = Clockwork()
    pace = Pace(clock, 30)
    pace.failed(1000.0)
    assert (pace.wait(), pace.well) == (30.0, False)
    pace.answered()
    clock.now = 31.0
    assert (pace.wait(), pace.well) == (0.0, True)
    pace.failed(0.0)
    assert round(pace.wait(), 3) == FIRST_PAUSE_SECONDS
    clock.now = 61.0
    with pytest.raises(Impatient):
        pace.failed(0.0)
    assert repr(pace) == "<Pace ill, 1 pauses>"


@pytest.mark.parametrize("url", ["http://a", "https://a.b:8443/base", "http://[::1]:8000", "http://127.0.0.1:8000/"])
def test_a_url_is_where_a_service_may_be(url: str) -> None:
    assert is_url(url)


@pytest.mark.parametrize(
    "url",
    ["", "a", "ftp://a", "http://", "http://[", "http://a:99999", "http://a:0", "http://u:p@a", "http://a?b", "http://a#b",
     "http://a/{id}", "http://a b", "http://ä", "http://xn--"],
)  # fmt: skip
def test_anything_else_is_none(url: str) -> None:
    assert not is_url(url)
