"""The Postgres that other tests rely on: what it keeps, where it answers, and what is left of it."""

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg
import pytest

from tests.postgres_server import (
    LOOPBACK,
    PROGRAMS,
    PostgresServer,
    _copied,
    _open_to_all,
    _packages,
    _temporary,
    fresh,
    postgres_server,
)

TLS_REQUEST = struct.pack("!II", 8, 80877103)  # "SSLRequest" of the protocol: answered with one letter, here with no


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def value(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row and row[0]


def write(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_it_answers(server: PostgresServer) -> None:
    assert value(server.url, "SELECT 1") == 1


def test_what_it_acknowledges_is_on_disk(server: PostgresServer) -> None:
    assert [value(server.url, f"SHOW {name}") for name in ("fsync", "synchronous_commit")] == ["on", "on"]


def test_it_is_reached_by_its_port_alone(server: PostgresServer) -> None:
    assert value(server.url, "SHOW unix_socket_directories") == ""
    assert value(server.url, "SHOW listen_addresses") == "127.0.0.1"


@pytest.mark.parametrize("end", [PostgresServer.stop, PostgresServer.crash])
def test_what_was_committed_outlives_its_end(server: PostgresServer, end: Callable[[PostgresServer], None]) -> None:
    url, process = fresh(server), server.pid
    write(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    end(server)
    with pytest.raises(psycopg.OperationalError):
        value(url, "SELECT 1")
    server.start()
    assert server.pid != process
    assert value(url, "SELECT n FROM kept") == 7


def test_a_crash_takes_what_was_not_committed(server: PostgresServer) -> None:
    url = fresh(server)
    write(url, "CREATE TABLE kept (n int)")
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO kept VALUES (7)")
        server.crash()
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    server.start()
    assert value(url, "SELECT count(*) FROM kept") == 0


def test_a_fresh_database_knows_nothing_of_the_others(server: PostgresServer) -> None:
    write(fresh(server), "CREATE TABLE kept (n int)")
    assert value(fresh(server), "SELECT to_regclass('kept')") is None


def test_a_paused_server_takes_connections_and_answers_later(server: PostgresServer) -> None:
    server.pause()
    try:
        halted = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        assert len(halted) > 2
        assert {process.status() for process in halted} <= {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
        client = socket.create_connection((LOOPBACK, server.port), timeout=0.1)
        client.sendall(TLS_REQUEST)
        with pytest.raises(TimeoutError):
            client.recv(1)
    finally:
        server.resume()
    with client:
        client.settimeout(10)
        assert client.recv(1) == b"N"


def test_a_paused_server_can_be_stopped(server: PostgresServer) -> None:
    server.pause()
    server.stop()
    server.start()
    assert value(server.url, "SELECT 1") == 1


def test_nothing_is_left_of_it() -> None:
    with postgres_server() as server:
        url = server.url
        processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        folder = Path(processes[0].cwd())
    assert not any(process.is_running() for process in processes)
    assert not folder.parent.exists()
    with pytest.raises(psycopg.OperationalError):
        value(url, "SELECT 1")


def test_nothing_is_left_where_the_test_fails() -> None:
    with pytest.raises(ZeroDivisionError), postgres_server() as server:
        process = psutil.Process(server.pid)
        raise ZeroDivisionError
    assert not process.is_running()


def test_a_program_below_a_closed_folder_is_not_open_to_all(tmp_path: Path) -> None:
    program = tmp_path / "closed" / "program"
    program.parent.mkdir(mode=0o700)
    program.touch(mode=0o755)
    assert not _open_to_all(program)
    assert _open_to_all(Path("/"))


def test_a_copy_serves_where_the_wheel_cannot_be_reached() -> None:
    with TemporaryDirectory(dir=_temporary()) as folder:
        server = PostgresServer(_copied(_packages()) / PROGRAMS, Path(folder))
        try:
            server.start()
            assert value(server.url, "SELECT 1") == 1
        finally:
            server.stop()
