"""The page as FastAPI's and httpx's documentation show how: `uvicorn benchmarks.peers.usual:app`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, TypedDict, TypeVar

import httpx  # noqa: TID251 - the client that this peer is about
from fastapi import Depends, FastAPI, HTTPException, Path, Request
from pydantic import BaseModel, ValidationError

TIMEOUT_SECONDS = 0.8


class Info(BaseModel):
    sku_id: str
    name: str
    description: str | None = None


class Price(BaseModel):
    sku_id: str
    price: float
    original_price: float | None = None


class Stock(BaseModel):
    sku_id: str
    quantity: int
    available: bool


class Source(BaseModel):
    state: str
    as_of: str | None
    reason: str | None


class Meta(BaseModel):
    complete: bool
    sources: dict[str, Source]


class Page(BaseModel):
    info: Info
    price: Price | None
    stock: Stock | None
    meta: Meta


class State(TypedDict):
    client: httpx.AsyncClient


PartT = TypeVar("PartT", Info, Price, Stock)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
    """Share one client, and with it its connections, between all requests."""
    # With httpx's own limits: more connections make it slower, with far fewer some pages at once end in PoolTimeout.
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
        yield {"client": client}


app = FastAPI(lifespan=lifespan)


def get_client(request: Request) -> httpx.AsyncClient:
    client: httpx.AsyncClient = request.state.client
    return client


async def fetch(client: httpx.AsyncClient, name: str, model: type[PartT], sku: str) -> tuple[PartT | None, Source]:
    """Ask one service for its part; the other value says how that went."""
    as_of = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")  # noqa: TID251 - as it is usual
    try:
        response = await client.get(os.environ[f"{name.upper()}_URL"].replace("{sku}", sku))
        response.raise_for_status()
        part = model.model_validate_json(response.content)
    except httpx.TimeoutException:
        return None, Source(state="missing", as_of=None, reason="timeout")
    except httpx.HTTPStatusError as exc:
        reason = "not_found" if exc.response.status_code == httpx.codes.NOT_FOUND else "unavailable"
        return None, Source(state="missing", as_of=None, reason=reason)
    except httpx.HTTPError:
        return None, Source(state="missing", as_of=None, reason="unavailable")
    except ValidationError:
        return None, Source(state="missing", as_of=None, reason="garbled")
    if part.sku_id != sku:
        return None, Source(state="missing", as_of=None, reason="garbled")
    return part, Source(state="ok", as_of=as_of, reason=None)


@app.get("/api/v1/products/{sku}")
async def product(
    sku: Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")],
    client: Annotated[httpx.AsyncClient, Depends(get_client)],
) -> Page:
    """Return the page: it cannot be without info, and the other parts may be null."""
    (info, of_info), (price, of_price), (stock, of_stock) = await asyncio.gather(
        fetch(client, "info", Info, sku),
        fetch(client, "price", Price, sku),
        fetch(client, "stock", Stock, sku),
    )
    if info is None:
        status = {"not_found": 404, "timeout": 504}.get(of_info.reason or "", 502)
        raise HTTPException(status, detail=f"info: {of_info.reason}")
    complete = price is not None and stock is not None
    sources = {"info": of_info, "price": of_price, "stock": of_stock}
    return Page(info=info, price=price, stock=stock, meta=Meta(complete=complete, sources=sources))
