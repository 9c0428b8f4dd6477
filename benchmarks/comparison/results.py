"""What every work came to, kept in results.json, so that a run of some works leaves the others' as they are."""

import re
from pathlib import Path

import msgspec

FOLDER = Path(__file__).resolve().parents[1]
FILE = FOLDER / "results.json"
REASON_LENGTH = 300
_PRIVATE = re.compile(r"\w+://\S+|(?<![\w.])/[\w.-]+/\S*")


class Goal(msgspec.Struct, frozen=True):
    """A goal and what was measured. reached: None where nothing could be."""

    goal: str
    measured: str
    reached: bool | None

    @property
    def verdict(self) -> str:
        """Whether it was reached, in a word."""
        return "not measured" if self.reached is None else "reached" if self.reached else "MISSED"


class Bar(msgspec.Struct, frozen=True):
    """A peer's pages a second, for the chart."""

    label: str
    middle: float
    low: float
    high: float


class Result(msgspec.Struct, frozen=True):
    """One work. ran: when, by which command, on what."""

    about: str
    goals: list[Goal]
    header: list[str]
    rows: list[list[str]]
    bars: list[Bar] = []
    notes: list[str] = []
    ran: str = ""


def load() -> dict[str, Result]:
    """Read the results of earlier runs, by work."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Result]) if FILE.exists() else {}


def save(results: dict[str, Result]) -> None:
    """Keep results for later runs and for the chart."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def reason(text: str) -> str:
    """Return a reason as a table can have it: short, on one line, and without addresses and folders of this machine."""
    return " ".join(_PRIVATE.sub("...", text).replace("|", "/").split())[-REASON_LENGTH:]
