"""Bulk answers: whose part each object is, against a model; and that nothing else escapes whatever comes."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx  # noqa: TID251 - the test plays the transport
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bff.values import BulkBody
from clients import info, price, stock
from clients.bulk import Found
from clients.errors import Garbled, Rejected, Unavailable, UpstreamError
from clients.shape import Pointer, Shape
from clients.source import MAX_URL_BYTES, Bulk, Caller, Contract, Source

CALLER = Caller("request-1", "0" * 31 + "1")
ASKED = ("a", "b", "c", "d")
PLAIN = Shape()
DETOUR = Shape(None, {"sku_id": Pointer.parse("/id"), "price": Pointer.parse("/cost/net")}, loose_sku=True)
URL = "http://source.test/bulk?skus={skus}"

SKUS = st.sampled_from([*ASKED, "x", "A"])
NAMELESS = st.sampled_from(['{"price": 1}', '{"sku_id": null, "price": 1}', "5", "null", '"a"', "[]", "{}", '["a"]'])
UNUSABLE = st.sampled_from(['"9"', "null", "-1", "true", "[]", "1e999", '{"a": 1}'])


class Answers(httpx.AsyncBaseTransport):
    """Answers every request alike."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.seen: list[httpx.Request] = []
        self._answer = (status, body)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return httpx.Response(self._answer[0], content=self._answer[1])


def asking(
    transport: Answers,
    *skus: str,
    read: Any = price.read,
    shape: Shape = PLAIN,
    items: str | None = None,
    own: tuple[tuple[str, str], ...] = (),
    **bulk: Any,
) -> Found:
    """Ask for SKUs at once; a coroutine that never waits is run by one step."""
    how: dict[str, Any] = {"url": URL, "body": None, "size": 100, "max_bytes": 1000, **bulk}
    pointer = None if items is None else Pointer.parse(items)
    contract = Contract(
        "http://source.test/{sku}", read, shape, frozenset({404}), 10, lambda: own, Bulk(items=pointer, **how)
    )
    try:
        Source(contract, transport, lambda: "00000000000000ab").fetch_all(skus or ASKED, CALLER, 1.0).send(None)
    except StopIteration as done:
        found: Found = done.value
        return found
    raise AssertionError("nothing here waits")


def found_in(body: str | bytes, **how: Any) -> Found:
    return asking(Answers(body.encode() if isinstance(body, str) else body), **how)


@st.composite
def objects(draw: st.DrawFn) -> tuple[str | None, bool, str]:
    """Whose object it is, None where that cannot be told; whether it is usable; its text."""
    if draw(st.booleans()):
        sku = draw(SKUS)
        return sku, True, f'{{"sku_id": "{sku}", "price": {draw(st.integers(0, 99))}, "x": 1}}'
    if draw(st.booleans()):
        sku = draw(SKUS)
        return sku, False, f'{{"sku_id": "{sku}", "price": {draw(UNUSABLE)}}}'
    return None, False, draw(NAMELESS)


@given(st.lists(objects(), max_size=8))
def test_an_array_says_of_each_sku_what_a_simple_model_says(items: list[tuple[str | None, bool, str]]) -> None:
    found = found_in(f"[{','.join(text for _, _, text in items)}]")
    times = Counter(sku for sku, _, _ in items)
    good = {sku for sku, usable, _ in items if sku in ASKED and usable and times[sku] == 1}
    assert set(found.parts) == good
    assert found.garbled == {sku for sku in times if sku in ASKED and sku not in good}
    assert found.strangers == sum(sku is not None and sku not in ASKED for sku, _, _ in items)
    assert found.trusted == all(usable and sku in ASKED and times[sku] == 1 for sku, usable, _ in items)
    for sku, part in found.parts.items():
        assert json.loads(part)["sku_id"] == sku


KEYED = st.dictionaries(
    SKUS,
    st.one_of(
        st.just(("null", None)),
        SKUS.map(lambda sku: (f'{{"sku_id": "{sku}", "price": 1}}', sku)),
        st.sampled_from(["5", "[]", '{"price": -1}', '{"sku_id": 5, "price": 1}']).map(lambda text: (text, "")),
    ),
)


@given(KEYED)
def test_an_object_keyed_by_sku_says_what_a_simple_model_says(items: dict[str, tuple[str, str | None]]) -> None:
    body = ",".join(f'"{key}": {text}' for key, (text, _) in items.items())
    found = found_in(f'{{"data": {{{body}}}}}', items="/data")
    there = {key: inner for key, (_, inner) in items.items() if inner is not None}
    assert set(found.parts) == {key for key, inner in there.items() if inner == key and key in ASKED}
    assert found.garbled == {key for key, inner in there.items() if inner != key and key in ASKED}
    assert found.strangers == sum(key not in ASKED for key in there)
    assert found.trusted == all(inner == key and key in ASKED for key, inner in there.items())


