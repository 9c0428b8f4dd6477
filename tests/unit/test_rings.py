"""The rules of `make test RINGS=...`: tools of its own on a PATH of its own, and real processes."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import rings
from tests.rings import Apt, Table, Tool, Toolbox, Unfetched

TABLE = Table(
    rings={"unit": (), "service": (), "servers": ("spade", "rake")},
    tools={
        "spade": Tool(("spade-client",), "usr/bin/spade"),
        "rake": Tool(("rake", "rake-lib"), "usr/sbin/rake"),
    },
)
TOOLS = list(TABLE.tools)


@dataclass
class Shop:
    """Stands in for the packages: has what it is given, and remembers what was asked of it."""

    stock: Sequence[str] = ()
    broken: bool = False
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def __call__(self, tool: Tool, into: Path) -> None:
        self.asked.append(tool.packages)
        if tool.packages[0] not in self.stock:
            raise Unfetched(tool.packages[0])
        program(into / ("elsewhere" if self.broken else tool.path))


def program(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a test in each ring: unit passes, service fails, servers wants its tools on PATH."""
    bodies = {
        "unit": "assert True",
        "service": "assert False",
        "servers": "import shutil; assert shutil.which('spade') and shutil.which('rake')",
    }
    for ring, body in bodies.items():
        folder = tmp_path / "checkout" / "tests" / ring
        folder.mkdir(parents=True)
        (folder / f"test_{ring}.py").write_text(f"def test_{ring}() -> None:\n    {body}\n")
    return tmp_path / "checkout"


def run(root: Path, *arguments: str, shop: Shop | None = None) -> int:
    return rings.run(arguments, TABLE, root, "", shop or Shop())


def toolbox(tmp_path: Path, shop: Shop, path: str = "") -> Toolbox:
    return Toolbox(TABLE.tools, tmp_path / ".tools", path, shop)


