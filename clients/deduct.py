"""Deducting stock for reservations, many in one call, and giving it back.

What a call has done is known of each reservation that its answer names. Of every other one, and where a call raises,
nothing is known but by asking again: an id gets its first answer each time, and its stock is taken once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from clients.errors import Garbled, Unavailable
from clients.http import AnyTransport, Header, Response, Target, content_of, post, refusal
from clients.source import SKU, Caller, Headers, say_json
from clients.write import quoted

STATUSES = frozenset({"deducted", "insufficient", "unknown", "released"})
MAX_ANSWER_BYTES = 1024 * 1024
_KEY = b"Idempotency-Key"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Item:
    """What is to be taken for one reservation: so many of a product, 1 at least."""

    reservation_id: str
    sku_id: str
    quantity: int


class _Results(msgspec.Struct):
    results: list[msgspec.Raw]


class _Result(msgspec.Struct):
    reservation_id: str
    status: object = None


_results_of = msgspec.json.Decoder(_Results).decode
_result_of = msgspec.json.Decoder(_Result).decode


class Deductor:
    """Takes stock from one service, and gives it back.

    headers: the service's own, asked for before each call.
    """

    def __init__(
        self,
        deduct_url: str,
        release_url: str,
        transport: AnyTransport,
        headers: Callable[[], tuple[tuple[str, str], ...]],
        new_span: Callable[[], str],
    ) -> None:
        self._transport = transport
        self._headers = Headers(headers, new_span)
        self._deducts = Target(deduct_url, SKU)  # neither has a place for one: SKUs are in the body
        self._releases = Target(release_url, SKU)

    def __repr__(self) -> str:
        return f"<Deductor to {self._deducts!r}>"

    async def deduct(self, batch_id: str, items: Sequence[Item], caller: Caller, seconds: float) -> Mapping[str, str]:
        """Take stock for each item by itself and return what came of it, one of STATUSES, by reservation.

        A reservation of which the answer says nothing, nothing readable, or two things, is not there.
        batch_id: printable ASCII, else ValueError. seconds: for the whole of it.
        Raises NotSent; and Unknown, Unavailable (5xx and other 2xx), Rejected or Garbled, after which any of the items
        may have been deducted.
        """
        headers = self._headers_of(caller, seconds)
        headers.append((_KEY, quoted(batch_id)))
        content = _encode({"batch_id": batch_id, "items": list(items)})
        answer = await self._post(self._deducts, headers, content, seconds)
        return read_results(content_of(answer), {item.reservation_id for item in items})

    async def release(self, ids: Sequence[str], caller: Caller, seconds: float) -> None:
        """Give back what the reservations have taken, and have those that come later take nothing.

        seconds: for the whole of it. Raises as `deduct` does, but for Garbled: a 200 says enough.
        """
        content = _encode({"items": [{"reservation_id": each} for each in ids]})
        await self._post(self._releases, self._headers_of(caller, seconds), content, seconds)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _headers_of(self, caller: Caller, seconds: float) -> list[Header]:
        # A key that the service's own headers bring would make every call the same one.
        headers = [header for header in self._headers.of(caller, seconds) if header[0].lower() != _KEY.lower()]
        say_json(headers)
        return headers

    async def _post(self, target: Target, headers: list[Header], content: bytes, seconds: float) -> Response:
        limit = MAX_ANSWER_BYTES
        answer = await post(self._transport, target, b"", headers, content, max_bytes=limit, seconds=seconds)
        status = answer.status_code
        if status != 200:
            raise Unavailable(f"status {status}") if status < 300 else refusal(answer)
        return answer


def read_results(body: bytes, asked: Collection[str]) -> dict[str, str]:
    """Return what an answer says of the reservations that were asked for, without those that it is unclear about.

    Raises Garbled where it holds no results.
    """
    try:
        body.decode("utf-8")  # what is dropped is looked at by nobody else
        results = _results_of(body).results
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise Garbled(type(exc).__name__) from exc
    found: dict[str, str | None] = {}
    for result in results:
        reservation_id, status = _read(result)
        if reservation_id is not None and reservation_id in asked:
            found[reservation_id] = status if found.get(reservation_id, status) == status else None
    return {reservation_id: status for reservation_id, status in found.items() if status is not None}


def _read(result: msgspec.Raw) -> tuple[str | None, str | None]:
    """Return whose result it is, None where that cannot be told, and what it says, None where that is no status."""
    try:
        read = _result_of(result)
    except (msgspec.MsgspecError, RecursionError):
        return None, None
    return read.reservation_id, read.status if isinstance(read.status, str) and read.status in STATUSES else None
