"""Where Redis is, and how a connection to it is made.

`redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, with redis-py's own options as query parameters (such
as `ssl_ca_certs`); and `redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/db]`, `rediss+sentinel://`,
where the hosts are those of the sentinels, which are asked with the same name, password and options.
"""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.asyncio.client import Redis
from redis.asyncio.connection import Connection, ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

CONNECT_SECONDS = 1.0
SENTINEL_PORT = 26379
_SENTINEL = "+sentinel"
_NO_URL = "must be a URL with a valid host and port; percent-encode what a password has of / ? # @"


class Address:
    """Where Redis is. Raises ValueError where a URL is none of those above."""

    def __init__(self, url: str) -> None:
        self._sentinels: list[Redis] = []
        _look_at(url)
        try:
            self._pool = self._sentinel_pool(url) if urlsplit(url).scheme.endswith(_SENTINEL) else _pool(url)
            self.connection()
        except TypeError:
            raise ValueError("must have no query parameters that are not known") from None

    def __repr__(self) -> str:
        return f"<Address {'behind sentinels' if self._sentinels else 'of a server'}>"

    def connection(self) -> Connection:
        """Return a connection that is not yet made."""
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    async def aclose(self) -> None:
        """Close what connections to sentinels there are."""
        for sentinel in self._sentinels:
            await sentinel.aclose()

    def _sentinel_pool(self, url: str) -> ConnectionPool:
        parts = urlsplit(url)
        service, _, database = parts.path.strip("/").partition("/")
        credentials, at, hosts = parts.netloc.rpartition("@")
        scheme = parts.scheme.removesuffix(_SENTINEL)
        if not service:
            raise ValueError("must name the service that the sentinels watch: …/service[/db]")
        options = _options(f"{scheme}://{credentials}{at}host/{database}?{parts.query}")
        del options["host"]
        if options.pop("connection_class", None) is not None:
            options["ssl"] = True
        own = {name: value for name, value in options.items() if name != "db"}
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [_host(host) for host in hosts.split(",")], sentinel_kwargs=own, **options
        )
        self._sentinels = sentinel.sentinels
        pool: ConnectionPool = sentinel.master_for(service).connection_pool
        return pool


def _look_at(url: str) -> None:
    """Refuse what Python's own words would be said of: they quote the value, and with it a password."""
    try:
        parts = urlsplit(url)
        port = 1 if parts.scheme.endswith(_SENTINEL) else parts.port
    except ValueError:
        raise ValueError(_NO_URL) from None
    if port == 0 or "#" in url:
        raise ValueError(_NO_URL)
    if "," in parts.netloc and not parts.scheme.endswith(_SENTINEL):
        raise ValueError("must have one host; several are sentinels: redis+sentinel://")
    if "db" in parse_qs(parts.query):
        raise ValueError("must have its database in the path")


def _pool(url: str) -> ConnectionPool:
    options = _options(url)
    return ConnectionPool(**options)


def _options(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("must be a redis:// or rediss:// URL with a host, or one with +sentinel")
    database = parts.path.strip("/")
    if database and not (database.isascii() and database.isdecimal()):
        raise ValueError("must have a database that is a number")
    # By default redis-py tries ten times, which is 5 s for a refused port and 25 s for a black hole; here each try is
    # somebody's who counts them. What is asked is bounded by who asks it, and not by the socket.
    return {
        **parse_url(url),
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": None,
        "protocol": 2,
        "driver_info": None,
    }


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, str(SENTINEL_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("must name its sentinels as host[:port]")
    return host.strip("[]"), int(port)
