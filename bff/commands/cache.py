"""`bff cache`: what a running service keeps, through its admin listener."""

from typing import Annotated

import typer

from bff import remote
from bff.commands.ending import end

AdminUrl = Annotated[str, typer.Option(help="Of the running service.")]
ADMIN_URL = "http://127.0.0.1:9000"

cache = typer.Typer(no_args_is_help=True, help="What a running service keeps, through its admin listener.")


@cache.command("invalidate")
def invalidate(
    skus: Annotated[list[str], typer.Argument(metavar="SKU...", help="At most 1,000.")],
    source: Annotated[list[str] | None, typer.Option(help="info, price or stock; may be repeated; else all.")] = None,
    admin_url: AdminUrl = ADMIN_URL,
) -> None:
    """Have products forgotten, and read anew."""
    try:
        remote.invalidate(admin_url, skus, source or ())
    except remote.NotDone as exc:
        end(1, str(exc))


@cache.command("stats")
def stats(admin_url: AdminUrl = ADMIN_URL) -> None:
    """Say what each tier holds, a line each."""
    try:
        found = remote.stats(admin_url)
    except remote.NotDone as exc:
        end(1, str(exc))
    for tier, figures in found.items():
        print(f"{tier}: {', '.join(f'{name} {figure}' for name, figure in figures.items())}")
