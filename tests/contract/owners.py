"""Owners that a test plays: of parts, that can be written to, and of stock, that sells."""

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.upstreams import Script, Seen, part, response


class Owner:
    """An owner of parts, as the contract has it: tags what it holds, takes each key once.

    writes, reads: what is done with the next ones, instead of what is usual. etags, keys: whether it knows them.
    status: with which it answers what it stored. effects: what was stored, in order, each with its key.
    """

    def __init__(self, source: str, *, etags: bool = True, keys: bool = True, status: int = 200) -> None:
        self.source = source
        self.etags = etags
        self.keys = keys
        self.status = status
        self.writes: deque[Script] = deque()
        self.reads: deque[Script] = deque()
        self.effects: list[tuple[str, str, str]] = []
        self._versions: dict[str, int] = {}
        self._stored: dict[str, bytes] = {}
        self._taken: dict[str, int] = {}

    def holds(self, sku: str = "1001") -> Any:
        """Return what is stored."""
        return json.loads(self.raw(sku))

    def raw(self, sku: str = "1001") -> bytes:
        """Return what is stored, to the byte."""
        return self._stored.get(sku) or part(self.source, sku).encode()

    def put(self, body: bytes | str, sku: str = "1001") -> None:
        """Store something, as others do."""
        self._stored[sku] = body.encode() if isinstance(body, str) else body
        self._versions[sku] = self._versions.get(sku, 0) + 1

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "PUT":
            await (self.writes.popleft() if self.writes else self.store)(seen, writer)
        else:
            await (self.reads.popleft() if self.reads else self.show)(seen, writer)

    async def show(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        """Answer a read."""
        writer.write(response(self.raw(seen.sku), 200, {"ETag": self._tag(seen.sku)} if self.etags else None))

    async def store(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        """Take a write, unless it has been taken, or is of something that has changed since."""
        writer.write(self.taken(seen))

    def taken(self, seen: Seen) -> bytes:
        """Take a write and return the answer to it."""
        key = seen.headers["idempotency-key"]
        if self.keys and key in self._taken:
            return self._answer(seen, self._taken[key])
        if self.etags and seen.headers.get("if-match", self._tag(seen.sku)) != self._tag(seen.sku):
            return response("", 412)
        self.effects.append((key, seen.sku, seen.body.decode()))
        self.put(seen.body, seen.sku)
        self._taken[key] = self.status
        return self._answer(seen, self.status)

    def then(self, script: Script) -> Script:
        """Return a script that stores, and then answers otherwise."""

        async def stored(seen: Seen, writer: asyncio.StreamWriter) -> None:
            self.taken(seen)
            await script(seen, writer)

        return stored

    def _tag(self, sku: str) -> str:
        return f'"{self._versions.get(sku, 0)}"'

    def _answer(self, seen: Seen, status: int) -> bytes:
        return b"HTTP/1.1 204 X\r\n\r\n" if status == 204 else response(seen.body, status)


class Till(Owner):
    """The owner of stock that sells: each reservation gets its first answer again.

    posts: what is done with the next ones. deducted: by reservation, what it took. calls: bodies of deductions.
    """

    def __init__(self, **units: int) -> None:
        super().__init__("stock")
        self.posts: deque[Script] = deque()
        self.left = units
        self.deducted: dict[str, tuple[str, int]] = {}
        self.first: dict[str, str] = {}
        self.calls: list[dict[str, Any]] = []
        self.releases: list[str] = []

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "POST" and self.posts:
            await self.posts.popleft()(seen, writer)
        elif seen.method == "POST":
            await self.sell(seen, writer)
        else:
            await super().__call__(seen, writer)

    def raw(self, sku: str = "1001") -> bytes:
        return json.dumps({"sku_id": sku, "quantity": self.left.get(sku, 0)}).encode()

    async def sell(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        """Answer a call as it should be."""
        writer.write(response(json.dumps(self.done(seen))))

    def done(self, seen: Seen) -> dict[str, Any]:
        """Do what a call asks for, and return what is to be answered."""
        body = json.loads(seen.body)
        if seen.target == "/release":
            for item in body["items"]:
                self._release(item["reservation_id"])
            return {}
        self.calls.append(body)
        return {"results": [{"reservation_id": i["reservation_id"], "status": self._deduct(i)} for i in body["items"]]}

    def then(self, script: Script) -> Script:
        async def sold(seen: Seen, writer: asyncio.StreamWriter) -> None:
            self.done(seen)
            await script(seen, writer)

        return sold

    def _deduct(self, item: dict[str, Any]) -> str:
        name, sku, quantity = item["reservation_id"], item["sku_id"], item["quantity"]
        if name not in self.first:
            self.first[name] = self._status(sku, quantity)
            if self.first[name] == "deducted":
                self.left[sku] -= quantity
                self.deducted[name] = (sku, quantity)
        return self.first[name]

    def _status(self, sku: str, quantity: int) -> str:
        if sku not in self.left:
            return "unknown"
        return "deducted" if self.left[sku] >= quantity else "insufficient"

    def _release(self, name: str) -> None:
        self.releases.append(name)
        self.first.setdefault(name, "released")
        if name in self.deducted:
            sku, quantity = self.deducted.pop(name)
            self.left[sku] += quantity


@dataclass
class Owners:
    """The three of them."""

    info: Owner = field(default_factory=lambda: Owner("info"))
    price: Owner = field(default_factory=lambda: Owner("price"))
    stock: Owner = field(default_factory=lambda: Owner("stock"))

    def __iter__(self) -> Iterator[Owner]:
        return iter((self.info, self.price, self.stock))
