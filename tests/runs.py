"""Run pytest, and those few tests that failed once more: on a machine that stalls some fail that are well.

Whoever has arguments of their own for pytest watches it, and is shown what one run comes to.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FEW = 20  # of more than these a stall is not the cause
_FAILED = 1  # pytest's exit code where tests failed, and nothing else was wrong


@dataclass(frozen=True)
class Pytest:
    """Runs the tests of some folders. root: the checkout; env: the whole environment of each run."""

    folders: tuple[str, ...]
    root: Path
    env: Mapping[str, str]

    def run(self, arguments: Sequence[str]) -> int:
        """Return the exit code of the last run."""
        if arguments or self.env.get("PYTEST_ADDOPTS"):  # by `-x`, say, not all have run
            return self._once(arguments)
        with tempfile.TemporaryDirectory() as name:  # others may be testing in this checkout, with its own cache
            return self._twice(Path(name) / "cache")

    def _twice(self, cache: Path) -> int:
        arguments = ("-o", f"cache_dir={cache}")
        code = self._once(arguments)
        failed = _failed(cache)
        if code != _FAILED or not 0 < len(failed) <= FEW:
            return code
        tests = f"{len(failed)} test{'s' if len(failed) > 1 else ''}"
        print(f"{tests} failed; a machine that stalls can do that: once more, those alone", flush=True)
        code = self._once([*arguments, "--last-failed", "--last-failed-no-failures=none"])
        for test in sorted(failed - _failed(cache)):
            print(f"did not fail again: {test}", flush=True)
        return code

    def _once(self, arguments: Sequence[str]) -> int:
        command = [sys.executable, "-m", "pytest", *self.folders, *arguments]
        return subprocess.run(command, cwd=self.root, env=self.env, check=False).returncode


def _failed(cache: Path) -> set[str]:
    """Return the tests that pytest remembers as failed, and those of an earlier run that it has not run again."""
    file = cache / "v" / "cache" / "lastfailed"
    return set(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else set()
