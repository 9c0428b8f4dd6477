"""The contract: `TLS_CA_FILE`, `TLS_CERT_FILE`, `TLS_KEY_FILE`: https upstreams, and whom they and we trust."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bff.environment import SettingsRefused, load
from tests.contract.process import UNUSED
from tests.harness import bff
from tests.upstreams import Upstream, parts, upstream


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)


def signed(folder: Path, name: str, ca: str, names: str) -> None:
    """Make a key and a certificate that an authority has signed."""
    openssl(folder, *_new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-days", "2",
            "-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.pem")  # fmt: skip


def _new_key(name: str) -> list[str]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    return ["req", *curve, "-nodes", "-keyout", f"{name}.key"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tls")
    for ca in ("ca", "other"):
        openssl(folder, *_new_key(ca), "-x509", "-days", "2", "-subj", f"/CN={ca}", "-out", f"{ca}.pem",
                "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    signed(folder, "server", "ca", "IP:127.0.0.1,DNS:localhost")
    signed(folder, "elsewhere", "ca", "DNS:elsewhere.example")
    signed(folder, "client", "ca", "DNS:client")
    yield folder
    shutil.rmtree(folder)


def serving(folder: Path, name: str = "server", *, ask_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    if ask_client:
        context.load_verify_locations(folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def template(up: Upstream) -> str:
    return up.template.replace("http://", "https://")


async def reason(context: ssl.SSLContext, **settings: Any) -> str | None:
    """Return why price is missing where its service is reached so, None where it is there."""
    async with upstream(parts("price"), tls=context) as up, bff(price__url=template(up), **settings) as service:
        found = [(await service.page(sku)).reasons["price"] for sku in ("1001", "1002")]
        assert len(set(found)) == 1
        assert len(up.seen) == (2 if found[0] is None else 0)
        assert up.accepted == 1 or found[0] is not None
        return found[0]


async def test_an_https_upstream_whose_authority_is_trusted_is_read_over_one_connection(certificates: Path) -> None:
    assert await reason(serving(certificates), price__tls_ca_file=str(certificates / "ca.pem")) is None


async def test_the_scheme_may_be_written_in_capitals(certificates: Path) -> None:
    async with upstream(parts("price"), tls=serving(certificates)) as up:
        shouted = up.template.replace("http://", "HTTPS://")
        async with bff(price__url=shouted, price__tls_ca_file=str(certificates / "ca.pem")) as service:
            assert (await service.page("1001")).reasons["price"] is None


async def test_an_upstream_that_nobody_vouches_for_is_unavailable(certificates: Path) -> None:
    assert await reason(serving(certificates)) == "unavailable"
    assert await reason(serving(certificates), price__tls_ca_file=str(certificates / "other.pem")) == "unavailable"


async def test_a_certificate_for_another_host_is_unavailable(certificates: Path) -> None:
    ca = str(certificates / "ca.pem")
    assert await reason(serving(certificates, "elsewhere"), price__tls_ca_file=ca) == "unavailable"


async def test_a_client_certificate_is_shown_where_it_is_set(certificates: Path) -> None:
    context = serving(certificates, ask_client=True)
    ca, pem, key = (str(certificates / name) for name in ("ca.pem", "client.pem", "client.key"))
    own: dict[str, Any] = {"price__tls_cert_file": pem, "price__tls_key_file": key}
    assert await reason(context, price__tls_ca_file=ca, **own) is None
    assert await reason(context, price__tls_ca_file=ca) == "unavailable"


async def test_an_upstream_that_speaks_no_tls_is_unavailable() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with bff(price__url=f"https://127.0.0.1:{port}/{{sku}}") as service:
            assert (await service.page("1001")).reasons["price"] == "unavailable"


def test_files_that_do_not_fit_are_refused_by_name(certificates: Path) -> None:
    ca, pem, key, other = (str(certificates / name) for name in ("ca.pem", "client.pem", "client.key", "server.key"))
    wrong: list[dict[str, str]] = [
        {"TLS_CA_FILE": key},
        {"TLS_CERT_FILE": pem},
        {"TLS_KEY_FILE": key},
        {"TLS_CERT_FILE": pem, "TLS_KEY_FILE": other},
        {"TLS_CERT_FILE": key, "TLS_KEY_FILE": key},
    ]
    for settings in wrong:
        with pytest.raises(SettingsRefused) as caught:
            load(UNUSED | {f"BFF_PRICE__{name}": path for name, path in settings.items()})
        assert all(name.startswith("BFF_PRICE__TLS_") for name in caught.value.problems)
        assert str(certificates) not in str(caught.value)
    load(UNUSED | {"BFF_PRICE__TLS_CA_FILE": ca, "BFF_PRICE__TLS_CERT_FILE": pem, "BFF_PRICE__TLS_KEY_FILE": key})
