"""The one module that knows httpx: its request and response types over our own transport.

Why not a ready-made transport: docs/architecture.md, "The transport". Redirects, cookies, proxies and environment
variables do not exist here. Foreign exceptions are translated once, in `send` and, for changes, in `put` and `post`.
"""

import asyncio
import email.utils
import functools
import itertools
import re
import ssl
from collections.abc import Iterable, Mapping
from typing import cast

import httpx

from clients.connection import ConnectionFailed, Malformed, TooLarge
from clients.errors import Garbled, NotSent, Postponed, Rejected, Throttled, Unavailable, Unknown, UpstreamError
from clients.pool import Origin, Pool

URL = httpx.URL
InvalidURL = httpx.InvalidURL
Response = httpx.Response
AnyTransport = httpx.AsyncBaseTransport
DEFAULT_MAX_BYTES = 4 * 1024 * 1024
_DEFAULT_PORT = {"http": 80, "https": 443}
_UNSENDABLE = re.compile(rb"[\r\n\0]")
_SECONDS = re.compile(r"[0-9]{1,9}")

Header = tuple[bytes, bytes]


class Transport(httpx.AsyncBaseTransport):
    """An HTTP/1.1 transport that loses no connection under cancellation and bounds what it reads.

    A request's extension `max_bytes` bounds its decoded answer; `target`, as in httpx's own transport, is asked for
    instead of the URL's path; `sending` makes it go over a new connection, and is called before its first byte does.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, max_age: float = 60, max_idle: float = 4) -> None:
        self._tls = tls
        self._max_age = max_age
        self._max_idle = max_idle
        self._pools: dict[tuple[str, str, int | None], Pool] = {}

    def __repr__(self) -> str:
        return f"<Transport {list(self._pools.values())}>"

    @property
    def open_connections(self) -> int:
        """How many sockets are open, idle ones included."""
        return sum(len(pool.open) for pool in self._pools.values())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its answer, body included.

        Raises httpx.ConnectError, ReadError, RemoteProtocolError or DecodingError; UnsupportedProtocol or
        LocalProtocolError for what is not sent.
        """
        pool = self._pool(request)
        content = b"".join(request.stream) if isinstance(request.stream, httpx.ByteStream) else await request.aread()
        max_bytes = request.extensions.get("max_bytes", DEFAULT_MAX_BYTES)
        sending = request.extensions.get("sending")
        data = _head(request, len(content)) + content
        try:
            if sending is None:
                answer = await pool.exchange(data, max_bytes)
            else:
                answer = await pool.exchange_anew(data, max_bytes, sending)
        except (OSError, UnicodeError) as exc:  # the latter for a host name that is none
            raise httpx.ConnectError(type(exc).__name__, request=request) from exc
        except ConnectionFailed as exc:
            raise httpx.ReadError(str(exc), request=request) from exc
        except Malformed as exc:
            raise httpx.RemoteProtocolError(str(exc), request=request) from exc
        except TooLarge as exc:
            raise httpx.DecodingError(str(exc), request=request) from exc
        # A stream and not `content`, which httpx takes through ten microseconds of guessing at its length and type.
        return httpx.Response(
            answer.status, headers=answer.headers, stream=httpx.ByteStream(answer.body), request=request
        )

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, request: httpx.Request) -> Pool:
        url = request.url
        if url.scheme not in _DEFAULT_PORT or request.method == "HEAD":
            raise httpx.UnsupportedProtocol("neither HEAD nor anything but http and https is spoken", request=request)
        key = (url.scheme, url.host, url.port)
        pool = self._pools.get(key)
        if pool is None:
            loop = asyncio.get_running_loop()
            tls = (self._tls or ssl.create_default_context()) if url.scheme == "https" else None
            port = url.port or _DEFAULT_PORT[url.scheme]
            origin = Origin(url.host, port, tls, self._max_age, self._max_idle)
            pool = self._pools[key] = Pool(origin, loop)
        return pool


class Target:
    """A URL template, taken apart once: what is put into it is one path segment or query value, already encoded."""

    def __init__(self, template: str, placeholder: str) -> None:
        # No end of a mark is a beginning of it, so it is found where it was put, whatever stands around it.
        mark = next(mark for number in itertools.count() if (mark := f"sku{number}x") not in template)
        self._mark = mark.encode()
        url = httpx.URL(template.replace(placeholder, mark))
        self._raw_path = url.raw_path
        self.origin = url.copy_with(raw_path=b"/")
        self.host = url.netloc
        self.places = self._raw_path.count(self._mark)
        # Of the whole URL as it is sent, without what is put into it.
        self.length = len(f"{url.scheme}://") + len(url.netloc) + len(self.of(b""))

    def __repr__(self) -> str:
        return f"<Target {self.origin}>"

    def of(self, value: bytes) -> bytes:
        """Return what is asked for with a value in the placeholder's place."""
        return self._raw_path.replace(self._mark, value)


