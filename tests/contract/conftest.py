"""The contract holds whichever way a page is answered: a test of a service in this process runs once for each."""

import inspect
from collections.abc import Iterator

import pytest

from tests.contract import process
from tests.harness import with_front

FRONT = "front"
_ONCE = (process.run, process.serving)
# How parts are read, and what is done later, knows nothing of how a page is asked for.
_APART = (".test_bulk", ".test_change", ".test_idempotency", ".test_reservation")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests both ways, but for those that start a process of their own, or none, or watch a source alone."""
    name = metafunc.module.__name__
    if not inspect.iscoroutinefunction(metafunc.function) or any(part in name for part in _APART):
        return
    used = (getattr(metafunc.module, name, None) for name in metafunc.function.__code__.co_names)
    if not any(function in _ONCE for function in used):
        metafunc.fixturenames.append(FRONT)
        metafunc.parametrize(FRONT, [True, False], ids=["front", "routes"], indirect=True)


@pytest.fixture
def front(request: pytest.FixtureRequest) -> Iterator[None]:
    """Answer pages ahead of the routes that declare them, or by way of these."""
    token = with_front.set(request.param)
    yield
    with_front.reset(token)
