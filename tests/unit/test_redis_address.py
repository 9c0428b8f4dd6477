"""Where Redis is said to be."""

from typing import Any

import pytest
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from bff.cache.redis.address import CONNECT_SECONDS, Address


def made(url: str) -> Any:
    address = Address(url)
    connection: Any = address.connection()
    connection.made_by = address  # a sentinel's connection holds on to its pool by a weak reference alone
    return connection


PLAIN: dict[str, tuple[str, int, int, str | None, str | None]] = {
    "redis://r": ("r", 6379, 0, None, None),
    "redis://r:7000/3": ("r", 7000, 3, None, None),
    "redis://:secret@r": ("r", 6379, 0, None, "secret"),
    "redis://me:s%40cret@10.0.0.1:1/0": ("10.0.0.1", 1, 0, "me", "s@cret"),
    "redis://[::1]:7000": ("::1", 7000, 0, None, None),
}


@pytest.mark.parametrize(("url", "expected"), PLAIN.items(), ids=PLAIN)
def test_a_plain_url_says_host_port_database_user_and_password(
    url: str, expected: tuple[str, int, int, str | None, str | None]
) -> None:
    connection = made(url)
    assert isinstance(connection, Connection)
    assert not isinstance(connection, SSLConnection)
    user, password = connection.username, connection.password
    assert (connection.host, connection.port, int(connection.db), user or None, password) == expected


def test_each_is_tried_once_for_a_second() -> None:
    connection = made("redis://r")
    assert connection.socket_connect_timeout == CONNECT_SECONDS
    assert connection.retry._retries == 0


def test_tls_checks_by_default_and_takes_options() -> None:
    connection = made("rediss://r?ssl_ca_certs=/ca.pem")
    assert isinstance(connection, SSLConnection)
    assert connection.ssl_context.ca_certs == "/ca.pem"
    assert connection.ssl_context.check_hostname
    assert not made("rediss://r?ssl_check_hostname=false").ssl_context.check_hostname


def sentinels(url: str) -> list[tuple[str, int]]:
    connection = made(url)
    assert isinstance(connection, SentinelManagedConnection)
    pool = connection.connection_pool
    return [
        (one.connection_pool.connection_kwargs["host"], one.connection_pool.connection_kwargs["port"])
        for one in pool.sentinel_manager.sentinels
    ]


SENTINELS = {
    "redis+sentinel://a/service": [("a", 26379)],
    "redis+sentinel://a:1,b,c:3/service": [("a", 1), ("b", 26379), ("c", 3)],
    "redis+sentinel://me:secret@a,b:2/service/5": [("a", 26379), ("b", 2)],
    "redis+sentinel://[::1]:7,b/service": [("::1", 7), ("b", 26379)],
}


@pytest.mark.parametrize(("url", "expected"), SENTINELS.items(), ids=SENTINELS)
def test_sentinels_are_listed(url: str, expected: list[tuple[str, int]]) -> None:
    assert sentinels(url) == expected


def test_a_service_behind_sentinels_has_its_database_and_the_same_login() -> None:
    connection = made("redis+sentinel://me:s%40cret@a/service/5")
    assert (connection.db, connection.username, connection.password) == (5, "me", "s@cret")
    asked = connection.connection_pool.sentinel_manager.sentinels[0].connection_pool.connection_kwargs
    assert (asked["username"], asked["password"]) == ("me", "s@cret")


def test_tls_holds_for_sentinels_too() -> None:
    connection = made("rediss+sentinel://a/service?ssl_ca_certs=/ca.pem")
    assert isinstance(connection, SentinelManagedSSLConnection)
    assert connection.ssl_context.ca_certs == "/ca.pem"
    (one,) = connection.connection_pool.sentinel_manager.sentinels
    assert issubclass(one.connection_pool.connection_class, SSLConnection)


def test_options_mean_the_same_behind_sentinels() -> None:
    connection = made("rediss+sentinel://a/service?ssl_check_hostname=false")
    assert connection.ssl_context.check_hostname is False


REFUSED = (
    "", "r", "r:6379", "http://r", "unix:///tmp/redis.sock", "redis://", "redis:///0", "redis://:6379", "redis://r:port",
    "redis://r:99999", "redis://r?no_such_option=1", "redis://r/database", "rediss+sentinel://", "redis+sentinel://a",
    "redis+sentinel://a/", "redis+sentinel:///service", "redis+sentinel://a:0/service", "redis+sentinel://a:x/service",
    "redis+sentinel://a,/service", "redis+sentinel://a:70000/service", "redis+sentinel://a/service/five",
    "redis://r:0", "redis://r1,r2/0", "redis://r/3?db=5", "redis://r/3#5", "redis://user:s3cret#x@r/0",
    "redis://u:p@[s3cret]/0", "redis://u:p@r:s3cret/0", "redis://r:6379,s3cret:1/0",
    "http+sentinel://a/service", "rediss+sentinel://a/service?no_such_option=1", "redis+sentinel://a/service?no_such=1",
)  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must ") as refused:
        Address(url)
    assert "s3cret" not in str(refused.value)
