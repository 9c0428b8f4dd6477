"""The command line. Exit 2 for settings that are refused, 1 for a port that is taken."""

import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from bff import check as checks
from bff.auth.caller import SCOPES
from bff.commands.cache import cache
from bff.commands.changes import changes
from bff.commands.ending import end, run, settings_of
from bff.commands.journal import journal
from bff.demo import screen
from bff.demo.catalog import Catalog, CatalogError
from bff.demo.launch import SourcesFailed, environment, sample_sources
from bff.demo.sources import DELAYS_MS, FIRST_PORT
from bff.listener import PortTaken
from bff.serve import serve, work

_AUTH = "BFF_AUTH__"
SAMPLE_SKU = "1001"

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False, rich_markup_mode=None
)

app.add_typer(cache, name="cache")
app.add_typer(changes, name="changes")
app.add_typer(journal, name="journal")

Host = Annotated[str | None, typer.Option(help="Instead of BFF_HOST.")]
Port = Annotated[str | None, typer.Option(help="Instead of BFF_PORT; 0 takes a free one.")]
AdminHost = Annotated[str | None, typer.Option(help="Instead of BFF_ADMIN_HOST.")]
AdminPort = Annotated[str | None, typer.Option(help="Instead of BFF_ADMIN_PORT; 0 takes a free one.")]


@app.command("serve")
def serve_command(
    host: Host = None, port: Port = None, admin_host: AdminHost = None, admin_port: AdminPort = None
) -> None:
    """Run the service, configured by the environment, in one process."""
    settings = settings_of(_overridden(os.environ, host, port, admin_host, admin_port))
    try:
        run(serve(settings, _announce))
    except PortTaken as exc:
        end(1, str(exc))


@app.command("worker")
def worker_command(admin_host: AdminHost = None, admin_port: AdminPort = None) -> None:
    """Do durable work alone, configured by the environment; only the admin listener is opened."""
    settings = settings_of(_overridden(os.environ, None, None, admin_host, admin_port))
    if not settings.authenticates:
        end(2, "BFF_AUTH__TOKENS: is needed, or JWTs are: where nobody may write there is no durable work")
    try:
        run(work(settings, lambda admin: print(f"admin {admin}", flush=True)))
    except PortTaken as exc:
        end(1, str(exc))


@app.command()
def demo(
    catalog: Annotated[Path | None, typer.Option(help="A catalogue file instead of the sample.")] = None,
    sources_port: Annotated[
        int, typer.Option(min=0, max=65533, help="Of the info service, and the two after it; 0 takes free ones.")
    ] = FIRST_PORT,
    delays: Annotated[str, typer.Option(help="Milliseconds that info, price and stock take to answer.")] = ",".join(
        map(str, DELAYS_MS)
    ),
    host: Host = None,
    port: Port = None,
    admin_host: AdminHost = None,
    admin_port: AdminPort = None,
) -> None:
    """Run sample info, price and stock services, and the service in front of them over real HTTP."""
    environ = _overridden(os.environ, host, port, admin_host, admin_port)
    try:
        products = Catalog.sample() if catalog is None else Catalog.from_file(catalog)
    except CatalogError as exc:
        end(2, f"--catalog: {exc}")
    try:
        sku = next(iter(products.skus), SAMPLE_SKU)
        run(_demo(environ, sources_port, catalog, _milliseconds(delays), sku))
    except PortTaken as exc:
        end(1, str(exc))
    except SourcesFailed as exc:
        end(1, f"--sources-port: {exc}")
    except KeyboardInterrupt:  # before the service took signals over
        end(130, "interrupted")


@app.command()
def check(
    *, settings_only: Annotated[bool, typer.Option("--settings", help="Look at the settings alone.")] = False
) -> None:
    """Validate the settings and reach every upstream, Redis and the database."""
    settings = settings_of(os.environ)
    print("settings: ok")
    if not settings_only and not uvloop.run(checks.reach_all(settings, print)):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line."""
    app()


async def _demo(
    environ: Mapping[str, str], port: int, catalog: Path | None, delays: tuple[int, int, int], sku: str
) -> None:
    async with sample_sources(port, catalog, delays) as urls:
        templates = environment(urls)
        token = None
        if not any(name.startswith(_AUTH) for name in environ):
            token = secrets.token_urlsafe(24)
            templates[f"{_AUTH}TOKENS"] = json.dumps({"demo": {"token": token, "scopes": sorted(SCOPES)}})
        settings = settings_of({**environ, **templates})

        def announce(public: str, admin: str) -> None:
            _announce(public, admin)
            views = settings.data_dir / "views"
            text = screen.text(public, admin, urls, delays, sku=sku, sample=catalog is None, views=views, token=token)
            print(text, flush=True)

        await serve(settings, announce, docs=True)


def _overridden(
    environ: Mapping[str, str], host: str | None, port: str | None, admin_host: str | None, admin_port: str | None
) -> dict[str, str]:
    options = {"BFF_HOST": host, "BFF_PORT": port, "BFF_ADMIN_HOST": admin_host, "BFF_ADMIN_PORT": admin_port}
    return {**environ, **{name: value for name, value in options.items() if value is not None}}


def _milliseconds(text: str) -> tuple[int, int, int]:
    numbers = text.split(",")
    if len(numbers) != 3 or not all(re.fullmatch(r"[0-9]{1,8}", number) for number in numbers):
        end(2, "--delays: must be three whole numbers, such as 500,300,200")
    info, price, stock = map(int, numbers)
    return info, price, stock


def _announce(public: str, admin: str) -> None:
    print(f"public {public}\nadmin {admin}", flush=True)
