"""The connections of one origin: which is used next, when they end, what is sent twice, what a cancellation leaves."""

import asyncio

import pytest

from clients.connection import ConnectionFailed, Malformed
from clients.pool import Pool
from tests.service.sockets import REQUEST, eventually, pooled
from tests.upstreams import Script, Seen, always, hang, in_turn, raw, reset, response


async def body(pool: Pool, path: str = "/") -> bytes:
    request = REQUEST.replace(b" / ", f" {path} ".encode())
    return (await pool.exchange(request, 1000)).body


async def who(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer by the name of the connection, the client's port."""
    writer.write(response(str(writer.get_extra_info("peername")[1])))


def gated(gates: dict[str, asyncio.Event]) -> Script:
    """Answer by the connection's name, once the gate of the path is open."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.target in gates:
            await gates[seen.target].wait()
        await who(seen, writer)

    return script


async def test_a_connection_is_kept_and_used_again() -> None:
    async with pooled(who) as (pool, up):
        assert len({await body(pool) for _ in range(5)}) == 1
        assert up.accepted == 1
        assert repr(pool) == "<Pool 1 idle of 1>"


@pytest.mark.parametrize("released", [("/a", "/b"), ("/b", "/a")])
async def test_the_connection_released_last_is_used_next(released: tuple[str, str]) -> None:
    gates = {"/a": asyncio.Event(), "/b": asyncio.Event()}
    async with pooled(gated(gates)) as (pool, up):
        calls = {path: asyncio.ensure_future(body(pool, path)) for path in gates}
        await eventually(lambda: len(up.seen) == 2)
        for path in released:
            gates[path].set()
            await calls[path]
        assert {await body(pool) for _ in range(3)} == {calls[released[1]].result()}
        assert up.accepted == 2


async def test_calls_at_once_have_a_connection_each_and_an_answer_of_their_own() -> None:
    async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(seen.target))

    async with pooled(echo) as (pool, up):
        for _ in range(3):
            paths = [f"/{n}" for n in range(20)]
            assert await asyncio.gather(*(body(pool, path) for path in paths)) == [path.encode() for path in paths]
        assert up.accepted == len(pool.open) == 20


async def test_a_connection_past_its_age_is_closed_and_not_used_again() -> None:
    async with pooled(who, max_age=60) as (pool, up):
        first = await body(pool)
        (connection,) = pool.open
        connection.born -= 59
        assert await body(pool) == first
        connection.born -= 1
        assert await body(pool) != first
        await eventually(lambda: up.open_connections == len(pool.open) == 1)


async def test_a_connection_that_idles_too_long_is_closed() -> None:
    async with pooled(who, max_idle=0.02) as (pool, up):
        await asyncio.gather(body(pool), body(pool))
        assert len(pool.open) == 2
        await eventually(lambda: not pool.open and up.open_connections == 0)
        await body(pool)
        await eventually(lambda: not pool.open and up.open_connections == 0)
        assert up.accepted == 3


async def test_reaping_spares_the_connections_that_are_fresh_or_busy() -> None:
    gate = asyncio.Event()
    async with pooled(gated({"/slow": gate}), max_idle=0.05) as (pool, up):
        slow = asyncio.ensure_future(body(pool, "/slow"))
        await eventually(lambda: len(up.seen) == 1)
        await body(pool)
        await eventually(lambda: len(pool.open) == 1)
        gate.set()
        assert await slow
        await eventually(lambda: not pool.open)


async def test_a_connection_that_the_other_side_closes_while_idle_is_forgotten() -> None:
    writers: list[asyncio.StreamWriter] = []

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await who(seen, writer)

    async with pooled(script) as (pool, up):
        first = await body(pool)
        writers[0].close()
        await eventually(lambda: not pool.open)
        assert repr(pool) == "<Pool 0 idle of 0>"
        assert await body(pool) != first
        assert len(up.seen) == 2


async def test_bytes_after_an_answer_never_reach_the_next_exchange() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n"
    forged = response("forged").ljust(60)
    writers: list[asyncio.StreamWriter] = []

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if not writers:
            writer.write(response("one") + head)
        else:
            writer.write((forged if writer in writers else b"") + response("two"))
        writers.append(writer)

    async with pooled(script) as (pool, up):
        assert [await body(pool), await body(pool)] == [b"one", b"two"]
        assert up.accepted == 2


async def test_a_request_on_a_kept_connection_that_proves_dead_fails_and_is_sent_once() -> None:
    async with pooled(in_turn(always("one"), reset, always("two"))) as (pool, up):
        assert await body(pool) == b"one"
        with pytest.raises(ConnectionFailed):
            await body(pool)
        assert len(up.seen) == 2
        assert await body(pool) == b"two"
        assert up.accepted == 2


@pytest.mark.parametrize("script", [reset, raw(b"")], ids=["reset", "closed"])
async def test_a_request_on_a_new_connection_is_sent_once(script: Script) -> None:
    async with pooled(script) as (pool, up):
        with pytest.raises(ConnectionFailed):
            await body(pool)
        assert len(up.seen) == 1


@pytest.mark.parametrize(("data", "error"), [(b"HTTP/1.1 2", ConnectionFailed), (b"garbage\r\n", Malformed)])
async def test_a_request_that_was_answered_by_a_byte_is_sent_once(data: bytes, error: type[Exception]) -> None:
    async with pooled(in_turn(always("one"), raw(data))) as (pool, up):
        await body(pool)
        with pytest.raises(error):
            await body(pool)
        assert len(up.seen) == 2


@pytest.mark.parametrize("last", [response("x", headers={"Connection": "close"}), b"HTTP/1.1 200 OK\r\n\r\nx"])
async def test_a_connection_that_ends_with_its_answer_is_closed(last: bytes) -> None:
    async with pooled(raw(last)) as (pool, up):
        assert await body(pool) == b"x"
        assert await body(pool) == b"x"
        assert up.accepted == 2
        await eventually(lambda: up.open_connections == len(pool.open) == 0)


async def test_closing_closes_idle_and_busy_connections_and_fails_what_is_under_way() -> None:
    async with pooled(in_turn(who, who, hang)) as (pool, up):
        await asyncio.gather(body(pool), body(pool))
        call = asyncio.ensure_future(body(pool))
        await eventually(lambda: len(up.seen) == 3)
        await pool.aclose()
        assert not pool.open
        with pytest.raises(ConnectionFailed):
            await call
        await eventually(lambda: up.open_connections == 0)


async def test_what_closing_fails_is_not_sent_again() -> None:
    async with pooled(in_turn(who, hang)) as (pool, up):
        await body(pool)
        call = asyncio.ensure_future(body(pool))
        await eventually(lambda: len(up.seen) == 2)
        await pool.aclose()
        with pytest.raises(ConnectionFailed):
            await call
        assert (len(up.seen), len(pool.open)) == (2, 0)


async def test_a_connection_that_is_made_while_closing_is_closed_too() -> None:
    async with pooled(who) as (pool, up):
        call = asyncio.ensure_future(body(pool))
        await asyncio.sleep(0)  # it connects
        await pool.aclose()
        await asyncio.wait({call})
        call.exception()  # whether it ended well or not
        await eventually(lambda: up.open_connections == 0)
        assert not pool.open


@pytest.mark.parametrize("turns", range(12))
async def test_a_call_cancelled_at_any_turn_of_the_loop_leaves_no_connection_behind(turns: int) -> None:
    async with pooled(hang) as (pool, up):
        call = asyncio.ensure_future(body(pool))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: not pool.open and up.open_connections == 0)
        assert repr(pool) == "<Pool 0 idle of 0>"


async def test_calls_cancelled_by_the_thousand_lose_no_connection() -> None:
    calls, at_once = 7200, 60
    async with pooled(in_turn(*[always("x"), hang] * (calls // 4), who)) as (pool, up):
        for turns in range(calls // at_once):
            batch = [asyncio.ensure_future(body(pool)) for _ in range(at_once)]
            await asyncio.sleep(0.001 * (turns % 4))  # connecting, waiting for the answer, answered
            for call in batch:
                call.cancel()
            await asyncio.wait(batch)
        await eventually(lambda: len(pool.open) == up.open_connections <= at_once)
        assert repr(pool) == f"<Pool {len(pool.open)} idle of {len(pool.open)}>"
        up.script = who
        assert len({await body(pool) for _ in range(100)}) == 1
