"""`bff changes`: many changes from a file, brought to a running service through its public listener."""

import asyncio
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from bff.commands.ending import end
from bff.imports import report as reports
from bff.imports.bringing import Bringing
from bff.imports.feed import Feed, Form
from bff.imports.follower import Follower
from bff.imports.ledger import Ledger, Refused
from bff.imports.pace import Pace
from bff.imports.progress import Bar, Plain
from bff.imports.report import Summary
from bff.imports.rows import FileRefused
from bff.imports.service import Service, Stopped, is_url
from clients.http import Transport

TOKEN = "PRODUCT_BFF_TOKEN"  # noqa: S105 - where it is, and not it
PUBLIC_URL = "http://127.0.0.1:8000"
INTERRUPTED = 130
_TOKEN = re.compile(r"[\x21-\x7e]+")

changes = typer.Typer(no_args_is_help=True, help="Changes, asked of a running service through its public listener.")

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV with a header of sku_id and fields of the parts, or JSON lines.")
]
Format = Annotated[Form | None, typer.Option("--format", help="Else by the file's name: .csv, .jsonl or .ndjson.")]
PublicUrl = Annotated[str, typer.Option("--url", help="Of the running service.")]
TokenFile = Annotated[Path | None, typer.Option(help=f"Holds the bearer token; else {TOKEN} does.")]
Priority = Annotated[int, typer.Option(min=0, max=9, help="0, first, to 9; of rows that say none.")]
Timeout = Annotated[int | None, typer.Option(min=1, max=3600, help="Of each change; the service's own where unset.")]
Concurrency = Annotated[int, typer.Option(min=1, max=256, help="Requests at once.")]
Report = Annotated[Path | None, typer.Option(help="Names each row that failed; else FILE.report.jsonl.")]
Name = Annotated[str, typer.Option(help="The same file under another name is imported anew.")]
Patience = Annotated[int, typer.Option(min=1, help="How long to ask again while the service does not answer.")]


@changes.callback()
def _group() -> None:
    """Keep `import` a command of its own, alone as it is."""


@changes.command("import")
def import_command(
    file: File,
    form: Format = None,
    url: PublicUrl = PUBLIC_URL,
    token_file: TokenFile = None,
    priority: Priority = 9,
    timeout_seconds: Timeout = None,
    concurrency: Concurrency = 16,
    report: Report = None,
    name: Name = "",
    patience_seconds: Patience = 300,
) -> None:
    """Have each row of a file become a change, follow all to their ends, and report which failed and why.

    Interrupted or killed, it goes on where it stopped when it is run again; what was written is not written twice.
    """
    if not is_url(url):
        end(2, "--url: must be http or https with a host, without user, query or fragment")
    terms = _Terms(url, _token(token_file), concurrency, patience_seconds)
    options = {"priority": priority} | ({} if timeout_seconds is None else {"timeout_seconds": timeout_seconds})
    if not file.name:
        end(2, f"{file}: is not a file")
    report = report or file.with_name(f"{file.name}.report.jsonl")
    try:
        feed = _feed(file, form, options)
        _import(feed, _ledger(feed, url, name, report), terms, _key(feed, name), report)
    except KeyboardInterrupt:  # before anything was sent, or while the report was written
        end(INTERRUPTED, "interrupted; run the same command again")


@dataclass(frozen=True, slots=True)
class _Terms:
    """How the service is asked."""

    url: str
    token: str
    concurrency: int
    patience_seconds: float


def _token(file: Path | None) -> str:
    try:
        token = os.environ.get(TOKEN, "") if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as exc:
        end(2, f"--token-file: cannot be read: {getattr(exc, 'strerror', None) or 'it is no text'}")
    if not _TOKEN.fullmatch(token.strip()):
        end(2, f"no token: set {TOKEN}, or name a file that holds nothing else with --token-file")
    return token.strip()


def _feed(file: Path, form: Form | None, options: dict[str, Any]) -> Feed:
    try:
        return Feed.of(file, form, options)
    except FileRefused as exc:
        end(2, f"{file}: {exc}")


def _ledger(feed: Feed, url: str, name: str, report: Path) -> Ledger:
    if report.resolve() == feed.path.resolve():
        end(2, "--report: must not be the file itself")
    whose = {"digest": feed.digest, "format": feed.form, "options": feed.options, "url": url, "name": name}
    try:
        return Ledger.open(report.with_name(f"{report.name}.state"), {**whose, "total": feed.total}, feed.total)
    except Refused as exc:
        end(2, str(exc))


def _key(feed: Feed, name: str) -> str:
    """Return what every row's key begins with: the same for the same content, under the same name."""
    digest = hashlib.sha256(f"{feed.digest} {name}".encode()).hexdigest() if name else feed.digest
    return f"import-{digest[:32]}"


def _import(feed: Feed, ledger: Ledger, terms: _Terms, key: str, report: Path) -> None:
    if ledger.ended == ledger.total > 0:
        print("every row has ended in an earlier run; with another --name the file is imported anew", file=sys.stderr)
    code, why, bringing = uvloop.run(_bring(feed, ledger, terms, key))
    try:
        summary = reports.write(ledger, report, bringing.running, bringing.replayed)
    except OSError as exc:
        end(1, f"--report: {report}: {exc.strerror}")
    ledger.close()
    _say(summary, report)
    if why is not None:
        end(code, f"{why}\nrun the same command again to go on where this stopped")
    if not summary.well:
        raise typer.Exit(1)


async def _bring(feed: Feed, ledger: Ledger, terms: _Terms, key: str) -> tuple[int, str | None, Bringing]:
    """Bring the rows; return the exit code, why that came to an end before its time, and how far it came."""
    clock = asyncio.get_running_loop().time
    progress = Bar(ledger.total, sys.stderr) if sys.stderr.isatty() else Plain(sys.stderr, clock)
    pace = Pace(clock, terms.patience_seconds)
    service = Service(terms.url, terms.token, key, Transport(), pace, terms.concurrency, progress.say)
    bringing = Bringing(service.accept, Follower(service.ended, terms.concurrency), ledger, progress.show)
    with progress:
        try:
            await bringing.run(feed)
        except Stopped as exc:
            return 1, str(exc), bringing
        except asyncio.CancelledError:  # a Ctrl-C, and nothing else cancels it
            return INTERRUPTED, "interrupted", bringing
        finally:
            await service.aclose()
    return 0, None, bringing


def _say(summary: Summary, report: Path) -> None:
    for line in summary.lines():
        print(line)
    print(f"report: {report}", flush=True)
