"""What changes are asked for: at random, over few SKUs, some that an owner declines, some that are stopped."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.durable.asking import Request, change
from tests.durable.ledger import SOURCES
from tests.durable.owners import DECLINED, UNKNOWN

CHANGES = 200
PLAIN_SKUS, REFUSING_SKUS = 30, 10
CANCELLED_SHARE, HURRIED_SHARE, PART_SHARE = 0.15, 0.05, 0.7
CANCEL_SECONDS = 1.2  # after it was accepted, at most
HURRIED_SECONDS, PATIENT_SECONDS = 1, 60
ENDS = ("succeeded", "compensated", "failed", "cancelled", "timed_out")


@dataclass
class Order:
    """A change that is asked for, and what is known of it.

    parts: by source, their fields. cancel_seconds: after which it is stopped, None where it is not. id: "" before it is
    accepted; refused: the answer, where it is not. seen: every state of it and its steps that was seen, in this order;
    cancelled: what asking for its end was answered; followed: its events as they came while it ran; events: all of
    them, in the end.
    """

    number: int
    sku: str
    parts: dict[str, dict[str, Any]]
    priority: int = 5
    timeout_seconds: int = PATIENT_SECONDS
    cancel_seconds: float | None = None
    id: str = ""
    refused: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    cancelled: int | None = None
    followed: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def request(self) -> Request:
        """What asks for it."""
        terms = {"priority": self.priority, "timeout_seconds": self.timeout_seconds}
        return change({"sku_id": self.sku, **self.parts, **terms}, f"order-{self.number}")

    @property
    def state(self) -> str:
        """How it was last seen, "" where it never was."""
        return str(self.seen[-1]["state"]) if self.seen else ""

    @property
    def is_declined(self) -> bool:
        """Whether the stock service declines it."""
        return "stock" in self.parts and self.sku[1:4] in (*DECLINED, UNKNOWN)

    @property
    def is_hurried(self) -> bool:
        """Whether it has so little time that it may well be out of it."""
        return self.timeout_seconds == HURRIED_SECONDS


def orders(random: Random) -> Iterator[Order]:
    """Make them up."""
    kinds = (*DECLINED, UNKNOWN)
    skus = [f"G500{number:04}" for number in range(PLAIN_SKUS)]
    skus += [f"G{kinds[number % len(kinds)]}{number:04}" for number in range(REFUSING_SKUS)]
    for number in range(CHANGES):
        sources = [source for source in SOURCES if random.random() < PART_SHARE] or [random.choice(SOURCES)]
        yield Order(
            number,
            random.choice(skus),
            {source: _part(source, number) for source in sources},
            priority=random.randint(0, 9),
            timeout_seconds=HURRIED_SECONDS if random.random() < HURRIED_SHARE else PATIENT_SECONDS,
            cancel_seconds=random.uniform(0, CANCEL_SECONDS) if random.random() < CANCELLED_SHARE else None,
        )


def _part(source: str, number: int) -> dict[str, Any]:
    """Return what no other change writes."""
    parts: dict[str, dict[str, Any]] = {
        "info": {"name": f"written by {number}"},
        "price": {"price": 100_000 + number},
        "stock": {"quantity": 100_000 + number},
    }
    return parts[source]