@pytest.mark.parametrize("second", ["null", "5", '{"sku_id": "a", "price": 1}'])
@pytest.mark.parametrize("key", ["a", "\\u0061"])
def test_a_key_that_is_there_twice_is_garbled_whatever_it_holds(second: str, key: str) -> None:
    good = '{"sku_id": "a", "price": 1}'
    for body in (f'"a": {good}, "{key}": {second}', f'"{key}": {second}, "a": {good}'):
        found = found_in(f'{{"data": {{{body}}}}}', items="/data")
        assert (found.parts, found.garbled, found.trusted) == ({}, {"a"}, False)


@given(st.lists(st.tuples(st.sampled_from(["7", "8", "9"]), st.booleans()), max_size=5))
def test_a_mapped_and_loose_array_says_the_same(items: list[tuple[str, bool]]) -> None:
    texts = [f'{{"id": {sku if loose else json.dumps(sku)}, "cost": {{"net": 1}}}}' for sku, loose in items]
    found = asking(Answers(f"[{','.join(texts)}]".encode()), "7", "8", shape=DETOUR)
    times = Counter(sku for sku, _ in items)
    assert set(found.parts) == {sku for sku in ("7", "8") if times[sku] == 1}
    assert found.garbled == {sku for sku in ("7", "8") if times[sku] > 1}
    assert found.strangers == times["9"]


NAMES = ["sku_id", "id", "name", "price", "quantity", "data", "cost", "net", "a"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "b", "\ud800", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
)
DEEP = [
    b"[" * 100_000 + b"]" * 100_000,
    b'[{"sku_id": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    b'{"data": ' * 100_000 + b"1" + b"}" * 100_000,
]
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    VALUES.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.tuples(st.binary(max_size=3), VALUES).map(lambda two: json.dumps([two[1]]).encode()[:-1] + two[0] + b"]"),
    st.sampled_from(DEEP),
)


@settings(max_examples=400)
@given(BODIES, st.sampled_from([info.read, price.read, stock.read]), st.sampled_from([PLAIN, DETOUR]),
       st.sampled_from([None, "", "/data", "/0"]))  # fmt: skip
def test_nothing_but_an_upstream_error_leaves_whatever_comes(
    body: bytes, read: Callable[[bytes], Any], shape: Shape, items: str | None
) -> None:
    try:
        found = found_in(body, read=read, shape=shape, items=items)
    except UpstreamError:
        return
    assert set(found.parts) <= set(ASKED)
    assert found.garbled <= set(ASKED) - set(found.parts)
    for sku, part in found.parts.items():
        assert json.loads(part)["sku_id"] == sku


@pytest.mark.parametrize(("status", "error"), [(404, Rejected), (410, Rejected), (400, Rejected), (500, Unavailable)])
def test_a_status_is_never_an_unknown_sku(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        asking(Answers(b"[]", status))


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[", b"[{}", b"\xff", b"[] []", b'["\xff"]', *DEEP[:1]])
def test_what_is_no_array_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        asking(Answers(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3)
    | st.sampled_from(["{skus}", '"{skus}"', '\\"{skus}\\"', " {skus}", "{sku}", "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)  # fmt: skip


def filled(value: Any, skus: list[str]) -> Any:
    """The model: the string becomes the array, wherever it is a value."""
    if isinstance(value, dict):
        return {name: filled(inner, skus) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, skus) for inner in value]
    return skus if value == "{skus}" else value


@given(JSON, st.booleans())
def test_the_string_becomes_the_array_wherever_it_is_a_value(value: Any, escaped: bool) -> None:  # noqa: FBT001
    body = TypeAdapter(BulkBody).validate_python(json.dumps(value, ensure_ascii=escaped))
    transport = Answers(b"[]")
    asking(transport, "1", "2", body=body, url="http://source.test/find")
    (request,) = transport.seen
    assert (request.method, str(request.url)) == ("POST", "http://source.test/")
    assert request.extensions["target"] == b"/find"
    assert json.loads(request.read()) == filled(value, ["1", "2"])


def test_a_source_whose_headers_name_a_content_type_gets_that_one_alone() -> None:
    for own, sent in (((), "application/json"), ((("content-type", "application/x"),), "application/x")):
        transport = Answers(b"[]")
        asking(transport, body=b'{"ids":"{skus}"}', own=own)
        assert transport.seen[0].headers.get_list("content-type") == [sent]


@given(st.integers(0, 40), st.integers(1, 3), st.sampled_from(["", '"', "%22", "<", "|", "`"]))
def test_as_many_bytes_of_skus_as_there_is_room_for_make_no_longer_url(length: int, places: int, odd: str) -> None:
    url = "http://source.test/" + "p" * length + odd * length + "&s={skus}" * places
    bulk = Bulk(url, None, None, 10_000, 1000)
    skus = ("x" * min(64, bulk.room.bytes),) * ((bulk.room.bytes + 1) // 65 or 1)
    assert len(",".join(skus)) <= bulk.room.bytes
    transport = Answers(b"[]")
    asking(transport, *skus, url=url)
    (request,) = transport.seen
    assert len("http://source.test") + len(request.extensions["target"]) <= MAX_URL_BYTES
