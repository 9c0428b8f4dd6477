"""Our transport over TLS: who is spoken to, and that nothing is lost there either."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx  # noqa: TID251 - what it makes of our transport is under test
import pytest

from clients.http import Transport
from tests.service.sockets import LONGER_THAN_ANY, eventually
from tests.upstreams import response


async def sent(transport: Transport, url: str) -> httpx.Response:
    answer = await transport.handle_async_request(httpx.Request("GET", url))
    await answer.aread()
    return answer


def trusting(certificate: Path) -> Transport:
    return Transport(tls=ssl.create_default_context(cafile=certificate))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate of 127.0.0.1, its key in the same file."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", f"{file}.crt"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


@asynccontextmanager
async def secured(certificate: Path, data: bytes) -> AsyncIterator[str]:
    """Answer by these bytes over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(data)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    async with asyncio.timeout(LONGER_THAN_ANY), server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_tls_is_spoken_to_whom_is_trusted(certificate: Path) -> None:
    async with secured(certificate, response("hello")) as url:
        transport = trusting(certificate)
        for _ in range(3):
            assert (await sent(transport, url)).text == "hello"
        assert transport.open_connections == 1
        await transport.aclose()
        await eventually(lambda: transport.open_connections == 0)


async def test_once_closed_no_connection_is_open_over_tls_either(certificate: Path) -> None:
    async with secured(certificate, response("hello")) as url:
        transport = trusting(certificate)
        await sent(transport, url)
        await transport.aclose()
        assert transport.open_connections == 0


async def test_bytes_that_follow_an_answer_end_the_connection_over_tls_too(certificate: Path) -> None:
    async with secured(certificate, response("hello") + response("forged")) as url:
        transport = trusting(certificate)
        assert (await sent(transport, url)).text == "hello"
        await eventually(lambda: transport.open_connections == 0)


async def test_who_is_not_trusted_is_not_spoken_to(certificate: Path) -> None:
    async with secured(certificate, response("hello")) as url:
        transport = Transport()
        with pytest.raises(httpx.ConnectError):
            await sent(transport, url)
        assert transport.open_connections == 0


async def test_a_plain_server_is_not_spoken_to_over_tls() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(response("not understood", 400))
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with asyncio.timeout(LONGER_THAN_ANY), server:
        with pytest.raises(httpx.ConnectError):
            await sent(Transport(), f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


async def test_a_call_cancelled_during_the_handshake_leaves_no_connection() -> None:
    held: list[asyncio.StreamWriter] = []
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.read()  # the client's hello, and then its end
        writer.close()
        gone.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with asyncio.timeout(LONGER_THAN_ANY), server:
        transport = Transport()
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        call = asyncio.ensure_future(sent(transport, url))
        await eventually(lambda: bool(held))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await gone.wait()
        assert transport.open_connections == 0
