"""What `bff changes import` says: of misuse, of a service that refuses it or is away, and on a terminal."""

import asyncio
import os
import pty
import sys
from pathlib import Path

import pytest

from tests.service.test_commands import command, ended
from tests.service.test_import_command import GENEROUS_SECONDS, TOKEN, imported, shop, state_of, table


async def test_a_token_that_is_none_fails_no_row_and_a_right_one_goes_on(tmp_path: Path) -> None:
    file = table(tmp_path, ["G1,1,", "G2,2,"])
    async with shop(tmp_path / "data") as (url, _):
        code, out, err = await imported(file, url, token="another")
        assert (code, out[0]) == (1, "2 rows: 0 succeeded, 0 failed, 0 still running, 2 not sent")
        assert f"{url}: status 401: " in err
        assert "another" not in err
        own = tmp_path / "token"
        own.write_text(TOKEN + "\n")
        code, out, err = await imported(file, url, "--token-file", str(own), token="another")
        assert (code, out[0]) == (0, "2 rows: 2 succeeded, 0 failed, 0 still running")


async def test_a_service_that_does_not_answer_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    file = table(tmp_path, ["G1,1,"])
    code, out, err = await imported(file, "http://127.0.0.1:9", "--patience-seconds", "1")
    assert (code, out[0]) == (1, "1 rows: 0 succeeded, 0 failed, 0 still running, 1 not sent")
    assert err.splitlines()[0] == "http://127.0.0.1:9: no answer: ConnectionRefusedError; asking again"
    assert err.splitlines()[-1] == "run the same command again to go on where this stopped"


async def test_misuse_ends_with_2_and_sends_nothing(tmp_path: Path) -> None:
    good = table(tmp_path, ["G1,1,"])
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("sku_id,prize\nG1,1\n")
    plain = tmp_path / "plain.txt"
    plain.write_text("sku_id,price\n")
    binary = tmp_path / "token"
    binary.write_bytes(b"\xff\xfe")
    url = "http://127.0.0.1:9"
    cases: list[tuple[tuple[str, ...], str, str]] = [
        ((str(good),), "", "no token: set PRODUCT_BFF_TOKEN"),
        ((str(good), "--token-file", str(tmp_path / "none")), TOKEN, "--token-file: cannot be read: No such file"),
        ((str(good), "--token-file", str(binary)), TOKEN, "--token-file: cannot be read"),
        ((str(wrong),), TOKEN, "columns that are not known: 'prize'"),
        ((str(plain),), TOKEN, "--format csv or jsonl"),
        ((str(tmp_path / "none.csv"),), TOKEN, "none.csv: is not there"),
        ((str(good), "--report", str(good)), TOKEN, "--report: must not be the file itself"),
        ((str(good), "--report", str(tmp_path / "no" / "r")), TOKEN, "No such file or directory"),
        ((str(good), "--url", "http://u:secret@a"), TOKEN, "--url: must be http or https"),
        ((str(good), "--priority", "10"), TOKEN, "--priority"),
        ((str(good), "--timeout-seconds", "0"), TOKEN, "--timeout-seconds"),
    ]

    async def misused(arguments: tuple[str, ...], token: str, said: str) -> None:
        options = arguments[1:] if "--url" in arguments else ("--url", url, *arguments[1:])
        async with command(
            "changes", "import", arguments[0], *options, data=tmp_path, PRODUCT_BFF_TOKEN=token
        ) as process:
            code, out, err = await ended(process)
        assert (code, out) == (2, ""), arguments
        assert said in err, arguments
        assert "secret" not in err
        assert "Traceback" not in err

    await asyncio.gather(*(misused(*case) for case in cases))
    assert not state_of(good).exists()


async def test_a_terminal_is_shown_a_bar_and_what_there_is_to_say_above_it(tmp_path: Path) -> None:
    file = table(tmp_path, [f"G{number},{number}," for number in range(1, 21)])
    async with shop(tmp_path / "data") as (url, _):
        code, out, shown = await on_a_terminal(file, url)
    assert code == 0
    assert out.startswith("20 rows: 20 succeeded")
    assert "20/20" in shown
    assert "#" * 10 in shown
    code, out, shown = await on_a_terminal(file, "http://127.0.0.1:9", "--name", "again", "--patience-seconds", "1")
    assert code == 1
    assert "\x1b[2Khttp://127.0.0.1:9: no answer: ConnectionRefusedError; asking again\r\n" in shown
    assert "0/20" in shown


async def on_a_terminal(file: Path, url: str, *options: str) -> tuple[int | None, str, str]:
    """Run the import with its standard error on a terminal; return its exit code, what it printed, what was shown."""
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BFF_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bff", "changes", "import", str(file), "--url", url, *options),
        env={**inherited, "PRODUCT_BFF_TOKEN": TOKEN, "TERM": "xterm"},
        stdout=asyncio.subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    async with asyncio.timeout(GENEROUS_SECONDS):
        out, _ = await process.communicate()
    return process.returncode, out.decode(), await asyncio.to_thread(_all_of, ours)


def _all_of(descriptor: int) -> str:
    shown = b""
    try:
        while chunk := os.read(descriptor, 65536):
            shown += chunk
    except OSError:  # the other side has closed it
        pass
    os.close(descriptor)
    return shown.decode()


@pytest.mark.parametrize("lines", [[], ["", ""]])
async def test_a_file_without_rows_is_imported_at_once(tmp_path: Path, lines: list[str]) -> None:
    code, out, err = await imported(table(tmp_path, lines), "http://127.0.0.1:9")
    assert (code, out[0], err) == (0, "0 rows: 0 succeeded, 0 failed, 0 still running", "")
