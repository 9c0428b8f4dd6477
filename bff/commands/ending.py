"""How a command ends, also before its time, and the settings that it must not begin without."""

import logging
import os
import sys
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, NoReturn

import typer
import uvloop

from bff import logs
from bff.environment import SettingsRefused, load
from bff.settings import Settings

LEFT_SECONDS = 1.0
"""For a thread that is left at the end of a service."""


def run(service: Coroutine[Any, Any, None]) -> None:
    """Run a service to its end, and end with it whatever thread is left.

    Python waits for threads; and those of DBOS wait, once they have begun to, for a database until it is back.
    """
    uvloop.run(service)
    left = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    for thread in left:
        thread.join(LEFT_SECONDS)
    if any(thread.is_alive() for thread in left):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


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
