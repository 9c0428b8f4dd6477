"""The way from a part as we show it back to its owner's, and what is asked of the owner."""

import asyncio
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clients import amount, info, price, stock
from clients.errors import Unwritable
from clients.shape import Pointer, Shape
from clients.source import Caller, Contract
from clients.write import FIELDS, Back, Writer, Written, quoted
from tests.unit.test_parts_read import CALLER, PLAIN, Answers, fetched

STOCK = b'{"sku_id":"7","quantity":3,"available":true}'
TEXTS = st.from_regex(r"(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?", fullmatch=True)


def mapped(**names: str) -> Shape:
    return Shape(None, {name: Pointer.parse(pointer) for name, pointer in names.items()})


def back(shape: Shape = PLAIN, amounts: amount.Back | None = None, name: str = "price") -> Back:
    return Back.through(shape, FIELDS[name], amounts)


def writer(
    transport: Answers, shape: Shape = PLAIN, *, url: str | None = None, own: tuple[tuple[str, str], ...] = ()
) -> Writer:
    contract = Contract("http://source.test/{sku}", stock.read, shape, frozenset({404, 410}), 1000, lambda: own)
    return Writer("stock", contract, transport, lambda: "00000000000000ab", url=url)


def test_a_part_of_the_standard_shape_is_sent_as_it_stands() -> None:
    assert back().of(STOCK) is STOCK


@given(text=TEXTS)
@example("0.10")
def test_amounts_go_back_as_strings_to_an_owner_that_sends_strings(text: str) -> None:
    part = f'{{"sku_id":"7","price":{text},"currency":"EUR"}}'.encode()
    sent = back(amounts=amount.to_string).of(part)
    assert sent is not None
    assert json.loads(sent) == {"sku_id": "7", "price": text, "currency": "EUR"}
    assert fetched(sent, lambda document: price.read(document, amount.string)) == part


@given(text=TEXTS, places=st.integers(0, 20))
@example("0.10", 2)
@example("9.900", 2)
@example("9.905", 2)
@example("0", 0)
def test_amounts_go_back_as_minor_units_or_not_at_all_and_keep_their_value(text: str, places: int) -> None:
    units = amount.to_minor(places)(text.encode())
    if units is None:
        fraction = text.partition(".")[2]
        assert fraction[places:].strip("0") or len(text.partition(".")[0]) + places > 40
        return
    shown = bytes(amount.minor(places)(units)).decode()
    whole, _, fraction = text.partition(".")
    assert shown == (f"{whole}.{fraction[:places].ljust(places, '0')}" if places else whole)


@pytest.mark.parametrize(
    ("text", "units"), [("9.9", b"990"), ("0.05", b"5"), ("0", b"0"), ("0.00", b"0"), ("12", b"1200"), ("9.905", None)]
)
def test_cents_hold_what_is_no_finer_than_a_cent(text: str, units: bytes | None) -> None:
    assert amount.to_minor(2)(text.encode()) == units


def test_cents_do_not_hold_what_could_not_be_read_again() -> None:
    assert amount.to_minor(2)(b"9" * 38) == b"9" * 38 + b"00"
    assert amount.to_minor(2)(b"9" * 39) is None


def test_fields_go_back_under_their_owners_names_and_the_others_keep_theirs() -> None:
    shape = mapped(price="/cost", sku_id="/a~1b", currency="/price")
    part = b'{"sku_id":"7","price":9.50,"original_price":12.0,"currency":"EUR"}'
    sent = back(shape, amount.to_minor(2)).of(part)
    assert sent == b'{"a/b":"7","cost":950,"original_price":1200,"price":"EUR"}'
    read = fetched(sent, lambda document: price.read(document, amount.minor(2)), shape)
    assert read == b'{"sku_id":"7","price":9.50,"original_price":12.00,"currency":"EUR"}'


NAMES = st.sampled_from(["/a", "/b", "/name", "/brand", "/sku_id", "/0", "/"])


@given(st.dictionaries(st.sampled_from(sorted(info.FIELDS)), NAMES))
def test_a_map_goes_back_to_what_it_is_read_from_or_is_refused(names: dict[str, str]) -> None:
    part = b'{"sku_id":"7","name":"n","description":"d","brand":"b","category":"c","images":["i"]}'
    shape = mapped(**names)
    try:
        sent = back(shape, name="info").of(part)
    except Unwritable:
        places = [names.get(name, f"/{name}") for name in info.FIELDS]
        assert len(set(places)) < len(places)
        return
    assert sent is not None
    assert fetched(sent, info.read, shape) == part


UNWRITABLE = {
    "an item": Shape(Pointer.parse("/data")),
    "the whole as an item": Shape(Pointer.parse("")),
    "a loose SKU": Shape(loose_sku=True),
    "a pointer of two names": mapped(price="/cost/amount"),
    "a pointer to the whole": mapped(price=""),
    "one place for two": mapped(price="/cost", original_price="/cost"),
    "the place of another field": mapped(price="/currency"),
}


