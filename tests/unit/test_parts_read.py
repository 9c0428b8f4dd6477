"""The three parts as their services send them: what is read, what is refused, and that nothing else escapes."""

import json
from decimal import Decimal
from functools import partial
from typing import Any

import httpx  # noqa: TID251 - the test plays the transport
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import amount, info, price, stock
from clients.bulk import Read
from clients.errors import Garbled
from clients.shape import Pointer, Shape
from clients.source import Caller, Contract, Source

CALLER = Caller("request-1", "0" * 31 + "1")
PLAIN = Shape()
DETOUR = Shape(Pointer.parse("/data"), {"sku_id": Pointer.parse("/id")}, loose_sku=True)
READS: dict[str, Read] = {
    "info": info.read,
    "price": price.read,
    "price as strings": partial(price.read, amounts=amount.string),
    "price in cents": partial(price.read, amounts=amount.minor(2)),
    "stock": stock.read,
}
NAMES = ["sku_id", "name", "images", "price", "original_price", "currency", "quantity", "available", "data", "id"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("7")
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=8)
)


class Answers(httpx.AsyncBaseTransport):
    """Answers every request alike."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.seen: list[httpx.Request] = []
        self._answer = (status, body)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return httpx.Response(self._answer[0], content=self._answer[1])


def source(transport: Answers, read: Read, shape: Shape = PLAIN, **headers: str) -> Source:
    own = tuple(headers.items())
    contract = Contract("http://source.test/{sku}", read, shape, frozenset({404}), 1000, lambda: own)
    return Source(contract, transport, lambda: "00000000000000ab")


def fetched(body: bytes, read: Read, shape: Shape = PLAIN) -> Any:
    """Fetch SKU 7; a coroutine that never waits is run by one step."""
    try:
        source(Answers(body), read, shape).fetch("7", CALLER, 1.0).send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("nothing here waits")


def part(**fields: Any) -> bytes:
    return json.dumps({"sku_id": "7", **fields}).encode()


@pytest.mark.parametrize("shape", [PLAIN, DETOUR], ids=["plain", "detour"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@given(document=VALUES)
def test_any_json_value_is_a_part_or_garbled(read: Read, shape: Shape, document: Any) -> None:
    try:
        found = fetched(json.dumps(document).encode(), read, shape)
    except Garbled:
        return
    assert found is None or json.loads(found)["sku_id"] == "7"


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_a_part_or_garbled(read: Read, body: bytes) -> None:
    with pytest.raises(Garbled):
        fetched(body, read)


HOSTILE = {
    "deep": b'{"sku_id": "7", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep where the item is": b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "not a number": b'{"sku_id": "7", "x": NaN}',
    "a lone surrogate in what is kept": b'{"sku_id": "7", "name": "\\ud800", "price": "\\ud800", "quantity": ""}',
    "raw bytes in what is dropped": b'{"sku_id": "7", "name": "n", "price": 1, "quantity": 1, "x": "\xff"}',
    "an encoded surrogate": b'{"sku_id": "7", "name": "\xed\xa0\x80", "price": 1, "quantity": 1}',
    "a byte order mark": b'\xef\xbb\xbf{"sku_id": "7", "name": "n", "price": 1, "quantity": 1}',
    "two documents": b'{"sku_id": "7", "name": "n", "price": 1, "quantity": 1} {}',
}


@pytest.mark.parametrize("shape", [PLAIN, DETOUR], ids=["plain", "detour"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_documents_are_garbled(body: bytes, read: Read, shape: Shape) -> None:
    with pytest.raises(Garbled):
        fetched(body, read, shape)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("sku", ['"8"', "7", "null", '"7 "', '["7"]'])
def test_another_sku_is_garbled(read: Read, sku: str) -> None:
    cents = isinstance(read, partial) and read.keywords["amounts"] is not amount.string
    shown = "1" if cents or not isinstance(read, partial) else '"1"'
    with pytest.raises(Garbled):
        fetched(f'{{"sku_id": {sku}, "name": "n", "price": {shown}, "quantity": 1}}'.encode(), read)


@given(st.from_regex(r"[1-9][0-9]{0,19}\.[0-9]{1,19}", fullmatch=True))
def test_no_digit_of_a_price_is_lost_between_its_service_and_the_page(text: str) -> None:
    body = f'{{"sku_id": "7", "price": {text}, "original_price": {text}}}'.encode()
    found = json.loads(fetched(body, price.read), parse_float=str)
    assert (found["price"], found["original_price"]) == (text, text)


@pytest.mark.parametrize(
    ("read", "sent", "written"),
    [
        (READS["price as strings"], '"9.90"', "9.90"),
        (READS["price in cents"], "990", "9.90"),
        (price.read, "9.90", "9.90"),
    ],
)
def test_an_amount_is_a_number_on_the_page_whichever_way_it_was_sent(read: Read, sent: str, written: str) -> None:
    found = json.loads(fetched(f'{{"sku_id": "7", "price": {sent}}}'.encode(), read), parse_float=Decimal)
    assert str(found["price"]) == written


@pytest.mark.parametrize("currency", ["eur", "EURO", "", "EU\n", "ÄÖÜ"])
def test_a_currency_is_three_capital_letters(currency: str) -> None:
    with pytest.raises(Garbled):
        fetched(part(price=1, currency=currency), price.read)


@pytest.mark.parametrize("sent", ['"original_price": null, "currency": null', '"x": 1'])
def test_what_is_null_or_left_out_is_left_out(sent: str) -> None:
    assert json.loads(fetched(f'{{"sku_id": "7", "price": 1, {sent}}}'.encode(), price.read)) == {
        "sku_id": "7",
        "price": 1,
    }


@pytest.mark.parametrize(("quantity", "available"), [("0", False), ("1", True), (str(2**53 - 1), True)])
def test_what_does_not_say_so_is_available_when_there_is_one(quantity: str, available: bool) -> None:  # noqa: FBT001
    found = json.loads(fetched(f'{{"sku_id": "7", "quantity": {quantity}}}'.encode(), stock.read))
    assert found == {"sku_id": "7", "quantity": int(quantity), "available": available}


def test_what_says_so_is_available_or_not_as_it_says() -> None:
    assert json.loads(fetched(part(quantity=0, available=True), stock.read))["available"] is True
    assert json.loads(fetched(part(quantity=5, available=False), stock.read))["available"] is False


@pytest.mark.parametrize("quantity", ["-1", "-0", "1.0", "1e3", str(2**53), "9" * 30, '"1"', "null", "true"])
def test_a_quantity_is_an_integer_that_every_reader_of_json_keeps(quantity: str) -> None:
    with pytest.raises(Garbled):
        fetched(f'{{"sku_id": "7", "quantity": {quantity}}}'.encode(), stock.read)


@pytest.mark.parametrize(
    "fields", [{}, {"name": 7}, {"name": None}, {"name": "n", "images": "i"}, {"name": "n", "images": [7]}]
)
def test_an_info_of_other_types_is_garbled(fields: dict[str, Any]) -> None:
    with pytest.raises(Garbled):
        fetched(part(**fields), info.read)


@pytest.mark.parametrize(("module", "read"), [(info, info.read), (price, price.read), (stock, stock.read)])
def test_a_part_has_no_field_but_its_own(module: Any, read: Read) -> None:
    sent = part(
        name="n", description="d", brand="b", category="c", images=["i"], price=1, original_price=2, currency="EUR"
    )
    full = json.dumps({**json.loads(sent), "quantity": 3, "available": True, "other": 1}).encode()
    assert json.loads(fetched(full, read)).keys() == module.FIELDS


async def test_a_call_says_on_whose_behalf_and_how_long_it_may_take() -> None:
    transport = Answers(part(name="n"))
    caller = Caller("request-1", "0" * 31 + "1", "01", "vendor=1")
    await source(transport, info.read, accept="text/json").fetch("7", caller, 0.0004)
    (request,) = transport.seen
    assert (str(request.url), request.extensions["target"]) == ("http://source.test/", b"/7")
    assert request.headers.get_list("accept") == ["text/json"]
    assert request.headers["traceparent"] == f"00-{caller.trace_id}-00000000000000ab-01"
    assert request.headers["tracestate"] == "vendor=1"
    assert request.headers["x-request-id"] == "request-1"
    assert request.headers["x-request-timeout-ms"] == "1"
    assert request.extensions["max_bytes"] == 1000


async def test_an_unknown_sku_is_none_and_reaching_says_the_status() -> None:
    unknown = source(Answers(b"gone", 404), info.read)
    assert await unknown.fetch("7", CALLER, 1.0) is None
    assert await unknown.reach("7", CALLER, 1.0) == 404
