"""Versions as `make check-consistency` writes them into parts and reads them off pages."""

import json
from typing import Any

import msgspec
import pytest

from tests.consistency.history import Shown
from tests.consistency.parts import SOURCES, shown, version_of, written


def page(**parts: Any) -> bytes:
    """Return a page of these parts, as the service answers it."""
    sources = {
        name: {
            "state": "ok" if name in parts else "missing",
            "as_of": None,
            "reason": None if name in parts else "timeout",
        }
        for name in SOURCES
    }
    return json.dumps({**dict.fromkeys(SOURCES), **parts, "meta": {"complete": False, "sources": sources}}).encode()


@pytest.mark.parametrize("source", SOURCES)
def test_a_version_is_read_as_it_was_written(source: str) -> None:
    assert version_of(source, written(source, "1001", 17)) == 17
    whole = page(**{source: json.loads(written(source, "1001", 17))})
    assert list(shown(whole)) == [Shown(source, 17, "ok", None)]


def test_a_part_that_is_missing_shows_nothing() -> None:
    assert list(shown(page())) == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", page(price={"price": "17"}), page(info={"name": "Lumora X9"})])
def test_what_is_no_page_of_the_check_is_not_read(body: bytes) -> None:
    with pytest.raises(ValueError):
        list(shown(body))


def test_what_is_no_part_of_the_check_is_not_read() -> None:
    with pytest.raises(msgspec.ValidationError):
        version_of("price", b'{"quantity": 17}')
