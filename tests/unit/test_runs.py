"""What becomes of a run whose tests fail: few of them have a second chance, by real runs of pytest."""

from pathlib import Path

import pytest

from tests.runs import FEW
from tests.unit.test_rings import run

RUNS = "runs"
ONCE_MORE = "failed; a machine that stalls can do that: once more, those alone"
BEGINS = f'''
import pytest
from pathlib import Path

def is_the_first_run() -> bool:
    """Note a run of this test, and say whether it is the first."""
    with Path("{RUNS}").open("a+") as runs:
        runs.write("x")
        return runs.tell() == 1
'''
STALLED = BEGINS + "def test_stalled(): assert not is_the_first_run()\n"
BROKEN = BEGINS + "def test_broken():\n    is_the_first_run()\n    assert False\n"
MEETS = """
import time
from pathlib import Path

def test_met():
    Path("{0}").touch()
    while not Path("{1}").exists():
        time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def _without_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs this test may have some."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def checkout(tmp_path: Path, *files: str) -> Path:
    """Return a checkout with these files of tests, and one more test that passes once only."""
    folder = tmp_path / "tests" / "unit"
    folder.mkdir(parents=True)
    for number, text in enumerate((*files, "from pathlib import Path\ndef test_well(): Path('well').mkdir()")):
        (folder / f"test_{number}.py").write_text(text)
    return tmp_path


def runs(root: Path) -> int:
    return len((root / RUNS).read_text())


def test_what_fails_once_is_run_alone_and_named_and_its_second_run_counts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = checkout(tmp_path, STALLED)
    assert run(root, "unit") == 0
    said = capfd.readouterr().out.splitlines()
    assert f"1 test {ONCE_MORE}" in said
    assert said[-1] == "did not fail again: tests/unit/test_0.py::test_stalled"
    assert runs(root) == 2


def test_what_fails_twice_fails_the_run_and_is_not_named_among_what_did_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = checkout(tmp_path, STALLED, "def test_broken(): assert False")
    assert run(root, "unit") == 1
    said = capfd.readouterr().out.splitlines()
    assert f"2 tests {ONCE_MORE}" in said
    assert [line for line in said if line.startswith("did not")] == [
        "did not fail again: tests/unit/test_0.py::test_stalled"
    ]
    assert runs(root) == 2


@pytest.mark.parametrize(("count", "times"), [(FEW, 2), (FEW + 1, 1)])
def test_more_than_a_few_are_no_stall(
    tmp_path: Path, count: int, times: int, capfd: pytest.CaptureFixture[str]
) -> None:
    text = BROKEN.replace("def test_broken()", f"@pytest.mark.parametrize('n', range({count}))\ndef test_broken(n)")
    root = checkout(tmp_path, text)
    assert run(root, "unit") == 1
    assert runs(root) == times * count
    assert (ONCE_MORE in capfd.readouterr().out) == (times == 2)


def test_a_fixture_that_fails_has_a_second_chance_too(tmp_path: Path) -> None:
    text = BEGINS + "@pytest.fixture\ndef it(): assert not is_the_first_run()\ndef test_it(it): pass\n"
    assert run(checkout(tmp_path, text), "unit") == 0


@pytest.mark.parametrize(
    ("also", "code"), [("import no_such_module", 2), ("import os; os._exit(1)", 1)], ids=["collection", "crash"]
)
def test_where_not_all_tests_have_run_there_is_no_second_chance(
    tmp_path: Path, also: str, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(checkout(tmp_path, STALLED, also), "unit") == code
    assert ONCE_MORE not in capfd.readouterr().out


def other_ring(root: Path, text: str) -> None:
    """Add a ring of one test."""
    (root / "tests" / "service").mkdir()
    (root / "tests" / "service" / "test_other.py").write_text(text)


def test_two_rings_run_at_once_and_the_second_is_shown_after_the_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = checkout(tmp_path, MEETS.format("one", "other"))
    other_ring(root, MEETS.format("other", "one"))
    assert run(root, "unit,service") == 0
    said = capfd.readouterr().out
    first, second = said.split("meanwhile, tests/service, shown once through:")
    assert "2 passed" in first
    assert "1 passed" in second


def test_what_fails_in_either_ring_is_run_alone_and_counts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = checkout(tmp_path, STALLED)
    other_ring(root, "def test_broken(): assert False")
    assert run(root, "unit,service") == 1
    said = capfd.readouterr().out.splitlines()
    assert f"2 tests {ONCE_MORE}" in said
    assert said[-1] == "did not fail again: tests/unit/test_0.py::test_stalled"


@pytest.mark.parametrize("died", ["unit", "service"])
def test_where_one_ring_dies_none_has_a_second_chance(
    tmp_path: Path, died: str, capfd: pytest.CaptureFixture[str]
) -> None:
    dies = "import os; os._exit(1)"
    root = checkout(tmp_path, dies if died == "unit" else STALLED)
    other_ring(root, STALLED if died == "unit" else dies)
    assert run(root, "unit,service") == 1
    assert ONCE_MORE not in capfd.readouterr().out


@pytest.mark.parametrize("arguments", [("-x",), ("-k", "stalled"), ("-p", "no:cacheprovider"), ("--no-such-option",)])
def test_with_arguments_for_pytest_there_is_one_run(
    tmp_path: Path, arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(checkout(tmp_path, STALLED), "unit", "--", *arguments) in (1, 4)
    assert ONCE_MORE not in capfd.readouterr().out


def test_options_in_the_environment_are_such_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-x")
    root = checkout(tmp_path, STALLED)
    assert run(root, "unit") == 1
    assert runs(root) == 1
