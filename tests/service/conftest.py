"""Real Redis servers for the tests of what pods share, and databases for those of durable work."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from bff.durable.postgres import Postgres
from bff.durable.sqlite import Sqlite
from tests.postgres_server import PostgresServer, fresh, postgres_server
from tests.redis_server import LOOPBACK, RedisServer, redis_server
from tests.service.durabledb import Place, closing, monotonic, wall
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run a Postgres for all tests that do it no harm."""
    with postgres_server() as server:
        yield server
        server.crash()  # an orderly end would write out what nobody wants


@pytest.fixture(scope="session")
def database_url(postgres: PostgresServer) -> str:
    """Return the address of a database that tests have one after another."""
    return fresh(postgres)


@pytest.fixture
def emptied_url(database_url: str) -> str:
    """Return its address once it is empty, which takes a tenth of the time that another database does."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop schema if exists dbos cascade; drop schema public cascade; create schema public")
    return database_url


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Have an empty database, of each kind."""
    if request.param == "sqlite":
        made = Place("sqlite", lambda: Sqlite(tmp_path / "bff.sqlite", wall))
    else:
        url = request.getfixturevalue("emptied_url")
        made = Place("postgres", lambda: Postgres(url, monotonic, wall))
    with closing(made):
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def engine_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty database for an engine, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'dbos.sqlite'}"
    return str(request.getfixturevalue("emptied_url"))
