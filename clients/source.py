"""Reads of parts from their service, one by one or many at once: URL, headers, answer, in this order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from clients.bulk import Found, Read, read_bulk
from clients.errors import Garbled
from clients.given import Given
from clients.http import AnyTransport, Header, Response, Target, body_of, send
from clients.shape import Pointer, Shape

SKU = "{sku}"
SKUS = "{skus}"
MAX_URL_BYTES = 4096
NO_BOUND = 2**31
_DEFAULTS = ((b"Accept", b"application/json"), (b"Accept-Encoding", b"gzip"), (b"User-Agent", b"product-bff"))
_PLACEHOLDER = f'"{SKUS}"'.encode()
_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Caller(msgspec.Struct, frozen=True):
    """On whose behalf a source is called: what of a request may reach it."""

    request_id: str
    trace_id: str
    trace_flags: str = "00"
    trace_state: str | None = None


@dataclass(frozen=True, slots=True)
class Bulk:
    """How a source is asked for many parts at once.

    url: template with `{skus}`, which a body may take the place of.
    body: JSON to post, in which the string "{skus}" becomes the array; None for a GET.
    items: where the array stands, or an object keyed by SKU; None where the answer is the array.
    size: the most SKUs in one call.
    max_bytes: largest decoded answer.
    """

    url: str
    body: bytes | None
    items: Pointer | None
    size: int
    max_bytes: int

    @property
    def room(self) -> "Room":
        """How much one call holds."""
        target = Target(self.url, SKUS)
        return Room(self.size, (MAX_URL_BYTES - target.length) // target.places if target.places else NO_BOUND)


@dataclass(frozen=True, slots=True)
class Room:
    """How much one call holds: SKUs, and bytes of them, commas included."""

    skus: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Contract:
    """What one source speaks.

    url: template with `{sku}`.
    read: makes a part of an object of the standard shape.
    not_found: statuses that say that the SKU is unknown.
    max_bytes: largest decoded answer.
    headers: the source's own, asked for before each call.
    bulk: how many parts are asked for at once, None where they are not.
    """

    url: str
    read: Read
    shape: Shape
    not_found: frozenset[int]
    max_bytes: int
    headers: Callable[[], tuple[tuple[str, str], ...]]
    bulk: Bulk | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What a source holds of a product: the part as it may be written back, and its entity tag, None without one."""

    part: Given
    etag: str | None


@dataclass(slots=True)
class Headers:
    """The headers of calls to one source, made anew as far as they are not the same for every call."""

    asked: Callable[[], tuple[tuple[str, str], ...]]
    new_span: Callable[[], str]
    own: tuple[tuple[str, str], ...] = ()
    constant: tuple[Header, ...] = field(default=_DEFAULTS)

    def of(self, caller: Caller, seconds: float) -> list[Header]:
        """Return a call's headers: ours, the source's own, on whose behalf, how long."""
        own = self.asked()
        if own is not self.own:
            self._renew(own)
        headers = [
            *self.constant,
            (b"X-Request-Id", caller.request_id.encode()),
            (b"traceparent", f"00-{caller.trace_id}-{self.new_span()}-{caller.trace_flags}".encode()),
            (b"X-Request-Timeout-Ms", b"%d" % max(1, int(seconds * 1000))),
        ]
        if caller.trace_state is not None:
            headers.append((b"tracestate", caller.trace_state.encode()))
        return headers

    def _renew(self, own: tuple[tuple[str, str], ...]) -> None:
        overridden = {name.lower().encode() for name, _ in own}
        kept = [header for header in _DEFAULTS if header[0].lower() not in overridden]
        self.own = own
        self.constant = (*kept, *((name.encode(), value.encode()) for name, value in own))


class Source:
    """Reads parts of products from one service."""

    def __init__(self, contract: Contract, transport: AnyTransport, new_span: Callable[[], str]) -> None:
        self._contract = contract
        self._transport = transport
        self._headers = Headers(contract.headers, new_span)
        self._target = Target(contract.url, SKU)
        self._bulk_target = Target(contract.bulk.url, SKUS) if contract.bulk else None

    def __repr__(self) -> str:
        return f"<Source {self._transport!r}>"

    async def fetch(self, sku: str, caller: Caller, seconds: float) -> bytes | None:
        """Read a product's part and return it as the JSON of our shape, None where the SKU is unknown.

        seconds: how long the call may take, told to the source; it is the caller who ends it.
        Raises UpstreamError.
        """
        body = body_of(await self._get(sku, caller, seconds), self._contract.not_found)
        return None if body is None else part_of(self._contract, body, sku)

    async def held(self, sku: str, caller: Caller, seconds: float) -> Held | None:
        """Read a product's part singly, so that it can be written back; None where the SKU is unknown.

        seconds: for the whole of it. Raises UpstreamError or TimeoutError.
        """
        async with asyncio.timeout(seconds):
            response = await self._get(sku, caller, seconds)
        body = body_of(response, self._contract.not_found)
        shown = None if body is None else part_of(self._contract, body, sku)
        if body is None or shown is None:
            return None
        sent = _object(self._contract.shape.standard(body, sku) or b"{}")
        kept = {name: value for name, value in _object(shown).items() if name in sent}
        return Held(Given(_encode(kept), shown), response.headers.get("etag"))

    async def fetch_all(self, skus: tuple[str, ...], caller: Caller, seconds: float) -> Found:
        """Read the parts of several products in one call; as `fetch`."""
        response = await self._get_all(skus, caller, seconds)
        bulk = self._contract.bulk
        body = body_of(response, frozenset())
        assert bulk is not None and body is not None, "no status means an unknown SKU here"
        try:
            return read_bulk(body, frozenset(skus), bulk.items, self._contract.shape, self._contract.read)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            raise Garbled(type(exc).__name__) from exc

    async def reach(self, sku: str, caller: Caller, seconds: float, *, bulk: bool = False) -> int:
        """Ask for a product's part and return the answer's status, whatever its body; raises UpstreamError."""
        if bulk:
            return (await self._get_all((sku,), caller, seconds)).status_code
        return (await self._get(sku, caller, seconds)).status_code

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def _get(self, sku: str, caller: Caller, seconds: float) -> Response:
        headers = self._headers.of(caller, seconds)
        return await send(self._transport, self._target, sku.encode(), headers, max_bytes=self._contract.max_bytes)

    async def _get_all(self, skus: tuple[str, ...], caller: Caller, seconds: float) -> Response:
        bulk, target = self._contract.bulk, self._bulk_target
        assert bulk is not None and target is not None, "a source without a bulk URL is asked one by one"
        headers = self._headers.of(caller, seconds)
        content = None
        if bulk.body is not None:
            content = bulk.body.replace(_PLACEHOLDER, _encode(skus))
            say_json(headers)
        value = ",".join(skus).encode()  # a SKU has only characters that need no encoding
        return await send(self._transport, target, value, headers, max_bytes=bulk.max_bytes, content=content)


def part_of(contract: Contract, body: bytes, sku: str) -> bytes | None:
    """Read a single answer as the JSON of our shape, None where the SKU is unknown; raises Garbled."""
    try:
        body.decode("utf-8")  # what is dropped from a part is looked at by nobody else
        document = contract.shape.standard(body, sku)
        if document is None:
            return None
        part = contract.read(document)
        if part.sku_id != sku:
            raise Garbled("another SKU")
        return _encode(part)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise Garbled(type(exc).__name__) from exc


def say_json(headers: list[Header]) -> None:
    """Add what a body is, unless the source's own headers say it."""
    if all(name.lower() != b"content-type" for name, _ in headers):
        headers.append((b"Content-Type", b"application/json"))
