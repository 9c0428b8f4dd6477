"""Where views go: whole lines or none, files within their bound, and never the wrong file removed."""

import errno
import io
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.viewlog.sinks import SEGMENT_BYTES, Segments, Stdout


class Folder:
    """Segments in a folder, whose stamps count."""

    def __init__(self, path: Path, max_bytes: int, first_stamp: int = 0) -> None:
        stamps = itertools.count(first_stamp)
        self.path = path / "views"
        self.removed = 0
        self.sink = Segments(self.path, max_bytes, lambda: f"{next(stamps):08}", self._count)

    def _count(self) -> None:
        self.removed += 1

    @property
    def files(self) -> list[bytes]:
        return [file.read_bytes() for file in sorted(self.path.glob("*.jsonl"))]


def line(number: int, size: int = 10) -> bytes:
    return f"{number:0{size - 1}}\n".encode()


def test_lines_are_appended_to_one_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 1000)
    for number in range(3):
        folder.sink.write(line(number))
    folder.sink.close()
    assert folder.files == [line(0) + line(1) + line(2)]
    assert repr(folder.sink) == "<Segments views 30 bytes in file 1>"


def test_no_file_is_made_where_nothing_is_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 1000)
    folder.sink.close()
    assert folder.files == []


def test_a_batch_that_does_not_fit_begins_a_new_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 60)  # files of 30
    for number in range(4):
        folder.sink.write(line(number))
    folder.sink.close()
    assert folder.files == [line(0) + line(1) + line(2), line(3)]


def test_files_are_64_mib_at_most() -> None:
    assert SEGMENT_BYTES == 64 * 2**20


def test_the_oldest_files_go_and_are_counted(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 60)
    for number in range(10):
        folder.sink.write(line(number))
    folder.sink.close()
    assert b"".join(folder.files) == b"".join(line(number) for number in range(6, 10))
    assert folder.removed == 2


def test_files_of_earlier_runs_count_against_the_bound(tmp_path: Path) -> None:
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "00000000-1-000001.jsonl").write_bytes(b"x" * 55)
    folder = Folder(tmp_path, 60, first_stamp=1)
    folder.sink.write(line(1))
    folder.sink.close()
    assert (folder.files, folder.removed) == ([line(1)], 1)


def test_each_run_begins_a_file_of_its_own(tmp_path: Path) -> None:
    for run in range(2):
        folder = Folder(tmp_path, 1000, first_stamp=run)
        folder.sink.write(line(run))
        folder.sink.close()
    assert folder.files == [line(0), line(1)]


def test_the_file_being_written_stays_though_another_has_a_later_name(tmp_path: Path) -> None:
    # The wall clock was set back, or another process shares the folder.
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "99999999-1-000001.jsonl").write_bytes(b"x" * 55)
    folder = Folder(tmp_path, 60)
    for number in range(3):
        folder.sink.write(line(number))
    folder.sink.close()
    assert line(0) + line(1) + line(2) in folder.files


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(2, 50), max_size=60), bound=st.integers(100, 300))
def test_all_files_together_keep_within_the_bound_and_lose_only_the_oldest(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], bound: int
) -> None:
    folder = Folder(tmp_path_factory.mktemp("views"), bound)
    written = b""
    for number, size in enumerate(sizes):
        batch = line(number % 10, size)
        folder.sink.write(batch)
        written += batch
        kept = b"".join(folder.files)
        assert len(kept) <= bound
        assert written.endswith(kept)
    folder.sink.close()


def test_a_folder_that_cannot_be_made_costs_its_batches_until_it_can() -> None:
    with tempfile.TemporaryDirectory() as root:
        obstacle = Path(root) / "views"
        obstacle.write_text("a file")
        folder = Folder(Path(root), 60)
        for _ in range(2):
            with pytest.raises(OSError):
                folder.sink.write(line(0))
        obstacle.unlink()
        folder.sink.write(line(1))
        folder.sink.close()
        assert folder.files == [line(1)]


FULL_DISK = """
import resource, sys
from pathlib import Path
from bff.viewlog.sinks import Segments

folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (25, 100))
sink = Segments(folder, 1000, lambda: "0", lambda: None)
batch = b"123456789\\n"
sink.write(batch), sink.write(batch)
try:
    sink.write(batch)
except OSError as exc:
    print(exc.errno)
print(next(folder.iterdir()).read_bytes())
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
sink.write(batch)
sink.close()
print(next(folder.iterdir()).read_bytes())
"""


def test_a_batch_that_was_written_by_half_is_undone_before_it_is_repeated(tmp_path: Path) -> None:
    # Without coverage, whose own file would hit the limit.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "views")]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    whole = b"123456789\n"
    assert ran.stdout.splitlines() == [str(errno.EFBIG), str(whole * 2), str(whole * 3)]


class Reluctant(io.RawIOBase):
    """A pipe that is full at first."""

    def __init__(self) -> None:
        self.taken = b""
        self.full = True

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        if self.full:
            raise OSError(errno.EPIPE, "Broken pipe")
        taken = bytes(data)  # type: ignore[call-overload] # a buffer
        self.taken += taken
        return len(taken)


def test_standard_output_gets_whole_batches_at_once_and_stays_open() -> None:
    pipe = Reluctant()
    pipe.full = False
    sink = Stdout(pipe, lambda: True)
    sink.write(line(1) + line(2))
    sink.close()
    assert (pipe.taken, pipe.closed) == (line(1) + line(2), False)


def test_a_reader_that_has_stalled_is_no_wait_for_ever() -> None:
    pipe = Reluctant()
    pipe.full = False
    ready = [True, False]
    sink = Stdout(pipe, lambda: ready.pop(0) if ready else True)
    lines = b"a" * 5000 + b"\n"
    with pytest.raises(BlockingIOError):
        sink.write(lines)
    sink.write(lines)
    assert pipe.taken == lines


def test_a_batch_that_standard_output_refused_is_not_written_twice_when_it_is_repeated() -> None:
    pipe = Reluctant()
    sink = Stdout(pipe, lambda: True)
    for _ in range(2):
        with pytest.raises(OSError):
            sink.write(line(1))
    pipe.full = False
    sink.write(line(1))
    assert pipe.taken == line(1)
