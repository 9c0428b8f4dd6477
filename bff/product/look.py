"""One load among those that pods share.

What one pod has loaded the others find in Redis, and of several that miss together one loads.

Before its source a load asks Redis, in one question a SKU for all that is asked of it in one turn. What is found and
young enough lands at once. Else Redis gives a nonce, under which what the source answers may be kept: an invalidation
deletes it, and the mark of a write stands in its place. And it says which pod is to load; the others ask again every
few milliseconds, until the value is there or that pod is gone, but only for three quarters of their time.

Who may join a load that is under way:
* while it is not sent anywhere, everybody;
* under a nonce, whoever comes while this pod is sure to hear of every change, and has been since the load asked Redis,
  for a change takes it out of the table; and who was himself given the same nonce, by a question sent after he came;
* under a mark, only the latter: the end of a write is not told to pods, it only removes the mark;
* without Redis, whoever comes while writers reckon with that; see `Pods.cut_off_since`.
"""

from itertools import count
from typing import Literal

from bff.cache.entry import Entry
from bff.cache.flights import Flight
from bff.cache.redis.entries import Stored
from bff.cache.redis.tier import Asked, Moment, Took
from bff.cache.tiers import Outcome
from bff.cache.trust import NO_EPOCH
from bff.product.sharing import Sharing
from bff.resilience.alarms import Alarm
from clients.source import Caller

POLL_SECONDS = (0.005, 0.01, 0.02)  # between questions after what another pod loads; the last one again and again
FOLLOW_SHARE = 0.75  # of a call's time: for so long a pod waits for another one's load at most
GATHER_SECONDS = 0.005  # for who comes right after, where nobody may join a call once it was sent
HOLD_SECONDS = 0.08  # between renewals of the lease of who loads, which is three times as long


