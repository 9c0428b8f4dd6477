"""What happens to a change, as it happens: `text/event-stream`, from the journal, taken up again anywhere."""

import re
from collections.abc import AsyncIterator, Callable

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from bff.api.auth import Refused, scoped
from bff.api.changes import PREFIX, SCOPE, SECURED, unknown
from bff.api.edge import is_head
from bff.api.ids import Id
from bff.api.workschema import EVENT_RESPONSES
from bff.auth.bearer import Authenticator
from bff.durable.database import Away
from bff.durable.desk import Desk
from bff.durable.journal import CHANGE_ENDS, Event
from bff.product.loader import iso

COMMENT_SECONDS = 15.0
MOST_STREAMS = 200
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_DIGITS = 9  # of more events than anyone has
_HEADERS = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}


class Streams:
    """The streams that are open. clock: monotonic."""

    def __init__(self, desk: Desk, clock: Callable[[], float]) -> None:
        self._desk = desk
        self._clock = clock
        self._open = 0

    def __repr__(self) -> str:
        return f"<Streams {self._open} open>"

    @property
    def full(self) -> bool:
        """Whether there is room for no other one."""
        return self._open >= MOST_STREAMS

    async def stream(self, change_id: str, after: int) -> AsyncIterator[bytes]:
        """Give the events of a change after a number, until it has ended."""
        self._open += 1
        last = self._clock()
        try:
            async for happened in self._desk.follow(change_id, after):
                now = self._clock()
                if happened:
                    yield b"".join(map(_event, happened))
                    last = now
                elif now - last >= COMMENT_SECONDS:
                    yield b": still there\n\n"
                    last = now
        except Away:
            return  # whoever follows comes again, and says what was the last that it had
        finally:
            self._open -= 1


def router(desk: Desk, authenticator: Authenticator, clock: Callable[[], float]) -> APIRouter:
    """Return the route. clock: monotonic."""
    router = APIRouter(prefix=PREFIX, tags=["changes"])
    streams = Streams(desk, clock)

    @router.get(
        "/{id}/events",
        response_class=Response,
        responses=EVENT_RESPONSES,
        dependencies=[Depends(scoped(authenticator, SCOPE))],
        openapi_extra=SECURED,
    )
    async def events(id: Id, request: Request) -> Response:  # noqa: A002 - as the path has it
        """What happens to a change, from the first event, or from that after `Last-Event-ID`."""
        change = await desk.find_change(id)
        if change is None:
            return unknown(request)
        after = min(_after(request), change.seq)  # of a later one nobody has been told
        if change.state in CHANGE_ENDS and after == change.seq:
            return Response(status_code=204, headers={"cache-control": "no-store"})
        if is_head(request.scope):
            return Response(headers=_HEADERS)
        if streams.full:
            raise Refused("overloaded", "Too many are following changes at present.")
        return StreamingResponse(streams.stream(id, after), headers=_HEADERS)

    return router


def _after(request: Request) -> int:
    last = request.headers.get("last-event-id", "")
    if not _NUMBER.fullmatch(last):
        return 0
    return int(last) if len(last) <= _DIGITS else 10**_DIGITS


def _event(event: Event) -> bytes:
    data = {"seq": event.seq, "at": iso(event.at), "step": event.step, "state": event.state, "cause": event.cause}
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, event.event.encode(), msgspec.json.encode(data))
