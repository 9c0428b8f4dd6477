"""A read of one part from its service: URL, headers, answer, in this order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from clients.errors import Garbled
from clients.http import URL, body_of, get
from clients.shape import Shape

Read = Callable[[bytes, str], msgspec.Struct]
_PLACEHOLDER = "{sku}"


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a source is called: what of a request may reach it."""

    request_id: str
    trace_id: str
    trace_flags: str = "00"
    trace_state: str | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """What one source speaks.

    url: template with `{sku}`.
    read: makes a part of an object of the standard shape.
    not_found: statuses that say that the SKU is unknown.
    max_bytes: largest decoded answer.
    headers: the source's own, asked for before each call.
    """

    url: str
    read: Read
    shape: Shape
    not_found: frozenset[int]
    max_bytes: int
    headers: Callable[[], tuple[tuple[str, str], ...]]


class Source:
    """Reads parts of products from one service."""

    def __init__(self, contract: Contract, transport: httpx.AsyncBaseTransport, new_span: Callable[[], str]) -> None:
        self._contract = contract
        self._transport = transport
        self._new_span = new_span
        self._encode = msgspec.json.Encoder().encode

    def __repr__(self) -> str:
        return f"<Source {self._transport!r}>"

    async def fetch(self, sku: str, caller: Caller, seconds: float) -> bytes | None:
        """Read a product's part and return it as the JSON of our shape, None where the SKU is unknown.

        seconds: how long the call may take, told to the source; it is the caller who ends it.
        Raises UpstreamError.
        """
        contract = self._contract
        url = URL(contract.url.replace(_PLACEHOLDER, sku))  # a SKU has only characters that need no encoding
        response = await get(self._transport, url, self._headers(caller, seconds), max_bytes=contract.max_bytes)
        body = body_of(response, contract.not_found)
        return None if body is None else self._part(body, sku)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _part(self, body: bytes, sku: str) -> bytes | None:
        try:
            body.decode("utf-8")  # what is dropped from a part is looked at by nobody else
            document = self._contract.shape.standard(body, sku)
            return None if document is None else self._encode(self._contract.read(document, sku))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            raise Garbled(type(exc).__name__) from exc

    def _headers(self, caller: Caller, seconds: float) -> list[tuple[str, str]]:
        sent: dict[str, Any] = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": "product-bff",
        }
        own = self._contract.headers()
        overridden = {name.lower() for name, _ in own}
        headers = [(name, value) for name, value in sent.items() if name.lower() not in overridden]
        headers += own
        headers.append(("X-Request-Id", caller.request_id))
        headers.append(("traceparent", f"00-{caller.trace_id}-{self._new_span()}-{caller.trace_flags}"))
        if caller.trace_state is not None:
            headers.append(("tracestate", caller.trace_state))
        headers.append(("X-Request-Timeout-Ms", str(max(1, int(seconds * 1000)))))
        return headers
