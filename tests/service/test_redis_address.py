"""Connections to a real Redis: with a user and a password, over TLS, and by way of sentinels."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

import pytest
import redis

from bff.cache.redis.address import Address
from bff.cache.redis.lane import Lane, Unanswered
from bff.cache.redis.reach import reach
from tests.harness import until
from tests.redis_server import LOOPBACK, RedisServer, _free_port, _program, redis_server
from tests.service.redispods import LONG, page, pods, states, trusting
from tests.service.test_redis_changes import is_true

# As docs/operations.md has them.
RULES = "~bff:* &bff:* +@read +@write +@scripting +@pubsub +@connection +info +time"
STARTED_SECONDS = 10.0


@pytest.fixture(scope="module")
def certificate() -> Iterator[Path]:
    """Make a certificate of 127.0.0.1, its key in the same file."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "both.pem"
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", f"{file}.crt"]
        subprocess.run([*command.split(), *names], check=True, capture_output=True)
        file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
        yield file


@contextmanager
def started(port: int, *options: str, **client: Any) -> Iterator[redis.Redis]:
    """Run a redis-server with these options, and talk to it."""
    with subprocess.Popen([_program(), *options], stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis(LOOPBACK, port, decode_responses=True, **client) as connected:
                deadline = perf_counter() + STARTED_SECONDS
                while not answers(connected):
                    assert process.poll() is None
                    assert perf_counter() < deadline
                    sleep(0.01)
                yield connected
        finally:
            process.kill()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


async def found(url: str) -> tuple[bool, str]:
    return await reach(Address(url), asyncio.get_running_loop().time)


async def shared(url: str) -> None:
    """Check that pods find what others have loaded, and trust their memory."""
    async with pods(2, url, **LONG) as (first, second):
        await until(lambda: is_true(trusting(first) and trusting(second)))
        await page(first)

        async def is_found() -> bool:
            second.service.caching.tiers.forget(["1"], ["info", "price", "stock"])
            return states(await page(second)) == ["hit"] * 3

        await until(is_found)
        assert (await first.admin("/cache/invalidate", "POST", {"sku_ids": ["1"]})).status == 204


def as_user(server: RedisServer, login: str) -> str:
    return server.url.replace("redis://", f"redis://{login}@")


async def test_a_user_with_the_rules_of_the_manual_is_enough() -> None:
    with redis_server() as server:
        server.command("ACL", "SETUSER", "pod", "on", ">s@cret", *RULES.split())
        well, text = await found(as_user(server, "pod:s%40cret"))
        assert (well, "cannot be read" in text) == (True, True)
        await shared(as_user(server, "pod:s%40cret"))


async def test_the_rules_of_the_manual_are_enough_for_what_writes_do() -> None:
    with redis_server() as server:
        server.command("ACL", "SETUSER", "pod", "on", ">secret", *RULES.split())
        async with pods(2, as_user(server, "pod:secret"), **LONG) as (first, _):
            await page(first)
            told = await first.admin("/cache/invalidate", "POST", {"sku_ids": ["1"]})
            assert told.status == 204
            assert await first.metric("bff_redis_failures_total", kind="refused") == 0


@pytest.mark.parametrize("login", ["pod:wrong", "nobody:secret", ":secret"])
async def test_a_login_that_is_wrong_is_told(login: str) -> None:
    with redis_server() as server:
        server.command("ACL", "SETUSER", "pod", "on", ">secret", *RULES.split())
        well, text = await found(as_user(server, login))
        assert not well
        assert "secret" not in text


async def test_a_password_alone_is_the_default_users() -> None:
    with redis_server() as server:
        server.command("ACL", "SETUSER", "default", "resetpass", ">secret")
        assert (await found(as_user(server, ":secret")))[0]
        assert not (await found(server.url))[0]


async def test_redis_that_is_well_is_reported_with_a_warning_where_replicas_are_not_waited_for() -> None:
    with redis_server() as server:
        run_id = server.client().info("server")["run_id"][:16]
        well, text = await found(server.url)
        assert (well, text.split(";")[0]) == (True, f"server {run_id}")
        assert "min-replicas-to-write is 0" in text
        server.command("CONFIG", "SET", "min-replicas-to-write", "1")
        # With no replica there is nothing to write to: it is said as it is.
        assert "warning" not in (await found(server.url))[1]
        server.stop()
        assert not (await found(server.url))[0]


@pytest.mark.parametrize("rules", [RULES.replace("~bff:*", "~other:*"), RULES.replace("&bff:*", "resetchannels")])
async def test_who_may_not_do_what_pods_do_is_told_so(server: RedisServer, rules: str) -> None:
    server.command("ACL", "SETUSER", "pod", "on", ">secret", *rules.split())
    well, _ = await found(f"redis://pod:secret@{LOOPBACK}:{server.port}")
    assert not well


@pytest.fixture(scope="module")
def secured(certificate: Path) -> Iterator[int]:
    """Run Redis behind TLS alone, and return its port."""
    port, name = _free_port(), str(certificate)
    files = ("--tls-cert-file", name, "--tls-key-file", name, "--tls-ca-cert-file", name, "--tls-auth-clients", "no")
    with (
        TemporaryDirectory() as folder,
        started(port, "--port", "0", "--tls-port", str(port), "--save", "", "--dir", folder, *files,
                ssl=True, ssl_ca_certs=name),
    ):  # fmt: skip
        yield port


async def test_over_tls_pods_share(secured: int, certificate: Path) -> None:
    url = f"rediss://{LOOPBACK}:{secured}/0?ssl_ca_certs={certificate}"
    assert (await found(url))[0]
    await shared(url)


@pytest.mark.parametrize("url", ["rediss://{0}:{1}", "redis://{0}:{1}", "rediss://localhost:{1}?ssl_ca_certs={2}"])
async def test_who_is_not_trusted_and_who_does_not_speak_tls_is_told(secured: int, certificate: Path, url: str) -> None:
    assert not (await found(url.format(LOOPBACK, secured, certificate)))[0]


async def test_a_lane_that_cannot_connect_says_so_in_time() -> None:
    port = _free_port()
    failed: list[str] = []
    lane = Lane(Address(f"redis://{LOOPBACK}:{port}"), asyncio.get_running_loop().time, failed.append)
    with pytest.raises(Unanswered):
        await lane.open()
    assert (failed, lane.usable, lane.connected) == (["connect"], False, False)
    await lane.aclose()


async def test_what_was_to_be_written_on_a_connection_that_is_lost_makes_no_other_one(running: RedisServer) -> None:
    answers: list[object] = []
    lane = Lane(Address(f"redis://{LOOPBACK}:{running.port}"), asyncio.get_running_loop().time, answers.append)
    await lane.open()
    lane.ask(("PING",), answers.append)
    await asyncio.ensure_future(lane.open())  # as a task: it closes the first once the command was handed on
    assert [type(answer) for answer in answers] == [Unanswered]
    await lane.aclose()
    with redis.Redis(LOOPBACK, running.port) as client:
        await until(lambda: _are(len(client.client_list()), 1), 5.0)


async def _are(count: int, expected: int) -> bool:
    return count == expected
