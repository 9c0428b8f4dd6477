"""The running service, as whoever imports asks it: over kept connections, again and again until there is an answer.

Asking again is safe: a change is asked for under a key of its own, and the service takes a key once.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from bff.imports.pace import Impatient, Pace
from bff.imports.rows import Outcome, Row
from clients.errors import UpstreamError
from clients.http import URL, AnyTransport, Header, InvalidURL, Response, Target, content_of, retry_after, send

CHANGES = "/api/v1/changes"
ANSWER_SECONDS = 15.0
MAX_ANSWER_BYTES = 1024 * 1024
BROKEN_TRIES = 5
"""After so many answers 500 a row is left to the next run, and those behind it go on."""

BROKEN_PAUSE_SECONDS = 0.2

ENDS = ("succeeded", "compensated", "failed", "cancelled", "timed_out")
AGAIN = frozenset({408, 425, 429, 502, 503, 504})
HOPELESS = frozenset({401, 403, 405, 501})

_PLACE = "{id}"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(r"[\x21-\x7e]+")


class Stopped(Exception):
    """Nothing can be imported at present; the text says why."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A row became a change. replayed: whether it had been one before it was asked for here."""

    change_id: str
    replayed: bool


class Service:
    """The service at a URL. key: what each row's is made of; at_once: most requests; say: told what is worth it."""

    def __init__(
        self,
        url: str,
        token: str,
        key: str,
        transport: AnyTransport,
        pace: Pace,
        at_once: int,
        say: Callable[[str], None],
    ) -> None:
        self._url = url
        self._key = key
        self._transport = transport
        self._pace = pace
        self._slots = asyncio.Semaphore(at_once)
        self._say = say
        self._changes = Target(url.rstrip("/") + CHANGES, _PLACE)
        self._change = Target(f"{url.rstrip('/')}{CHANGES}/{_PLACE}", _PLACE)
        self._headers: list[Header] = [
            (b"Authorization", b"Bearer " + token.encode()),
            (b"Accept", b"application/json"),
        ]

    def __repr__(self) -> str:
        return f"<Service {self._changes!r} {self._pace!r}>"

    async def accept(self, row: Row) -> Accepted | Outcome:
        """Have a row become a change, however long that takes; an Outcome where it cannot. Raises Stopped."""
        key: Header = (b"Idempotency-Key", f"{self._key}-{row.number}".encode())
        headers = [*self._headers, key, (b"Content-Type", b"application/json")]
        for tried in range(1, BROKEN_TRIES + 1):
            answer, asked = await self._ask(self._changes, b"", headers, row.body)
            status = answer.status_code
            if status == 202:
                replayed = asked == 1 and answer.headers.get("idempotent-replayed") == "true"
                return Accepted(self._id(answer), replayed)
            if 400 <= status < 500 and status not in (404, *HOPELESS):
                return Outcome("refused", _told(answer))
            if status != 500:
                raise self._stopped(answer)
            await asyncio.sleep(tried * BROKEN_PAUSE_SECONDS)
        return Outcome("broken", _told(answer))

    async def ended(self, change_id: str) -> Outcome | None:
        """Return how a change has ended, None where it has not; raises Stopped."""
        answer, _ = await self._ask(self._change, change_id.encode(), self._headers, None)
        if answer.status_code == 404:
            return Outcome("unknown", "it was accepted, and the service knows it no more", change_id)
        if answer.status_code != 200:
            raise self._stopped(answer)
        change = _json(answer)
        state = change.get("state")
        return Outcome(state, change.get("error"), change_id) if state in ENDS else None

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def _ask(
        self, target: Target, value: bytes, headers: list[Header], body: bytes | None
    ) -> tuple[Response, int]:
        """Ask until there is an answer that is one; return it, and how often it was asked for."""
        for asked in count(1):
            async with self._slots:
                while (seconds := self._pace.wait()) > 0:  # noqa: ASYNC110 - it may have grown meanwhile
                    await asyncio.sleep(seconds)
                found = await self._once(target, value, headers, body)
            if isinstance(found, Response):
                self._well()
                return found, asked
            self._ill(found)
        raise AssertionError("the count has an end")

    async def _once(
        self, target: Target, value: bytes, headers: list[Header], body: bytes | None
    ) -> "Response | _Nothing":
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await send(self._transport, target, value, headers, max_bytes=MAX_ANSWER_BYTES, content=body)
        except UpstreamError as exc:
            return _Nothing(f"no answer: {exc}")
        except TimeoutError:
            return _Nothing(f"no answer within {ANSWER_SECONDS:g} s")
        if _comes_again(answer, reading=body is None):
            return _Nothing(f"status {answer.status_code}", retry_after(answer.headers))
        return answer

    def _well(self) -> None:
        if not self._pace.well:
            self._say("the service answers again")
        self._pace.answered()

    def _ill(self, nothing: "_Nothing") -> None:
        if self._pace.well:
            self._say(f"{self._url}: {nothing.why}; asking again")
        try:
            self._pace.failed(nothing.wait_seconds)
        except Impatient as exc:
            raise Stopped(f"{self._url}: {nothing.why}, for too long") from exc

    def _id(self, answer: Response) -> str:
        found = _json(answer).get("id")
        if not isinstance(found, str) or not _ID.fullmatch(found):
            raise Stopped(f"{self._url}: what answers there is not this service")
        return found

    def _stopped(self, answer: Response) -> Stopped:
        return Stopped(f"{self._url}: status {answer.status_code}: {_told(answer)}")


@dataclass(frozen=True, slots=True)
class _Nothing:
    """No answer, or none but to ask again, after so many seconds."""

    why: str
    wait_seconds: float = 0.0


def is_url(text: str) -> bool:
    """Return whether a service may be there: http or https, a host, perhaps a port and a path."""
    try:
        parts = urlsplit(text)
        own = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and bool(URL(text).host)
    except (ValueError, InvalidURL):
        return False
    return own and bool(_HOST.fullmatch(text)) and "@" not in parts.netloc and not set("?#{}") & set(text)


def _comes_again(answer: Response, *, reading: bool) -> bool:
    status = answer.status_code
    if status in AGAIN or (reading and status == 500):
        return True
    return status == 409 and str(_json(answer).get("type")).endswith(":key-in-use")


def _told(answer: Response) -> str:
    """Return what a problem says is wrong."""
    problem = _json(answer)
    if str(problem.get("type")).endswith(":key-reused"):
        return "was imported before, with other options; with another --name the file is imported anew"
    try:
        errors = [f"{error['field']} {error['message']}".strip() for error in problem.get("errors", ())]
        return "; ".join(errors) or str(problem["detail"])
    except (KeyError, TypeError):
        return f"status {answer.status_code}"


def _json(answer: Response) -> dict[str, Any]:
    try:
        found = json.loads(content_of(answer))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
