"""Whether a server answers, and with the page that it should."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.numbers.client import Reply, ask
from benchmarks.peers.process import Child

SKU = "ready-1"
START_SECONDS = 15.0
ANSWER_SECONDS = 2.0
_NEEDED = {"info": ("sku_id", "name"), "price": ("sku_id", "price"), "stock": ("sku_id", "quantity", "available")}
_AS_OF = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def until(child: Child, fault: Callable[[], Awaitable[str | None]]) -> None:
    """Wait until there is no fault any more; raise Failed where it stays or the process ends."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + START_SECONDS
    while not child.ended:
        found = await _tried(fault)
        if found is None:
            return
        if clock() > deadline:
            raise child.failed(found)
        await asyncio.sleep(0.05)
    raise child.failed("it ended")


async def page_fault(base: str, sku: str = SKU) -> str | None:
    """Return what is wrong with a server's page, None where nothing is."""
    (reply,) = await ask(base, [sku])
    return fault(reply, sku)


async def answer_fault(base: str) -> str | None:
    """Return what is wrong with the answer of a server whose answer does not depend on the SKU."""
    (reply,) = await ask(base, [SKU])
    return None if reply.status == 200 else f"it answers {reply.head!r}"


def fault(reply: Reply, sku: str) -> str | None:
    """Return what is wrong with an answer, None where it is the complete page of this SKU."""
    if reply.status != 200 or b"content-type: application/json" not in reply.head.lower():
        return f"it answers {reply.head!r} {reply.body!r}"
    page = json.loads(reply.body)
    wrong = [name for name in _NEEDED if not _is_part(page[name], name, sku) or not _is_ok(page["meta"], name)]
    if wrong or page["meta"]["complete"] is not True:
        return f"{', '.join(wrong)}: {reply.body!r}"
    return None


def parts(reply: Reply) -> dict[str, Any]:
    """Return what a page says of its product."""
    page = json.loads(reply.body)
    return {name: page[name] for name in _NEEDED}


def record(reply: Reply, file: Path) -> None:
    """Write an answer down as `bare` reads it, without the headers that the listener adds itself."""
    lines = (line.partition(": ") for line in reply.head.decode("latin-1").split("\r\n")[1:] if line)
    headers = [(name, value) for name, _, value in lines if name != "date"]
    file.write_text(json.dumps({"headers": headers, "body": reply.body.decode()}), encoding="utf-8")


def _is_part(part: Any, name: str, sku: str) -> bool:
    return isinstance(part, dict) and part.get("sku_id") == sku and all(field in part for field in _NEEDED[name])


def _is_ok(meta: Any, name: str) -> bool:
    source = meta["sources"][name]
    return source["state"] == "ok" and source["reason"] is None and bool(_AS_OF.fullmatch(source["as_of"]))


async def _tried(fault: Callable[[], Awaitable[str | None]]) -> str | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await fault()
    except (OSError, EOFError, TimeoutError) as exc:
        return f"it does not answer: {exc!r}"
    except (LookupError, TypeError, ValueError) as exc:
        return f"it answers something else: {exc!r}"
