"""The contract: which changes are not accepted, in which order that is found out, and what is said of it."""

import asyncio
import json
from typing import Any

from tests.contract.durable import CHANGES, JSON, ask, bearer, changing, keyed, look, send
from tests.contract.owners import Owners
from tests.contract.streams import answered, connected
from tests.contract.test_problems import is_problem
from tests.harness import Answer, Bff, bff, request

TEXT = ("Content-Type", "text/plain")
GOOD = {"sku_id": "1001", "price": {"price": 8}}
MIB = 1024 * 1024
CHALLENGED = {401, 403}


async def nothing_was_accepted(service: Bff) -> bool:
    return bool((await look(service, CHANGES)) == {"items": [], "next": None})


async def test_it_is_checked_in_the_order_of_the_contract() -> None:
    none: dict[str, Any] = {f"{name}__item": "/data" for name in ("info", "price", "stock")}

    async def post(service: Bff, *headers: tuple[str, str], caller: str = "writer", body: bytes = b"{") -> Answer:
        return await send(service, "POST", CHANGES, *headers, caller=caller, body=body)

    async with changing(Owners(), **none) as service:
        is_problem(await post(service, TEXT, keyed("")), 501, "not-configured", CHANGES)
        is_problem(await post(service, TEXT, caller="shop"), 403, "forbidden", CHANGES)
    async with changing(Owners()) as service:
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = await request(service.run.public_url, method, CHANGES, [TEXT, keyed("")], b"{")
            is_problem(answer, 405, "method-not-allowed", CHANGES)
            assert answer.headers["allow"] == "GET, HEAD, POST"
        answer = await request(service.run.public_url, "POST", CHANGES, [TEXT, keyed("")], b"{")
        is_problem(answer, 401, "unauthorized", CHANGES)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        answer = await post(service, TEXT, keyed(""), caller="shop")
        is_problem(answer, 403, "forbidden", CHANGES)
        assert 'scope="catalog:write"' in answer.headers["www-authenticate"]
        is_problem(await post(service, TEXT, keyed("")), 415, "body-invalid", CHANGES)
        is_problem(await post(service), 415, "body-invalid", CHANGES)
        is_problem(await post(service, JSON, body=b"[" * (MIB + 1)), 413, "too-large", CHANGES)
        is_problem(await post(service, JSON, body=b"{"), 400, "key-missing", CHANGES)
        is_problem(await post(service, JSON, keyed("k"), body=b"{"), 422, "body-invalid", CHANGES)
        assert await nothing_was_accepted(service)
        assert (await post(service, JSON, keyed("k"), body=json.dumps(GOOD).encode())).status == 202


async def test_a_body_of_the_greatest_size_is_read_and_one_of_100_mb_is_413() -> None:
    fits = json.dumps(GOOD).encode().ljust(MIB)
    async with changing(Owners()) as service:
        assert (await ask(service, fits, "k")).status == 202
        is_problem(await ask(service, fits + b" ", "l"), 413, "too-large", CHANGES)
        async with connected(service) as (reader, writer):
            await poured(writer, 100_000_000)
            answer = await answered(reader)
            is_problem(answer, 413, "too-large", CHANGES)
            writer.write(f"GET {CHANGES} HTTP/1.1\r\nHost: bff\r\n{': '.join(bearer('writer'))}\r\n\r\n".encode())
            assert len((await answered(reader)).json["items"]) == 1


async def test_json_is_what_says_to_be_nothing_else() -> None:
    kinds = {
        "application/json": 202, "Application/JSON ; charset=utf-8": 202, "application/problem+json": 415,
        "application/jsonp": 415, "text/json": 415, "application/json, text/plain": 415, "*/*": 415, "": 415,
    }  # fmt: skip
    async with changing(Owners()) as service:
        for number, (kind, status) in enumerate(kinds.items()):
            answer = await send(service, "POST", CHANGES, ("Content-Type", kind), keyed(f"k{number}"), body=GOOD)
            assert (answer.status, kind) == (status, kind)
        assert (await send(service, "POST", CHANGES, JSON, JSON, keyed("l"), body=GOOD)).status == 415


async def test_a_body_that_does_not_say_how_long_it_is_is_413_once_it_is_too_long() -> None:
    async with changing(Owners()) as service, connected(service) as (reader, writer):
        lines = [f"{name}: {value}" for name, value in (JSON, keyed("l"), bearer("writer"))]
        head = f"POST {CHANGES} HTTP/1.1\r\nHost: bff\r\nTransfer-Encoding: chunked\r\n"
        writer.write(head.encode() + "\r\n".join(lines).encode() + b"\r\n\r\n")
        for _ in range(20):
            writer.write(b"186a0\r\n" + b" " * 100_000 + b"\r\n")
            await writer.drain()
        is_problem(await answered(reader), 413, "too-large", CHANGES)


