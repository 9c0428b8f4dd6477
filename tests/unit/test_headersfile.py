"""Headers from a file that may change: read again when it does, kept where it went bad."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bff.headersfile import LOOK_SECONDS, HeadersFile
from tests.unit.playing import Clockwork


def write(path: Path, text: str) -> None:
    """Replace a file as a mounted secret is replaced: by another one."""
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.rename(path)


def made(tmp_path: Path) -> tuple[Path, HeadersFile, Clockwork]:
    path, clock = tmp_path / "secret.json", Clockwork()
    write(path, '{"X-Key": "one"}')
    return path, HeadersFile(path, clock), clock


def test_a_changed_file_is_read_again_but_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    path, headers, clock = made(tmp_path)
    assert headers() == (("X-Key", "one"),)
    write(path, '{"X-Key": "two"}')
    clock.now = LOOK_SECONDS - 0.01
    assert headers() == (("X-Key", "one"),)
    clock.now = LOOK_SECONDS
    assert headers() == (("X-Key", "two"),)


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path, headers, clock = made(tmp_path)
    kept, stamp = headers(), path.stat()
    with path.open("r+") as file:
        file.write('{"X-Key": "two"}')
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # the same to whoever looks at the outside
    clock.now = 5.0
    assert headers() is kept


@pytest.mark.parametrize("bad", ["{", "[]", '{"X-Key": 1}', '{"Connection": "close"}', '{"bad name": "x"}', "\xff"])
def test_a_file_that_went_bad_changes_nothing_and_is_logged_once(tmp_path: Path, bad: str) -> None:
    path, headers, clock = made(tmp_path)
    write(path, bad)
    with capture_logs() as logs:
        for clock.now in range(1, 5):
            assert headers() == (("X-Key", "one"),)
    assert len(logs) == 1
    assert logs[0]["file"] == "secret.json"
    write(path, '{"X-Key": "three"}')
    clock.now = 9.0
    assert headers() == (("X-Key", "three"),)


def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    path, headers, clock = made(tmp_path)
    path.unlink()
    clock.now = 2.0
    with capture_logs() as logs:
        assert headers() == (("X-Key", "one"),)
    assert logs[0]["file"] == "secret.json"


def test_a_file_that_is_bad_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        HeadersFile(tmp_path / "none", Clockwork())


def test_its_repr_holds_no_secret(tmp_path: Path) -> None:
    assert repr(made(tmp_path)[1]) == "<HeadersFile secret.json>"