def test_an_unknown_ring_is_named_and_nothing_runs(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shop = Shop()
    assert run(root, "unit,kitchen,servers", shop=shop) == 2
    out, err = capfd.readouterr()
    assert "no such ring: kitchen " in err
    assert (out, shop.asked) == ("", [])


@pytest.mark.parametrize("arguments", [(), ("",), (",",), ("--", "-x")])
def test_no_ring_at_all_is_misuse(root: Path, arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(root, *arguments) == 2
    assert "usage:" in capfd.readouterr().err


def test_rings_may_be_separated_by_commas_and_spaces_and_count_once() -> None:
    assert rings.parse(["unit, service", "unit"], TABLE.rings).rings == ("unit", "service")


def test_the_exit_code_is_that_of_pytest_over_all_the_asked_rings(root: Path) -> None:
    assert run(root, "unit,service") == 1


def test_what_follows_the_dashes_goes_to_pytest_and_rings_without_tools_fetch_nothing(root: Path) -> None:
    shop = Shop()
    assert run(root, "unit,service", "--", "-k", "test_unit", shop=shop) == 0
    assert shop.asked == []


def test_tools_on_path_are_not_fetched(tmp_path: Path) -> None:
    for name in TOOLS:
        program(tmp_path / "bin" / name)
    shop = Shop()
    box = toolbox(tmp_path, shop, path=str(tmp_path / "bin"))
    assert (box.missing(TOOLS), box.bin_dirs(TOOLS), shop.asked) == ([], [], [])
    assert not box.folder.exists()


def test_a_tool_not_on_path_is_unpacked_once(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "rake")
    shop = Shop(stock=["spade-client"])
    box = toolbox(tmp_path, shop, path=str(tmp_path / "bin"))
    assert [box.missing(TOOLS) for _ in range(2)] == [[], []]
    assert shop.asked == [("spade-client",)]
    assert box.bin_dirs(TOOLS) == [str(box.folder / "spade" / "usr" / "bin")]
    assert [entry.name for entry in box.folder.iterdir()] == ["spade"]


def test_the_tests_find_what_was_unpacked(root: Path) -> None:
    assert run(root, "servers", shop=Shop(stock=["spade-client", "rake"])) == 0


def test_a_missing_tool_stops_every_ring_and_says_which_can_run(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(root, "unit,servers,service", shop=Shop(stock=["spade-client"])) == 1
    out, err = capfd.readouterr()
    assert err.splitlines() == [
        "ring servers cannot run: rake is missing (Debian: rake, rake-lib)",
        "the others can: make test RINGS=unit,service",
    ]
    assert "test session starts" not in out


def test_where_no_ring_can_run_none_is_suggested(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(root, "servers") == 1
    assert "make test" not in capfd.readouterr().err


def test_a_package_without_its_program_is_a_missing_tool(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(root, "servers", shop=Shop(stock=["spade-client", "rake"], broken=True)) == 1
    assert "spade is missing" in capfd.readouterr().err


def test_half_a_tool_is_replaced(tmp_path: Path) -> None:
    box = toolbox(tmp_path, Shop(stock=["spade-client", "rake"]))
    (box.folder / "spade" / "usr").mkdir(parents=True)
    assert box.missing(TOOLS) == []


def test_a_tools_folder_that_cannot_be_written_is_a_missing_tool(tmp_path: Path) -> None:
    box = toolbox(tmp_path, Shop(stock=["spade-client", "rake"]))
    box.folder.write_text("in the way")
    assert box.missing(TOOLS) == TOOLS


ECHO = 'echo "$LD_LIBRARY_PATH" "$@" $$'


def unpack_with_libraries(tool: Tool, into: Path) -> None:
    program(into / tool.path, ECHO)
    for folder in ("usr/lib/m68k-linux-gnu", "lib/m68k-linux-gnu"):
        (into / folder).mkdir(parents=True)


def test_a_tool_with_libraries_is_started_with_them_and_keeps_its_process(tmp_path: Path) -> None:
    tool = Tool(("mower", "libblade1"), "usr/bin/mower", with_libraries=True)
    box = Toolbox({"mower": tool}, tmp_path / ".tools", "", unpack_with_libraries)
    with subprocess.Popen([box.program("mower"), "a b"], stdout=subprocess.PIPE, text=True) as mower:
        libraries, *arguments = mower.communicate()[0].split()
    folders = [Path(folder).resolve() for folder in libraries.split(":")]
    unpacked = box.folder / "mower"
    assert folders == [unpacked / "usr/lib/m68k-linux-gnu", unpacked / "lib/m68k-linux-gnu"]
    assert arguments == ["a", "b", str(mower.pid)]
    assert box.bin_dirs(["mower"]) == [str(Path(box.program("mower")).parent)]


def test_a_program_is_the_machines_own_where_it_has_it(tmp_path: Path) -> None:
    own = program(tmp_path / "bin" / "rake")
    assert toolbox(tmp_path, Shop(), path=str(tmp_path / "bin")).program("rake") == str(own)


@pytest.mark.parametrize(
    "shop", [Shop(), Shop(stock=["mower"], broken=True)], ids=["not to be had", "not in its package"]
)
def test_a_program_that_cannot_be_had_is_told(tmp_path: Path, shop: Shop) -> None:
    box = Toolbox({"mower": Tool(("mower",), "usr/bin/mower", with_libraries=True)}, tmp_path / ".tools", "", shop)
    with pytest.raises(Unfetched):
        box.program("mower")


def test_the_real_table_names_a_package_for_every_tool_and_a_folder_for_every_ring() -> None:
    assert set(rings.needed(rings.TABLE.rings, rings.TABLE)) == set(rings.TABLE.tools)
    assert all(tool.packages and not tool.path.startswith("/") for tool in rings.TABLE.tools.values())
    assert all((rings.ROOT / "tests" / ring).is_dir() for ring in rings.TABLE.rings)


# Apt, with an apt-get and a dpkg that are shell scripts, which note their arguments and may be told to fail.

NOTES = 'echo "$*" >> "$(dirname "$0")/notes"\n'
PRODUCES = "case $* in *download*) : > tool.deb;; esac"
DPKG = NOTES + 'mkdir -p "$3/usr/bin" && : > "$3/usr/bin/spade"'


def apt(tmp_path: Path, apt_get: str | None) -> tuple[Apt, Path]:
    """Return an Apt on such scripts, and the file of their notes."""
    bin_dir = tmp_path / "bin"
    program(bin_dir / "dpkg", DPKG)
    if apt_get is not None:
        program(bin_dir / "apt-get", NOTES + apt_get)
    tools = tmp_path / "coreutils"  # what the scripts use, without the machine's own apt-get
    tools.mkdir()
    for name in ("dirname", "mkdir"):
        (tools / name).symlink_to(next(p for p in map(Path, ("/bin", "/usr/bin")) if (p / name).exists()) / name)
    return Apt(tmp_path / "private", os.pathsep.join(map(str, (bin_dir, tools)))), bin_dir / "notes"


def test_apt_uses_the_machines_lists_where_they_serve(tmp_path: Path) -> None:
    fetch, notes = apt(tmp_path, PRODUCES)
    fetch(TABLE.tools["spade"], tmp_path / "into")
    assert (tmp_path / "into" / "usr" / "bin" / "spade").exists()
    download, unpack = notes.read_text().splitlines()
    assert download == "download spade-client"
    assert unpack.startswith("-x ")


@pytest.mark.parametrize("update", ["exit 0", "exit 100"])
def test_apt_without_lists_fetches_its_own_and_a_half_failed_update_is_enough(tmp_path: Path, update: str) -> None:
    fetch, notes = apt(tmp_path, f"case $* in download*) exit 100;; *update) {update};; *) : > tool.deb;; esac")
    fetch(TABLE.tools["spade"], tmp_path / "into")
    plain, updated, download, _ = notes.read_text().splitlines()
    assert plain == "download spade-client"
    private = f"-o Dir::State={tmp_path}/private/state -o Dir::Cache={tmp_path}/private/cache "
    assert updated.startswith(private)
    assert updated.endswith(" update")
    assert download.startswith(private)
    assert download.endswith(" download spade-client")
    assert (tmp_path / "into" / "usr" / "bin" / "spade").exists()


@pytest.mark.parametrize("apt_get", [None, "exit 100"], ids=["no apt-get", "a failing apt-get"])
def test_apt_that_cannot_says_so_and_shows_nothing(
    tmp_path: Path, apt_get: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    fetch, _ = apt(tmp_path, apt_get and f"echo from-a-host >&2; {apt_get}")
    with pytest.raises(Unfetched):
        fetch(TABLE.tools["spade"], tmp_path / "into")
    assert capfd.readouterr() == ("", "")