async def send(
    transport: httpx.AsyncBaseTransport,
    target: Target,
    value: bytes,
    headers: Iterable[Header],
    *,
    max_bytes: int,
    content: bytes | None = None,
) -> httpx.Response:
    """Read what a target has of a value: by POST where there is content, else by GET.

    Raises Unavailable where no answer came, Garbled where it was no HTTP or too large.
    """
    own = [(b"Host", target.host), *headers]
    if content is not None:
        own.append((b"Content-Length", b"%d" % len(content)))
    request = httpx.Request(
        "GET" if content is None else "POST",
        target.origin,
        headers=own,
        stream=httpx.ByteStream(content or b""),
        extensions={"max_bytes": max_bytes, "target": target.of(value)},
    )
    try:
        return await transport.handle_async_request(request)
    except httpx.NetworkError as exc:
        raise Unavailable(str(exc)) from exc
    except (httpx.ProtocolError, httpx.DecodingError) as exc:
        raise Garbled(str(exc)) from exc


async def _once(
    method: str,
    transport: httpx.AsyncBaseTransport,
    target: Target,
    value: bytes,
    headers: Iterable[Header],
    content: bytes,
    *,
    max_bytes: int,
    seconds: float,
) -> httpx.Response:
    """Have something done by a target, once and over a new connection, within the seconds given.

    Raises NotSent where no byte was written, Unknown where no answer came, none in time, or none that is HTTP.
    """
    sent: list[bool] = []
    request = httpx.Request(
        method,
        target.origin,
        headers=[(b"Host", target.host), *headers, (b"Content-Length", b"%d" % len(content))],
        stream=httpx.ByteStream(content),
        extensions={"max_bytes": max_bytes, "target": target.of(value), "sending": lambda: sent.append(True)},
    )
    try:
        async with asyncio.timeout(seconds):
            return await transport.handle_async_request(request)
    except (httpx.RequestError, TimeoutError) as exc:
        raise (Unknown if sent else NotSent)(str(exc) or "timeout") from exc


put = functools.partial(_once, "PUT")
post = functools.partial(_once, "POST")


def body_of(response: httpx.Response, not_found: frozenset[int]) -> bytes | None:
    """Return a 200's body, or None where the status means that the SKU is unknown.

    Raises Unavailable, Throttled, Postponed or Rejected for every other status.
    """
    status = response.status_code
    if status == 200:
        return content_of(response)
    if status in not_found:
        return None
    raise refusal(response)


def content_of(response: httpx.Response) -> bytes:
    """Return an answer's body."""
    return b"".join(cast(httpx.ByteStream, response.stream))


def refusal(response: httpx.Response) -> UpstreamError:
    """Return what a status means that is no answer: Unavailable, Throttled, Postponed or Rejected."""
    status, wait = response.status_code, retry_after(response.headers)
    if status >= 500:
        return Unavailable(f"status {status}", retry_after=wait)
    if status == 429:
        return Throttled("status 429", retry_after=wait)
    if status in (408, 425):
        return Postponed(f"status {status}", retry_after=wait)
    return Rejected(f"status {status}")


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that `Retry-After` asks for (RFC 9110, 10.2.3), 0 where it asks nothing readable.

    A date is counted from the answer's own `Date`, so that no clock of ours is compared with the source's.
    """
    value = headers.get("retry-after", "")
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
        return max(0.0, (until - email.utils.parsedate_to_datetime(headers.get("date", ""))).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _head(request: httpx.Request, content_length: int) -> bytes:
    target = request.extensions.get("target") or request.url.raw_path
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), target)]
    fields = request.headers.raw
    if _UNSENDABLE.search(b"".join([value for _, value in fields])):
        raise httpx.LocalProtocolError("a header value with a line break or NUL", request=request)
    for name, value in fields:
        if name.lower() == b"transfer-encoding":  # a streamed body was read first, and is sent with its length
            lines.append(b"Content-Length: %d" % content_length)
        else:
            lines.append(b"%b: %b" % (name, value))
    lines.append(b"\r\n")
    return b"\r\n".join(lines)
