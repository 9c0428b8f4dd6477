"""Coroutine tests run on a loop of their ring: virtual time for `unit`, uvloop, as in production, for the others."""

import asyncio
import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvloop

from tests.virtual import VirtualLoop


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test to its end."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    unit = "unit" in pyfuncitem.path.parts
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    with _closed(asyncio.Runner(loop_factory=VirtualLoop if unit else uvloop.new_event_loop)) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True


@contextmanager
def _closed(runner: asyncio.Runner) -> Iterator[asyncio.Runner]:
    """Close it in the end, and warn only then of what was left open, where nothing worse has happened.

    uvloop warns before it closes such a thing: a warning that is raised there leaves it open, and the loop waits for it
    for ever.
    """
    try:
        yield runner
    finally:
        with warnings.catch_warnings(record=True) as unclosed:
            warnings.simplefilter("always", ResourceWarning)
            runner.close()
    for warning in unclosed:
        warnings.warn(warning.message, stacklevel=1)
