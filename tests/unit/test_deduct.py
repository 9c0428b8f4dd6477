"""What is asked of a stock service that deducts, and what may be believed of its answer."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.deduct import MAX_ANSWER_BYTES, STATUSES, Deductor, Item, read_results
from clients.errors import Garbled
from tests.unit.test_parts_read import CALLER, Answers

ASKED = frozenset({"a", "b"})
ITEMS = (Item("a", "7", 1), Item("b", "8", 1_000_000))
DONE = b'{"results": [{"reservation_id": "a", "status": "deducted"}]}'


def deductor(transport: Answers, *own: tuple[str, str]) -> Deductor:
    urls = ("http://stock.test/deduct?a=1", "https://other.test:8443/release")
    return Deductor(*urls, transport, lambda: own, lambda: "00000000000000ab")


def result(reservation_id: Any = "a", status: Any = "deducted", **more: Any) -> dict[str, Any]:
    return {"reservation_id": reservation_id, "status": status, **more}


def read(*results: Any) -> dict[str, str]:
    return read_results(json.dumps({"results": results}).encode(), ASKED)


def sent(transport: Answers) -> Any:
    (request,) = transport.seen
    return json.loads(b"".join(request.stream))  # type: ignore[arg-type]


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_a_result_is_its_reservations(status: str) -> None:
    assert read(result("a", status), result("b", more=1)) == {"a": status, "b": "deducted"}


def test_what_nobody_asked_for_is_dropped() -> None:
    assert read(result("c"), result("A"), result("a ")) == {}


def test_what_is_missing_is_not_there() -> None:
    assert read(result("b")) == {"b": "deducted"}
    assert read() == {}


MALFORMED = {
    "no object": 5,
    "null": None,
    "an array": ["a", "deducted"],
    "no status": {"reservation_id": "a"},
    "no id": {"status": "deducted"},
    "an id that is a number": result(7),
    "an unknown status": result(status="pending"),
    "a status in capitals": result(status="Deducted"),
    "a status that is no string": result(status=["deducted"]),
    "a status that is null": result(status=None),
}


@pytest.mark.parametrize("wrong", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_result_spoils_none_but_its_own(wrong: Any) -> None:
    assert read(wrong, result("b")) == {"b": "deducted"}


@pytest.mark.parametrize("other", ["insufficient", "released", "pending", None])
def test_two_different_results_for_one_id_are_none(other: str | None) -> None:
    both = [result(), result(status=other)]
    for results in (both, both[::-1], [*both, result()]):
        assert read(*results, result("b")) == {"b": "deducted"}


def test_the_same_result_twice_is_that_result() -> None:
    assert read(result(), result(more=1)) == {"a": "deducted"}


def model(results: list[tuple[str, str]]) -> dict[str, str]:
    said = {each: {status for reservation_id, status in results if reservation_id == each} for each in ASKED}
    return {each: status for each, all_of_it in said.items() for status in all_of_it & STATUSES if len(all_of_it) == 1}


@given(st.lists(st.tuples(st.sampled_from("abcA"), st.sampled_from([*sorted(STATUSES), "other"])), max_size=6))
def test_an_id_has_the_one_status_that_all_its_results_agree_on(results: list[tuple[str, str]]) -> None:
    assert read(*(result(*each) for each in results)) == model(results)


GARBLED = {
    "nothing": b"",
    "html": b"<html>",
    "an array": b"[]",
    "null": b"null",
    "no results": b"{}",
    "results that are an object": b'{"results": {}}',
    "results that are null": b'{"results": null}',
    "two documents": DONE + b"{}",
    "broken off": DONE[:-1],
    "not a number": b'{"results": [NaN]}',
    "raw bytes in what is dropped": b'{"results": [], "x": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf" + DONE,
    "deep": b'{"results": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
}


@pytest.mark.parametrize("body", GARBLED.values(), ids=GARBLED)
async def test_an_answer_without_results_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        await deductor(Answers(body)).deduct("batch", ITEMS, CALLER, 5.0)


@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_any_bytes_are_results_or_garbled(body: bytes) -> None:
    with suppress(Garbled):
        assert set(read_results(body, ASKED)) <= ASKED


async def test_a_deduct_says_what_is_wanted_under_which_key_on_whose_behalf_and_how_long_it_may_take() -> None:
    transport = Answers(DONE)
    assert await deductor(transport).deduct("batch-1", ITEMS, CALLER, 5.0) == {"a": "deducted"}
    (request,) = transport.seen
    assert request.method == "POST"
    assert (str(request.url), request.extensions["target"]) == ("http://stock.test/", b"/deduct?a=1")
    assert request.extensions["max_bytes"] == MAX_ANSWER_BYTES == 2**20
    content = b"".join(request.stream)  # type: ignore[arg-type]
    assert dict(request.headers) == {
        "host": "stock.test",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "user-agent": "product-bff",
        "x-request-id": CALLER.request_id,
        "traceparent": f"00-{CALLER.trace_id}-00000000000000ab-00",
        "x-request-timeout-ms": "5000",
        "content-type": "application/json",
        "idempotency-key": '"batch-1"',
        "content-length": str(len(content)),
    }
    assert json.loads(content) == {
        "batch_id": "batch-1",
        "items": [
            {"reservation_id": "a", "sku_id": "7", "quantity": 1},
            {"reservation_id": "b", "sku_id": "8", "quantity": 1_000_000},
        ],
    }


async def test_a_release_names_the_reservations_and_needs_no_more_than_a_200() -> None:
    transport = Answers(b"<html>")
    await deductor(transport).release(["a", "b"], CALLER, 5.0)
    assert sent(transport) == {"items": [{"reservation_id": "a"}, {"reservation_id": "b"}]}
    (request,) = transport.seen
    assert (request.method, str(request.url)) == ("POST", "https://other.test:8443/")
    assert request.extensions["target"] == b"/release"
    assert "idempotency-key" not in request.headers


async def test_the_services_own_headers_say_what_a_body_is_but_not_which_batch_it_is() -> None:
    transport = Answers(DONE)
    own = deductor(transport, ("Authorization", "own"), ("content-type", "text/json"), ("IDEMPOTENCY-KEY", "own"))
    await own.deduct("k", ITEMS, CALLER, 5.0)
    await own.release(["a"], CALLER, 5.0)
    keys = [request.headers.get_list("idempotency-key") for request in transport.seen]
    assert keys == [['"k"'], []]
    for request in transport.seen:
        assert request.headers.get_list("content-type") == ["text/json"]
        assert request.headers["authorization"] == "own"


async def test_a_batch_id_that_cannot_be_a_key_is_not_sent() -> None:
    transport = Answers(DONE)
    with pytest.raises(ValueError, match="not printable ASCII"):
        await deductor(transport).deduct("a\r\nX-Evil: b", ITEMS, CALLER, 5.0)
    assert not transport.seen


async def test_it_says_where_it_leads_to_and_shows_no_path() -> None:
    own = deductor(Answers(DONE))
    assert repr(own) == "<Deductor to <Target http://stock.test/>>"
    await own.aclose()
