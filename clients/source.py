"""A read of one part from its service: URL, headers, answer, in this order."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from clients.errors import Garbled
from clients.http import URL, AnyTransport, Response, body_of, get
from clients.shape import Shape

Read = Callable[[bytes, str], msgspec.Struct]
_PLACEHOLDER = "{sku}"
_HEADERS = (("Accept", "application/json"), ("Accept-Encoding", "gzip"), ("User-Agent", "product-bff"))


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

    def __init__(self, contract: Contract, transport: AnyTransport, new_span: Callable[[], str]) -> None:
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
        body = body_of(await self._get(sku, caller, seconds), self._contract.not_found)
        return None if body is None else self._part(body, sku)

    async def reach(self, sku: str, caller: Caller, seconds: float) -> int:
        """Ask for a product's part and return the answer's status, whatever its body; raises UpstreamError."""
        return (await self._get(sku, caller, seconds)).status_code

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def _get(self, sku: str, caller: Caller, seconds: float) -> Response:
        url = URL(self._contract.url.replace(_PLACEHOLDER, sku))  # a SKU has only characters that need no encoding
        headers = self._headers(caller, seconds)
        return await get(self._transport, url, headers, max_bytes=self._contract.max_bytes)

    def _part(self, body: bytes, sku: str) -> bytes | None:
        try:
            body.decode("utf-8")  # what is dropped from a part is looked at by nobody else
            document = self._contract.shape.standard(body, sku)
            return None if document is None else self._encode(self._contract.read(document, sku))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            raise Garbled(type(exc).__name__) from exc

    def _headers(self, caller: Caller, seconds: float) -> list[tuple[str, str]]:
        own = self._contract.headers()
        overridden = {name.lower() for name, _ in own}
        headers = [header for header in _HEADERS if header[0].lower() not in overridden]
        headers += own
        headers.append(("X-Request-Id", caller.request_id))
        headers.append(("traceparent", f"00-{caller.trace_id}-{self._new_span()}-{caller.trace_flags}"))
        if caller.trace_state is not None:
            headers.append(("tracestate", caller.trace_state))
        headers.append(("X-Request-Timeout-Ms", str(max(1, int(seconds * 1000)))))
        return headers