@pytest.mark.parametrize("shape", UNWRITABLE.values(), ids=UNWRITABLE)
def test_a_shape_that_cannot_be_turned_around_is_refused_when_it_is_built(shape: Shape) -> None:
    contract = Contract("http://source.test/{sku}", price.read, shape, frozenset({404}), 1000, tuple)
    with pytest.raises(Unwritable, match="cannot be written"):
        Writer("price", contract, Answers(b""), lambda: "00000000000000ab")


async def test_a_write_says_what_it_is_on_whose_behalf_and_how_long_it_may_take() -> None:
    transport = Answers(STOCK)
    caller = Caller("request-1", "0" * 31 + "1", "01", "vendor=1")
    wrote = await writer(transport, own=(("X-Own", "own"),)).write("7", STOCK, caller, "key 1", 5.0, etag='"e"')
    assert wrote == Written(200, STOCK)
    (request,) = transport.seen
    assert (request.method, str(request.url), request.extensions["target"]) == ("PUT", "http://source.test/", b"/7")
    assert b"".join(request.stream) == STOCK  # type: ignore[arg-type] # a stream of bytes that are there
    assert dict(request.headers) == {
        "host": "source.test",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "user-agent": "product-bff",
        "x-own": "own",
        "x-request-id": "request-1",
        "traceparent": f"00-{caller.trace_id}-00000000000000ab-01",
        "x-request-timeout-ms": "5000",
        "tracestate": "vendor=1",
        "content-type": "application/json",
        "idempotency-key": '"key 1"',
        "if-match": '"e"',
        "content-length": str(len(STOCK)),
    }


async def test_no_etag_is_asked_for_where_none_is_given() -> None:
    transport = Answers(STOCK)
    await writer(transport).write("7", STOCK, CALLER, "k", 5.0)
    assert "if-match" not in transport.seen[0].headers


async def test_a_sources_own_headers_say_what_a_body_is_but_not_which_write_it_is() -> None:
    transport = Answers(STOCK)
    own = (("content-type", "application/vnd.own+json"), ("Idempotency-Key", "own"), ("IF-MATCH", "*"))
    await writer(transport, own=own).write("7", STOCK, CALLER, "k", 5.0)
    headers = transport.seen[0].headers
    assert headers.get_list("content-type") == ["application/vnd.own+json"]
    assert headers.get_list("idempotency-key") == ['"k"']
    assert "if-match" not in headers


async def test_a_write_goes_to_its_own_url_where_there_is_one() -> None:
    transport = Answers(STOCK)
    own = writer(transport, url="https://owner.test:8443/w?sku={sku}")
    await own.write("7", STOCK, CALLER, "k", 5.0)
    (request,) = transport.seen
    assert (str(request.url), request.extensions["target"]) == ("https://owner.test:8443/", b"/w?sku=7")
    assert repr(own) == "<Writer stock to <Target https://owner.test:8443/>>"
    await own.aclose()


async def test_an_amount_that_the_owners_units_cannot_hold_is_declined_unasked() -> None:
    transport = Answers(b"{}")
    contract = Contract("http://source.test/{sku}", price.read, PLAIN, frozenset({404}), 1000, tuple)
    cents = Writer("price", contract, transport, lambda: "00000000000000ab", amounts=amount.to_minor(2))
    assert await cents.write("7", b'{"sku_id":"7","price":9.905}', CALLER, "k", 5.0) == Written(422, None)
    assert not transport.seen


async def test_what_is_stored_is_read_in_the_owners_shape() -> None:
    transport = Answers(b'{"sku_id": "7", "n": 4, "more": 1}', 201)
    wrote = await writer(transport, mapped(quantity="/n")).write("7", STOCK, CALLER, "k", 5.0)
    assert wrote == Written(201, b'{"sku_id":"7","quantity":4,"available":true}')
    assert json.loads(b"".join(transport.seen[0].stream)) == {"sku_id": "7", "n": 3, "available": True}  # type: ignore[arg-type]


async def test_a_status_that_means_an_unknown_sku_is_a_404() -> None:
    assert await writer(Answers(b"", 410)).write("7", STOCK, CALLER, "k", 5.0) == Written(404, None)


@pytest.mark.parametrize(("text", "sent"), [("", b'""'), ("a b~", b'"a b~"'), ('"\\', b'"\\"\\\\"')])
def test_a_key_is_sent_as_a_structured_string(text: str, sent: bytes) -> None:
    assert quoted(text) == sent


@pytest.mark.parametrize("key", ["ä", "a\n", "a\r\nX-Evil: b", "\0", "\x7f"])
async def test_a_key_that_cannot_be_a_structured_string_is_not_sent(key: str) -> None:
    transport = Answers(STOCK)
    with pytest.raises(ValueError, match="not printable ASCII"):
        await writer(transport).write("7", STOCK, CALLER, key, 5.0)
    assert not transport.seen


@given(document=st.binary(max_size=60) | st.sampled_from([b'{"sku_id": "8", "quantity": 1}', b"[" * 100_000]))
def test_a_garbled_answer_to_a_write_that_is_stored_is_no_error(document: bytes) -> None:
    call = writer(Answers(document)).write("7", STOCK, CALLER, "k", 5.0)
    assert asyncio.run(call) == Written(200, None)
