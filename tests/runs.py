"""Run pytest: three rings of tests at a time, and those few tests that failed once more, alone.

Most of the tests wait for something, so that it takes half as long; and on a machine that stalls some fail
that are well. Whoever has arguments of their own for pytest watches it, and is shown what one run comes to.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LANES = 3
FEW = 20  # of more than these a stall is not the cause
_FAILED = 1  # pytest's exit code where tests failed, and nothing else was wrong


@dataclass(frozen=True)
class Pytest:
    """Runs the tests of some folders. root: the checkout; env: the whole environment of each run."""

    folders: tuple[str, ...]
    root: Path
    env: Mapping[str, str]

    def run(self, arguments: Sequence[str]) -> int:
        """Return pytest's exit code: of the tests that were run twice, what came last counts."""
        if arguments or self.env.get("PYTEST_ADDOPTS"):  # by `-x`, say, not all have run
            return self._run([*self.folders, *arguments])
        with tempfile.TemporaryDirectory() as name:  # others may be testing in this checkout, with its own cache
            lanes = [_Lane(self.folders[n::LANES], Path(name) / f"{n}") for n in range(min(LANES, len(self.folders)))]
            codes = self._abreast(lanes)
            failed = [lane.failed() for lane in lanes]
            whole = all(code == 0 or (code == _FAILED and names) for code, names in zip(codes, failed, strict=True))
            if whole and 0 < sum(map(len, failed)) <= FEW:
                return self._again(sorted(set().union(*failed)), Path(name))
            return max(codes)

    def _abreast(self, lanes: "Sequence[_Lane]") -> list[int]:
        """Run the lanes at once. The first is shown as it goes, the others once they are through."""
        first, *others = lanes
        with ExitStack() as stack:
            running = [stack.enter_context(self._aside(lane)) for lane in others]
            codes = [self._run(first.arguments())]
            for lane, process in zip(others, running, strict=True):
                print(f"meanwhile, {' '.join(lane.folders)}, shown once through:", flush=True)
                codes.append(process.wait())
                with lane.output.open("rb") as said:
                    sys.stdout.buffer.write(said.read())
                sys.stdout.flush()
        return codes

    def _again(self, failed: Sequence[str], folder: Path) -> int:
        tests = f"{len(failed)} test{'s' if len(failed) > 1 else ''}"
        print(f"{tests} failed; a machine that stalls can do that: once more, those alone", flush=True)
        alone = _Lane(tuple(failed), folder / "alone")
        code = self._run(alone.arguments())
        for test in sorted(set(failed) - alone.failed()):
            print(f"did not fail again: {test}", flush=True)
        return code

    @contextmanager
    def _aside(self, lane: "_Lane") -> Iterator["subprocess.Popen[bytes]"]:
        with lane.output.open("wb") as output, self._running(lane.arguments(), output) as process:
            yield process

    def _run(self, arguments: Sequence[str]) -> int:
        with self._running(arguments) as process:
            return process.wait()

    @contextmanager
    def _running(
        self, arguments: Sequence[str], output: IO[bytes] | None = None
    ) -> Iterator["subprocess.Popen[bytes]"]:
        command = [sys.executable, "-m", "pytest", *arguments]
        errors = None if output is None else subprocess.STDOUT
        process = subprocess.Popen(command, cwd=self.root, env=self.env, stdout=output, stderr=errors)
        try:
            yield process
        finally:
            process.wait()  # after Ctrl-C, too: it has had the signal itself, and stops what its tests have started


@dataclass(frozen=True)
class _Lane:
    """Tests that run one after another. folders: or tests by name; cache: where pytest keeps what has failed."""

    folders: tuple[str, ...]
    cache: Path

    @property
    def output(self) -> Path:
        return self.cache.with_suffix(".out")

    def arguments(self) -> list[str]:
        return [*self.folders, "-o", f"cache_dir={self.cache}"]

    def failed(self) -> set[str]:
        """Return the tests that pytest remembers as failed."""
        file = self.cache / "v" / "cache" / "lastfailed"
        return set(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else set()
