"""The keys and channels in Redis.

Keys of one SKU share a hash tag; the run id of the server stands in all of them, so that another server starts cold:

    bff:<run id>:{<sku>}:v:<source>   the value: see `bff.cache.redis.entries`
    bff:<run id>:{<sku>}:n:<source>   its nonce (`n…`), or the mark of a write (`w…`) in its place
    bff:<run id>:{<sku>}:l:<source>   who loads it: the nonce that it was given, and the pod
    bff:<run id>:pods                 a hash: when the lease of each pod ends, and the longest call that it makes; and
                                      since when there is this hash
    bff:<run id>:due                  a sorted set: what is to be deleted once more, by when
    bff:notices, bff:pod:<pod>        channels: what changed, for all; ticks and acknowledgements, for one

Keys, nonces and channels are the same in every release, so that two of them invalidate each other during a rollout.
"""

from dataclasses import dataclass

NOTICES = "bff:notices"
NONCE, MARK = "n", "w"


def pod_channel(pod: str) -> str:
    """Return the channel of one pod."""
    return f"bff:pod:{pod}"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys on one server."""

    run_id: str

    def part(self, source: str, sku: str) -> tuple[str, str, str]:
        """Return a part's value, nonce and load lease."""
        stem = f"bff:{self.run_id}:{{{sku}}}"
        return f"{stem}:v:{source}", f"{stem}:n:{source}", f"{stem}:l:{source}"

    @property
    def pods(self) -> str:
        """The pods and their leases."""
        return f"bff:{self.run_id}:pods"

    @property
    def due(self) -> str:
        """What is to be deleted once more."""
        return f"bff:{self.run_id}:due"
