"""How a service ends: with it whatever it left running."""

import subprocess
import sys

import pytest

SCRIPT = """
import threading, time
import uvloop
from bff.commands.ending import LEFT_SECONDS, run

def left():
    time.sleep(2 * LEFT_SECONDS)
    print("it was waited for", flush=True)

async def service():
    threading.Thread(target=left).start()
    print("served")

{run}(service())
"""


@pytest.mark.parametrize(
    ("run", "said"), [("run", "served\n"), ("uvloop.run", "served\nit was waited for\n")], ids=["guard", "control"]
)
def test_a_thread_that_does_not_end_is_left_behind(run: str, said: str) -> None:
    command = (sys.executable, "-c", SCRIPT.format(run=run))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, said, "")
