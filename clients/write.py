"""Writing one part to its owner: once, over a connection of its own, and with an end that says what is known.

The body is the whole part as we show it, in the owner's way as far as that can be told from how it is read: amounts
written as `string` or `minor:N`, and fields that a map of one-token pointers has renamed. Not supported, since what
stands around the part is not known here: an `item`, loose SKUs, pointers of more than one token, maps that give two
fields one place. Fields of the owner's that no part of ours has are not sent, so a `PUT` drops them where the owner
takes it by the letter.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from clients import amount, info, price, stock
from clients.errors import Garbled, Unwritable, Vague
from clients.http import AnyTransport, Header, Response, Target, content_of, put, refusal
from clients.shape import Shape
from clients.source import SKU, Caller, Contract, Headers, part_of, say_json

FIELDS = {"info": info.FIELDS, "price": price.FIELDS, "stock": stock.FIELDS}
_AMOUNTS = frozenset({"price", "original_price"})
_STORED = (200, 201, 204)
_DECLINED = frozenset({404, 409, 412, 422})
_OURS = frozenset({b"idempotency-key", b"if-match"})
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_TO_ESCAPE = re.compile(r'(["\\])')
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Written:
    """What an owner made of a write.

    status: 200, 201 or 204 where it is stored, 404, 409, 412 or 422 where it is not.
    part: what is stored, None where the owner did not say, or not so that it can be read.
    """

    status: int
    part: bytes | None


@dataclass(frozen=True, slots=True)
class Back:
    """The way from a part as we show it to the object that its owner takes.

    names: our field to the owner's; a field that is not named keeps its name.
    amounts: how the owner writes them, None where as we do.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    amounts: amount.Back | None = None

    @classmethod
    def through(cls, shape: Shape, fields: frozenset[str], amounts: amount.Back | None = None) -> "Back":
        """Turn around how a part of these fields is read; raises Unwritable."""
        if shape.item is not None or shape.loose_sku:
            raise Unwritable("a part inside an item, or under a loose SKU, cannot be written")
        if any(len(pointer.tokens) != 1 for pointer in shape.fields.values()):
            raise Unwritable("a map of pointers that are not one name each cannot be written")
        names = {name: pointer.tokens[0] for name, pointer in shape.fields.items() if name in fields}
        if len({names.get(name, name) for name in fields}) < len(fields):
            raise Unwritable("a map that gives two fields one place cannot be written")
        return cls(names, amounts)

    def of(self, part: bytes) -> bytes | None:
        """Return what the owner takes, None where it has no way to write an amount."""
        if not self.names and self.amounts is None:
            return part
        written: dict[str, msgspec.Raw] = {}
        for name, value in _object(part).items():
            text: bytes | None = bytes(value)
            if self.amounts is not None and name in _AMOUNTS:
                text = self.amounts(bytes(value))
            if text is None:
                return None
            written[self.names.get(name, name)] = msgspec.Raw(text)
        return msgspec.json.encode(written)


class Writer:
    """Writes parts of products to one service.

    name: info, price or stock. url: template with `{sku}`, the source's own where there is none. amounts: how the owner
    writes them, None where as we do. Raises Unwritable.
    """

    def __init__(
        self,
        name: str,
        contract: Contract,
        transport: AnyTransport,
        new_span: Callable[[], str],
        *,
        url: str | None = None,
        amounts: amount.Back | None = None,
    ) -> None:
        self._name = name
        self._contract = contract
        self._transport = transport
        self._headers = Headers(contract.headers, new_span)
        self._target = Target(url or contract.url, SKU)
        self._back = Back.through(contract.shape, FIELDS[name], amounts)

    def __repr__(self) -> str:
        return f"<Writer {self._name} to {self._target!r}>"

    async def write(
        self, sku: str, part: bytes, caller: Caller, key: str, seconds: float, *, etag: str | None = None
    ) -> Written:
        """Write a part, given as the JSON of our shape, and return what its owner made of it.

        key: the same for a repeat, printable ASCII, else ValueError. seconds: for the whole of it. etag: what the
        owner must still hold, as `If-Match` has it. An amount that the owner's units cannot hold is a 422 of ours, and
        nothing is sent.
        Raises NotSent, Unknown, and for other statuses Unavailable (5xx and other 2xx: it may be stored) or Rejected.
        """
        headers = self._headers_of(caller, seconds, key, etag)
        content = self._back.of(part)
        if content is None:
            return Written(422, None)
        limit = self._contract.max_bytes
        answer = await put(
            self._transport, self._target, sku.encode(), headers, content, max_bytes=limit, seconds=seconds
        )
        return self._outcome(answer, sku)

    def fits(self, part: bytes) -> bool:
        """Return whether the owner's units can hold a part's amounts."""
        return self._back.of(part) is not None

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _headers_of(self, caller: Caller, seconds: float, key: str, etag: str | None) -> list[Header]:
        headers = [header for header in self._headers.of(caller, seconds) if header[0].lower() not in _OURS]
        say_json(headers)
        headers.append((b"Idempotency-Key", quoted(key)))
        if etag is not None:
            headers.append((b"If-Match", etag.encode("latin-1")))
        return headers

    def _outcome(self, answer: Response, sku: str) -> Written:
        status = answer.status_code
        if status in _STORED:
            return Written(status, None if status == 204 else self._stored(answer, sku))
        if status in _DECLINED:
            return Written(status, None)
        if status in self._contract.not_found and status < 500:  # what a 5xx says of a read is too little for a write
            return Written(404, None)
        raise Vague(f"status {status}") if status < 300 else refusal(answer)

    def _stored(self, answer: Response, sku: str) -> bytes | None:
        try:
            return part_of(self._contract, content_of(answer), sku)
        except Garbled:  # the status has said that it is stored
            return None


def quoted(text: str) -> bytes:
    """Return a structured-field string (RFC 8941, 3.3.3); ValueError where it cannot be one."""
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("not printable ASCII")
    return b'"%b"' % _TO_ESCAPE.sub(r"\\\1", text).encode("ascii")
