"""What the loads of one source need that pods share; see `bff.product.look`."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bff.cache.entry import Entry, Lifetimes
from bff.cache.flights import Flight
from bff.cache.redis.entries import Stored
from bff.cache.redis.tier import Moment, RedisTier
from bff.cache.tiers import Outcome, SourceTiers
from bff.product.loader import Loading, Time
from bff.product.parts import SourceName
from bff.product.questions import Questions
from bff.resilience.alarms import Alarms


@dataclass(frozen=True, slots=True)
class Sharing:
    """What the loads of one source need to be shared.

    alone: how it is loaded here. cut_off_since: `bff.cache.redis.pods.Pods.cut_off_since`. looked_up: told of each
    look-up in Redis. loading: the loads under way, by SKU and nonce or mark.
    """

    name: SourceName
    alone: Loading
    questions: Questions
    tier: RedisTier
    cache: SourceTiers
    lifetimes: Lifetimes
    time: Time
    alarms: Alarms
    cut_off_since: Callable[[float], bool]
    looked_up: Callable[[SourceName, str], None]
    loading: dict[tuple[str, bytes], Flight[Outcome]] = field(default_factory=dict)

    def entry(self, stored: Stored, moment: Moment, epoch: int) -> Entry:
        """Return what another pod has loaded as it is kept here."""
        entry = self.lifetimes.entry(stored.body, stored.as_of, moment.began(stored.began), self.time.jitter())
        entry.epoch = epoch
        return entry