class Look:
    """How a load stands with the other pods, and what is done for it until its source is asked."""

    __slots__ = (
        "_alarm",
        "_asked",
        "_caller",
        "_following",
        "_joined_late",
        "_moment",
        "_nonce",
        "_polls",
        "_sharing",
        "_since",
        "_stage",
        "alone",
        "epoch",
        "fills",
        "flight",
        "over",
    )
    queued = False

    def __init__(self, sharing: Sharing, flight: Flight[Outcome], caller: Caller, asked: Asked) -> None:
        self.flight = flight
        self.fills = True
        self.epoch = NO_EPOCH
        self.over = False
        self.alone = False
        self._sharing = sharing
        self._caller = caller
        self._asked = asked
        self._stage: Literal["unsent", "asked", "alone"] = "unsent"
        self._since = sharing.time.clock()
        self._polls = count()
        self._nonce: bytes | None = None
        self._moment: Moment | None = None
        self._alarm: Alarm | None = None
        self._following: Flight[Outcome] | None = None
        self._joined_late = False  # somebody came after the question was sent

    def __repr__(self) -> str:
        return f"<Look {self.flight.key} {self._stage}>"

    def admit(self) -> bool:
        """Return whether who comes now may wait for it; where that is so, he does."""
        if self._stage == "unsent":
            return True
        now = self._sharing.time.clock()
        if self._stage == "alone":
            # Writers wait a longest call: one that lasts longer, since this pod was stopped meanwhile, is too old.
            return now < self._since + self._sharing.time.call_seconds and self._sharing.cut_off_since(self._since)
        admits = self._sharing.cache.trust.holds(self.epoch, now)
        self._joined_late = self._joined_late or admits
        return admits

    @property
    def sku(self) -> str:
        """Of what product."""
        return self.flight.key

    def send(self) -> Asked:
        """Note that the question is sent, and return it."""
        self._stage = "asked"
        self._joined_late = False
        self.epoch = self._sharing.cache.trust.epoch
        return self._asked

    def answered(self, took: Took | None) -> None:
        """Go on with what Redis has said, if it has."""
        if self.over:
            if took is not None and took.lead and took.nonce is not None:
                self._sharing.tier.hold(self._sharing.name, self.sku, took.nonce, go_on=False)
            return
        if took is None:
            self._go_alone()
            return
        self._sharing.cache.disown(self.flight.key, self._sharing.time.clock())
        self._count(took)
        if took.nonce is None and took.stored is not None:
            self._end()
            self._sharing.cache.found(self.flight, self._sharing.entry(took.stored, took.moment, self.epoch))
        elif took.nonce is None or took.marked:
            self._load_marked(took)
        else:
            self._load(took)

    def abandon(self, flight: Flight[Outcome]) -> None:
        """Stop: nobody waits for it any more."""
        following = self._following
        self._end()
        if following is not None:
            following.disconnect(self)

    def landed(self, flight: Flight[Outcome]) -> None:
        """Land with another flight, which was given the same nonce."""
        assert flight.outcome is not None, "a flight lands with its outcome"
        self._end()
        self._sharing.cache.flights.take(self.flight)
        self.flight.land(flight.outcome)

    def brought(self, entry: Entry) -> None:
        """Give the others what the source has answered."""
        sharing, moment = self._sharing, self._moment
        if self._nonce is not None and moment is not None and self.fills:
            left = int((entry.bound - sharing.time.clock()) * 1000)
            if left > 0:
                stored = Stored(moment.server_ms(entry.began), entry.as_of, entry.body)
                sharing.tier.fill(sharing.name, self.flight.key, self._nonce, stored, left)
        self._end()

    def failed(self) -> None:
        """Let the others load, since the source has not answered."""
        if self._alarm is not None and self._nonce is not None:
            self._sharing.tier.hold(self._sharing.name, self.flight.key, self._nonce, go_on=False)
        self._end()

    def _go_alone(self) -> None:
        """Ask the source without Redis: at once where others may join that, else with those who come right after."""
        self.alone = True
        now = self._sharing.time.clock()
        if self._sharing.cut_off_since(now):
            self._ask_alone()
        else:
            self._stage = "unsent"
            self._alarm = self._sharing.alarms.set(now + GATHER_SECONDS, self._ask_alone)

    def _ask_alone(self) -> None:
        """Ask the source; what comes of it is kept for where the source fails, and never trusted."""
        self._alarm = None
        self._stage = "alone"
        self._since = self._sharing.time.clock()
        self.epoch = NO_EPOCH
        self._start()

    def _load_marked(self, took: Took) -> None:
        """Ask the source while the part is being written: nothing is kept, and nobody comes to it by the table.

        The end of a write is not told to pods. Who came after the question was sent may have come after that end, and
        must not be given what another load under the same mark has read before it.
        """
        self.fills = False
        self._sharing.cache.flights.take(self.flight)
        self._start_or_follow(took.nonce or b"", follow=not self._joined_late)

    def _load(self, took: Took) -> None:
        sharing = self._sharing
        self._nonce, self._moment = took.nonce, took.moment
        assert self._nonce is not None, "what is not young enough comes with a nonce"
        if took.stored is not None and sharing.cache.current(self.flight.key) is None:
            sharing.cache.lend(self.flight, sharing.entry(took.stored, took.moment, self.epoch))
        waited = sharing.time.clock() - self._since
        if (self.flight.key, self._nonce) in sharing.loading or took.lead:
            self._start_or_follow(self._nonce)
            if took.lead and self._following is None:
                self._hold()
        elif waited < FOLLOW_SHARE * sharing.time.call_seconds:
            pause = POLL_SECONDS[min(next(self._polls), len(POLL_SECONDS) - 1)]
            self._alarm = sharing.alarms.set(sharing.time.clock() + pause, self._ask_again)
        else:
            self._start_or_follow(self._nonce)

    def _ask_again(self) -> None:
        self._alarm = None
        if self._sharing.tier.usable:
            self._sharing.questions.add(self)
        else:
            self._go_alone()

    def _start_or_follow(self, nonce: bytes, *, follow: bool = True) -> None:
        key = (self.flight.key, nonce)
        flight = self._sharing.loading.get(key)
        if flight is not None and nonce and follow:
            self._following = flight
            flight.join(self)
            return
        self._nonce = nonce or None
        self._sharing.loading[key] = self.flight
        self._start()

    def _start(self) -> None:
        self.flight.work = None
        self._sharing.alone.start(self.flight, self._caller)

    def _hold(self) -> None:
        """Keep the others waiting while the load is under way."""
        self._alarm = self._sharing.alarms.set(self._sharing.time.clock() + HOLD_SECONDS, self._hold_on)

    def _hold_on(self) -> None:
        if self._nonce is not None:
            self._sharing.tier.hold(self._sharing.name, self.flight.key, self._nonce, go_on=True)
            self._hold()

    def _end(self) -> None:
        self.over = True
        self.flight.standing = None  # else the two would hold each other
        self._following = None
        if self._alarm is not None:
            self._alarm.disarm()
            self._alarm = None
        key = (self.flight.key, self._nonce or b"")
        if self._sharing.loading.get(key) is self.flight:
            del self._sharing.loading[key]

    def _count(self, took: Took) -> None:
        stored = took.stored
        if stored is None:
            result = "miss"
        elif stored.body is None:
            result = "not_found" if took.nonce is None else "miss"
        else:
            age = took.moment.got - took.moment.began(stored.began)
            result = "fresh" if age < self._sharing.lifetimes.fresh else "stale"
        self._sharing.looked_up(self._sharing.name, result)
