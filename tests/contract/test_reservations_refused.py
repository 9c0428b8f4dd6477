"""The contract: which reservations are not accepted, in which order that is found out, and who may look at them."""

from typing import Any

from tests.contract.durable import JSON, RESERVATIONS, TOKENS, keyed, look, queued, reserve, selling, send
from tests.contract.owners import Till
from tests.contract.test_problems import is_problem
from tests.harness import Answer, Bff, bff, request

RESERVE = "/api/v1/products/1001/reservations"
TEXT = ("Content-Type", "text/plain")
UNKNOWN = f"{RESERVATIONS}/{'0' * 32}"
DEEP = 80_000


async def test_it_is_checked_in_the_order_of_the_contract() -> None:
    wrong = RESERVE.replace("1001", "-")

    async def post(
        service: Bff, target: str, *headers: tuple[str, str], caller: str = "shop", body: bytes = b"{"
    ) -> Answer:
        return await send(service, "POST", target, *headers, caller=caller, body=body)

    async with bff(auth__tokens=TOKENS) as service:
        is_problem(await post(service, RESERVE, TEXT, keyed("")), 501, "not-configured", RESERVE)
        is_problem(await post(service, wrong, TEXT), 422, "sku-invalid", wrong)
        is_problem(await post(service, RESERVE, TEXT, caller="writer"), 403, "forbidden", RESERVE)
        for method in ("GET", "DELETE"):
            is_problem(await send(service, method, UNKNOWN, caller="shop"), 501, "not-configured", UNKNOWN)
    async with selling(Till()) as service:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = await request(service.run.public_url, method, wrong, [TEXT], b"{")
            is_problem(answer, 405, "method-not-allowed", wrong)
            assert answer.headers["allow"] == "POST"
        answer = await request(service.run.public_url, "POST", wrong, [TEXT], b"{")
        is_problem(answer, 401, "unauthorized", wrong)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        for caller in ("writer", "owner"):
            answer = await post(service, wrong, TEXT, caller=caller)
            is_problem(answer, 403, "forbidden", wrong)
            assert 'scope="reservations"' in answer.headers["www-authenticate"]
        for sku in ("-", "agg", "a" * 65, "1001%0A", "1001%20", "a:b", "%FF", "%00"):
            target = RESERVE.replace("1001", sku)
            answer = await post(service, target, TEXT)
            is_problem(answer, 422, "sku-invalid", target)
            assert [error["field"] for error in answer.json["errors"]] == ["sku_id"]
        is_problem(await post(service, RESERVE, TEXT), 415, "body-invalid", RESERVE)
        is_problem(await post(service, RESERVE), 415, "body-invalid", RESERVE)
        is_problem(await post(service, RESERVE, JSON, body=b"{" * (1024 * 1024 + 1)), 413, "too-large", RESERVE)
        is_problem(await post(service, RESERVE, JSON), 400, "key-missing", RESERVE)
        is_problem(await post(service, RESERVE, JSON, keyed("k")), 422, "body-invalid", RESERVE)
        assert service.stock.seen == []
        assert (await post(service, RESERVE, JSON, keyed("k"), body=b'{"quantity": 1}')).status == 202


async def test_paths_that_are_no_route_are_404() -> None:
    async with bff() as service:
        for target in ("/api/v1/products/a%2Fb/reservations", f"{RESERVE}/", RESERVATIONS, f"{UNKNOWN}/"):
            for method in ("GET", "POST", "DELETE"):
                assert (await request(service.run.public_url, method, target)).status == 404


BIG = "9" * 400
NO_QUANTITY = [
    "0", "-1", "1000001", "1.0", "1e0", "1E2", "0.5", "true", "false", "null", '"1"', "[1]", "{}", "NaN", "Infinity",
    "-Infinity", "1e400", "9007199254740993", "18446744073709551617", BIG, '"\\ud800"',
]  # fmt: skip
NO_BODY: dict[str, bytes] = {
    "nothing": b"", "half": b"{", "an array": b"[1]", "null": b"null", "a number": b"1",
    "not UTF-8": b'{"quantity": 1, "\xff": 1}', "empty": b"{}",
    "deep": b"[" * DEEP, "deep objects": b'{"quantity":' * DEEP,
    "a byte order mark": b'\xef\xbb\xbf{"quantity": 1}', "UTF-16": '{"quantity": 1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"quantity": 1}'.encode("utf-16-le"),
    "twice": b'{"quantity": 1, "quantity": 1}', "twice, escaped": b'{"quantity": 1, "\\u0071uantity": 1}',
    "another field": b'{"quantity": 1, "sku_id": "1001"}', "a surrogate": b'{"quantity": 1, "\\ud800": 1}',
    "another case": b'{"Quantity": 1}', "a comment": b'{"quantity": 1} // one', "two": b'{"quantity": 1}{}',
    "a deep value": b'{"quantity": ' + b"[" * 900 + b"]" * 900 + b"}",
}  # fmt: skip


async def test_what_is_no_quantity_is_422_and_says_so() -> None:
    async with selling(Till()) as service:
        for wrong in NO_QUANTITY:
            answer = await send(
                service, "POST", RESERVE, JSON, keyed("k"), caller="shop", body=f'{{"quantity": {wrong}}}'.encode()
            )
            assert (answer.status, wrong) == (422, wrong)
            is_problem(answer, 422, "body-invalid", RESERVE)
            assert [error["field"] for error in answer.json["errors"]] in (["quantity"], ["body"])
            assert all(error["message"] for error in answer.json["errors"])
        for name, body in NO_BODY.items():
            answer = await send(service, "POST", RESERVE, JSON, keyed("k"), caller="shop", body=body)
            assert (answer.status, name) == (422, name)
            is_problem(answer, 422, "body-invalid", RESERVE)
            assert answer.json["errors"]
        assert await queued(service) == 0
        assert service.stock.seen == []


async def test_a_reservation_is_its_callers_own() -> None:
    async with selling(Till(**{"1001": 5})) as service:
        answer = await reserve(service, 1, "k")
        location = answer.headers["location"]
        for method in ("GET", "DELETE", "HEAD"):
            for caller in ("rival", "both"):
                other = await send(service, method, location, caller=caller)
                assert (other.status, method) == (404, method)
            assert (await send(service, method, location, caller="writer")).status == 403
            assert (await request(service.run.public_url, method, location)).status == 401
        mine = await send(service, "GET", UNKNOWN, caller="rival")
        theirs = await send(service, "GET", location, caller="rival")
        for answer, path in ((mine, UNKNOWN), (theirs, location)):
            is_problem(answer, 404, "route-unknown", path)
        assert mine.json["detail"] == theirs.json["detail"]  # nobody is told that there is one
        assert (await look(service, location, "shop"))["state"] in ("queued", "confirmed")


async def test_an_id_that_no_reservation_has_is_404_whatever_it_looks_like() -> None:
    async with selling(Till()) as service:
        for name in ("x", "0" * 32, "a" * 65, "a" * 5000, "%00", "%FF", "..", "'%20or%201=1"):
            for method in ("GET", "DELETE"):
                answer = await send(service, method, f"{RESERVATIONS}/{name}", caller="shop")
                assert (answer.status, method, name) == (404, method, name)
                is_problem(answer, 404, "route-unknown", f"{RESERVATIONS}/{name}"[:256])
        allowed: Any = await request(service.run.public_url, "POST", UNKNOWN)
        assert (allowed.status, allowed.headers["allow"]) == (405, "DELETE, GET, HEAD")
