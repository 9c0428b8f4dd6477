"""The fence: a load that was under way when its key was invalidated fills nothing.

A load takes its key's nonce; an invalidation revokes it; a fill is refused unless its nonce still stands. Random
nonces and not counters, because a forgotten counter starts anew and would let an old fill in.
"""

from collections.abc import Callable, Iterable

Nonce = int
NONCE_BITS = 128


class Fence:
    """The nonces of the keys that are being loaded."""

    def __init__(self, getrandbits: Callable[[int], Nonce]) -> None:
        self._getrandbits = getrandbits
        self._nonces: dict[str, Nonce] = {}

    def __repr__(self) -> str:
        return f"<Fence {len(self._nonces)}>"

    def take(self, key: str) -> Nonce:
        """Return the key's nonce, made if there is none."""
        nonce = self._nonces.get(key)
        if nonce is None:
            nonce = self._nonces[key] = self._getrandbits(NONCE_BITS)
        return nonce

    def stands(self, key: str, nonce: Nonce) -> bool:
        """Return whether the key's nonce is still this one."""
        return self._nonces.get(key) == nonce

    def revoke(self, keys: Iterable[str]) -> None:
        """Forget the keys' nonces: loads under way fill nothing, and later readers do not join them."""
        for key in keys:
            self._nonces.pop(key, None)

    def release(self, key: str, nonce: Nonce) -> None:
        """Forget a nonce whose load has ended."""
        if self._nonces.get(key) == nonce:
            del self._nonces[key]
