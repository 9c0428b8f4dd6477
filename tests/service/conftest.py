"""Real Redis servers for the tests of what pods share."""

from collections.abc import Iterator

import pytest
import redis

from tests.redis_server import LOOPBACK, RedisServer, redis_server
from tests.service.redispods import age
from tests.service.redisscripts import Server


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Run a server of the test's own, whose registry of pods is no new one."""
    with redis_server() as server:
        age(server)
        yield server


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    """Run a server for all tests of a module."""
    with redis_server() as server:
        yield server


@pytest.fixture
def scripted(running: RedisServer) -> Iterator[Server]:
    """Run scripts on an empty server."""
    with redis.Redis(LOOPBACK, running.port) as client:
        client.flushall()
        yield Server(client)
