"""Static tokens. How they are configured is not known here."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from bff.auth.caller import Principal


@dataclass(frozen=True, slots=True)
class Token:
    """A secret, and whom it stands for."""

    principal: Principal
    secret: str = field(repr=False)


class Tokens:
    """The static tokens, kept as digests alone."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._known = tuple((_digest(token.secret.encode()), token.principal) for token in tokens)

    def __repr__(self) -> str:
        return f"<Tokens of {', '.join(principal.name for _, principal in self._known) or 'nobody'}>"

    def find(self, secret: bytes) -> Principal | None:
        """Return whom a secret stands for, in a time that tells nothing of the ones that are known."""
        digest, found = _digest(secret), None
        for known, principal in self._known:  # to the end, wherever it was found
            if hmac.compare_digest(known, digest):
                found = principal
        return found


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
