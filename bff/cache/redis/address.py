"""Where Redis is, and how a connection to it is made.

`redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, with redis-py's own options as query parameters (such
as `ssl_ca_certs`); and `redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/db]`, `rediss+sentinel://`,
where the hosts are those of the sentinels, which are asked with the same name and password.
"""

from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

CONNECT_SECONDS = 1.0
SENTINEL_PORT = 26379
_SENTINEL = "+sentinel"

Connect = Callable[[], Connection]
"""Returns a connection that is not yet made."""


def connector(url: str) -> Connect:
    """Return what makes connections to a URL; ValueError where it is none of those above."""
    parts = urlsplit(url)
    if not parts.scheme.endswith(_SENTINEL):
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ValueError("must be a redis:// or rediss:// URL with a host, or one with +sentinel")
        pool = ConnectionPool.from_url(url, **_options())
    else:
        pool = _sentinel_pool(url)
    make: Connect = pool.make_connection
    try:
        make()
    except TypeError:
        raise ValueError("must have no query parameters that are not known") from None
    return make


def _sentinel_pool(url: str) -> ConnectionPool:
    parts = urlsplit(url)
    service, _, database = parts.path.strip("/").partition("/")
    if parts.scheme not in ("redis" + _SENTINEL, "rediss" + _SENTINEL) or not service:
        raise ValueError("must be redis+sentinel://host[:port][,host[:port]…]/service[/db]")
    if database and not database.isdecimal():
        raise ValueError("must have a database that is a number")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    login = {"username": unquote(user) or None, "password": unquote(password) or None}
    tls = dict(parse_qsl(parts.query)) | {"ssl": True} if parts.scheme.startswith("rediss") else {}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        [_host(host) for host in hosts.split(",")],
        sentinel_kwargs={**_options(), **login, **tls},
        **_options(),
        **login,
        **tls,
        db=int(database or 0),
    )
    pool: ConnectionPool = sentinel.master_for(service).connection_pool
    return pool


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, str(SENTINEL_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("must name its sentinels as host[:port]")
    return host.strip("[]"), int(port)


def _options() -> dict[str, object]:
    # By default redis-py tries ten times, which is 5 s for a refused port and 25 s for a black hole; here each try is
    # somebody's who counts them. What is asked is bounded by who asks it, and not by the socket.
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": None,
        "protocol": 2,
        "driver_info": None,
    }
