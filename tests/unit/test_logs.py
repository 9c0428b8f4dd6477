"""The log: JSON lines on standard error, other libraries' too, down to a level."""

import json
import subprocess
import sys

SAYS = """
import logging, sys, structlog
from bff.logs import configure
configure(sys.argv[1], sys.argv[2] if sys.argv[2] != "auto" else None)
log = structlog.get_logger("ours")
structlog.contextvars.bind_contextvars(request_id="an-id")
log.debug("quiet")
log.info("hello", sku="1")
logging.getLogger("uvicorn.error").warning("chatter")
logging.getLogger("uvicorn.error").error("from %s", "elsewhere")
try:
    raise ValueError("why")
except ValueError as exc:
    log.error("broke", exc_info=exc)
"""


def said(level: str, form: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", SAYS, level, form], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_each_event_is_one_json_line_and_off_a_terminal_that_is_the_default() -> None:
    for form in ("json", "auto"):
        lines = [json.loads(line) for line in said("info", form)]
        assert [line["event"] for line in lines] == ["hello", "from elsewhere", "broke"]
        assert lines[0] | {"timestamp": ""} == {
            "event": "hello",
            "level": "info",
            "logger": "ours",
            "request_id": "an-id",
            "sku": "1",
            "timestamp": "",
        }
        assert lines[0]["timestamp"].endswith("Z")
        assert lines[1]["level"] == "error"
        assert "ValueError: why" in lines[2]["exception"]


def test_a_level_holds_back_what_is_below_it() -> None:
    assert [json.loads(line)["event"] for line in said("error", "json")] == ["from elsewhere", "broke"]
    assert json.loads(said("debug", "json")[0])["event"] == "quiet"


def test_text_is_for_people() -> None:
    lines = said("info", "text")
    assert "hello" in lines[0]
    assert any("ValueError" in line and "why" in line for line in lines)


def test_text_that_goes_into_a_file_has_no_colours() -> None:
    assert not any("\x1b" in line for line in said("info", "text"))