async def poured(writer: asyncio.StreamWriter, size: int) -> None:
    """Ask for a change with a body of so many spaces, and send all of it, whatever is answered meanwhile."""
    lines = [f"{name}: {value}" for name, value in (JSON, keyed("l"), bearer("writer"), ("Content-Length", str(size)))]
    writer.write(f"POST {CHANGES} HTTP/1.1\r\nHost: bff\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n")
    for _ in range(0, size, 100_000):
        writer.write(b" " * 100_000)
        await writer.drain()


EVERY_ROUTE = [
    ("POST", CHANGES), ("GET", CHANGES), ("GET", f"{CHANGES}?limit=0"), ("GET", f"{CHANGES}/x"),
    ("DELETE", f"{CHANGES}/x"), ("GET", f"{CHANGES}/x/events"), ("POST", "/api/v1/products/1001/reservations"),
    ("GET", "/api/v1/reservations/x"), ("DELETE", "/api/v1/reservations/x"),
]  # fmt: skip


async def test_nobody_may_who_is_not_known_and_nobody_is_where_no_token_is_configured() -> None:
    async with bff() as service:
        for method, target in EVERY_ROUTE:
            for headers in ((), (bearer("writer"),)):
                sent = [JSON, keyed("k"), *headers]
                answer = await request(service.run.public_url, method, target, sent, b"{}")
                is_problem(answer, 401, "unauthorized", target.partition("?")[0])
                assert answer.headers["www-authenticate"]


async def test_every_route_of_changes_asks_for_the_scope_before_it_looks_at_anything() -> None:
    async with changing(Owners()) as service:
        for caller in ("shop", "owner"):
            for method, target in (
                ("GET", CHANGES), ("GET", f"{CHANGES}?limit=0"), ("GET", f"{CHANGES}/x"), ("DELETE", f"{CHANGES}/x"),
                ("GET", f"{CHANGES}/x/events"), ("HEAD", f"{CHANGES}/x"),
            ):  # fmt: skip
                answer = await send(service, method, target, caller=caller)
                assert (answer.status, method, target) == (403, method, target)
                assert 'scope="catalog:write"' in answer.headers["www-authenticate"]


async def test_an_id_that_no_change_has_is_404_whatever_it_looks_like() -> None:
    async with changing(Owners()) as service:
        for name in ("x", "0" * 32, "a" * 65, "a" * 5000, "%00", "%FF", "..", "'%20or%201=1", "agg", "-1"):
            for method, target in (
                ("GET", f"{CHANGES}/{name}"), ("DELETE", f"{CHANGES}/{name}"), ("GET", f"{CHANGES}/{name}/events"),
            ):  # fmt: skip
                answer = await send(service, method, target)
                assert (answer.status, method, name) == (404, method, name)
                is_problem(answer, 404, "route-unknown", target[:256])


async def test_what_is_no_route_is_404_and_what_a_route_does_not_do_405() -> None:
    async with changing(Owners()) as service:
        for target in (
            f"{CHANGES}/",
            f"{CHANGES}/x/",
            f"{CHANGES}/x/events/",
            f"{CHANGES}/x/steps",
            f"{CHANGES}/a%2Fb",
        ):
            assert (await send(service, "GET", target)).status == 404
        for target, allowed in ((f"{CHANGES}/x", "DELETE, GET, HEAD"), (f"{CHANGES}/x/events", "GET, HEAD")):
            answer = await request(service.run.public_url, "PUT", target)
            assert (answer.status, answer.headers["allow"]) == (405, allowed)


DEEP = 100_000
PRICE = '"price": {"price": 8}'


def body(*members: str) -> bytes:
    return ("{" + ", ".join(('"sku_id": "1001"', *members)) + "}").encode("utf-8", "surrogatepass")


NOT_JSON: dict[str, bytes] = {
    "nothing": b"", "half": b"{", "more": body(PRICE) + b"}", "an array": b"[]", "null": b"null", "a string": b'"1001"',
    "a number": b"1", "single quotes": b"{'sku_id': '1001'}", "a comment": b"{} // none", "a trailing comma": b"{,}",
    "not UTF-8": body('"info": {"name": "\ud800"}'), "Latin-1": b'{"sku_id": "1001", "info": {"name": "\xe9"}}',
    "a byte order mark": b"\xef\xbb\xbf" + body(PRICE), "UTF-16": body(PRICE).decode().encode("utf-16"),
    "UTF-16 without a mark": body(PRICE).decode().encode("utf-16-le"), "UTF-32": body(PRICE).decode().encode("utf-32"),
    "deep arrays": b"[" * DEEP, "deep objects": b'{"a":' * DEEP, "closed deep arrays": b"[" * DEEP + b"]" * DEEP,
    "a deep part": body(f'"info": {"[" * DEEP}{"]" * DEEP}'), "a raw control character": body('"info": {"name": "\n"}'),
    "NaN": body('"price": {"price": NaN}'), "NaN for the timeout": body(PRICE, '"timeout_seconds": NaN'),
    "Infinity": body('"price": {"price": Infinity}'), "-Infinity": body(PRICE, '"priority": -Infinity'),
    "a name twice": body(PRICE, PRICE), "the SKU twice": body('"sku_id": "1001"', PRICE),
    "a name twice in a part": body('"price": {"price": 8, "price": 8}'),
    "a name twice, escaped": body('"price": {"price": 8, "\\u0070rice": 9}'),
    "a name twice in what is not known": body(PRICE, '"more": {"a": 1, "a": 1}'),
}  # fmt: skip


