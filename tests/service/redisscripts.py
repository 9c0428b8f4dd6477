"""A real Redis with the scripts in it, called as the service calls them."""

from typing import Any

import redis

from bff.cache.redis.entries import Stored, encode
from bff.cache.redis.keys import Keys
from bff.cache.redis.scripts import FILL, FORGET, LIFT, PUT_MARK, SCRIPTS, TAKE, TICK, Script

KEYS = Keys("test")
VALUE, NONCE, HOLD = PART = KEYS.part("price", "1")
PODS, DUE = KEYS.pods, KEYS.due
AS_OF = b"2026-11-21T08:00:00.000Z"
OLD_MS = 60_000


class Server:
    """A server with the scripts, and its clock."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        for script in SCRIPTS:
            assert client.script_load(script.text) == script.digest

    @property
    def now(self) -> int:
        seconds, microseconds = self.client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def run(self, script: Script, *keys: str, args: tuple[Any, ...] = ()) -> Any:
        return self.client.evalsha(script.digest, len(keys), *keys, *args)

    def take(self, nonce: bytes = b"nA", pod: bytes = b"a", keys: tuple[str, ...] = PART, ms: int = OLD_MS) -> Any:
        """Return what is said of each part, without the time."""
        limits = (ms, ms // 10) * (len(keys) // 3)
        return self.run(TAKE, *keys, args=(nonce, 60_000, pod, 250, *limits))[1:]

    def fill(self, nonce: bytes, value: bytes) -> int:
        return int(self.run(FILL, *PART, args=(nonce, value, 10_000, 60_000)))

    def mark(self, mark: bytes, message: bytes = b"m") -> Any:
        return self.run(PUT_MARK, PODS, *PART, args=(mark, 5000, "channel", message))

    def lift(self, mark: bytes, new: bytes = b"NEW") -> Any:
        return self.run(LIFT, PODS, DUE, *PART, args=(mark, new, "channel", b"m", 3000, b"change"))

    def forget(self, due: bytes = b"", done: bytes = b"") -> Any:
        return self.run(FORGET, PODS, DUE, *PART, args=(b"NEW", "channel", b"m", 3000, due, done))

    def tick(self, pod: bytes = b"a", *, late_ms: int = -300, seeds: tuple[Any, ...] = ()) -> Any:
        args = (pod, 1000, 800, f"bff:pod:{pod.decode()}", b"t1", self.now - late_ms, 5000, *seeds)
        return self.run(TICK, PODS, DUE, args=args)

    def value(self, age_ms: int = 0, body: bytes | None = b"{}") -> bytes:
        return encode(Stored(self.now - age_ms, AS_OF, body))

    def get(self, key: str) -> Any:
        return self.client.get(key)
