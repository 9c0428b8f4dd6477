"""Coroutine tests run on a loop of their ring: virtual time for `unit`, uvloop, as in production, for the others."""

import asyncio
import inspect

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
    with asyncio.Runner(loop_factory=VirtualLoop if unit else uvloop.new_event_loop) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True