async def test_what_is_no_json_object_or_names_anything_twice_is_422() -> None:
    async with changing(Owners()) as service:
        for name, sent in NOT_JSON.items():
            answer = await ask(service, sent, "k")
            assert (answer.status, name) == (422, name)
            is_problem(answer, 422, "body-invalid", CHANGES)
            assert answer.json["errors"], name
        assert await nothing_was_accepted(service)


BIG = "9" * 400
WRONG: list[tuple[str, Any]] = [
    ("sku_id body", "{}"), ("sku_id", f"{{{PRICE}}}"), ("body", '{"sku_id": "1001"}'),
    ("body", '{"sku_id": "1001", "timeout_seconds": 5}'),
    *(("sku_id", f'{{"sku_id": {wrong}, {PRICE}}}')
      for wrong in ("null", "1001", "[]", '""', '"-"', '"agg"', '"1001\\n"', '"1001 "', '"a/b"', f'"{"a" * 65}"')),
    *((field, body(PRICE, f'"{field}": 1')) for field in ("sku", "sku_ids", "Price", "SKU_ID", "timeout_second", "")),
    ("body", body(PRICE, '"\\ud800": 1')), ("body", f'{{"sku_id": "\\ud800", {PRICE}}}'),
    ("body", body('"info": {"name": "\\ud800"}')),
    ("timeout_seconds price", body('"price": 1, "timeout_seconds": 0')),
    ("priority info.name price.price", body('"price": {}, "info": {}, "priority": 10')),
    *(("timeout_seconds", body(PRICE, f'"timeout_seconds": {wrong}'))
      for wrong in ("0", "0.999", "-1", "3600.001", "3601", "1e400", "-1e400", "true", "null", '"60"', "[]", BIG)),
    *(("priority", body(PRICE, f'"priority": {wrong}'))
      for wrong in ("-1", "10", "5.0", "5e0", "1e400", "true", "false", "null", '"5"', "[]", BIG)),
    *((name, body(f'"{name}": {wrong}')) for name in ("info", "price", "stock")
      for wrong in ("null", "[]", '"x"', "1", "true")),
    ("info.name", body('"info": {}')), ("price.price", body('"price": {}')), ("stock.quantity", body('"stock": {}')),
    *(("price.price", body(f'"price": {{"price": {wrong}}}'))
      for wrong in ("-0.01", "null", "true", '"8"', "[]", "1e400", "1e-400", "0." + "0" * 20 + "1", BIG)),
    ("price.original_price", body('"price": {"price": 8, "original_price": -1}')),
    ("price.currency", body('"price": {"price": 8, "currency": "eur"}')),
    *(("price.sku_id", body(f'"price": {{"price": 8, "sku_id": {wrong}}}')) for wrong in ('"1002"', "1001", "null")),
    ("price.cost", body('"price": {"price": 8, "cost": 1}')),
    ("price.quantity", body('"price": {"price": 8, "quantity": 1}')),
    *(("stock.quantity", body(f'"stock": {{"quantity": {wrong}}}'))
      for wrong in ("-1", "1.0", "1e3", "true", "null", '"1"', "9007199254740992", BIG)),
    ("stock.available", body('"stock": {"quantity": 1, "available": 1}')),
    *(("info.name", body(f'"info": {{"name": {wrong}}}')) for wrong in ("null", "1")),
    ("info.images", body('"info": {"name": "n", "images": ["a", 1]}')),
    ("info.images", body(f'"info": {{"name": "n", "images": {"[" * 900}{"]" * 900}}}')),
]  # fmt: skip


async def test_what_asks_for_no_change_is_422_and_says_which_field() -> None:
    async with changing(Owners()) as service:
        for field, sent in WRONG:
            answer = await ask(service, sent if isinstance(sent, bytes) else sent.encode(), "k")
            assert (answer.status, sent[:300]) == (422, sent[:300])
            is_problem(answer, 422, "body-invalid", CHANGES)
            assert [error["field"] for error in answer.json["errors"]] == (field or "body").split(" "), sent[:200]
            assert all(error["message"] for error in answer.json["errors"])
        assert await nothing_was_accepted(service)
