"""How a command ends before its time, and the settings that it must not begin without."""

import sys
from collections.abc import Mapping
from typing import NoReturn

import typer

from bff import logs
from bff.environment import SettingsRefused, load
from bff.settings import Settings


def end(code: int, message: str) -> NoReturn:
    """Say why on standard error, and end with an exit code."""
    print(message, file=sys.stderr, flush=True)
    raise typer.Exit(code)


def settings_of(environ: Mapping[str, str]) -> Settings:
    """Read the settings and begin to log as they say; where they are refused, end with 2."""
    try:
        settings = load(environ)
    except SettingsRefused as exc:
        end(2, str(exc))
    logs.configure(settings.log.level, settings.log.format)
    return settings
