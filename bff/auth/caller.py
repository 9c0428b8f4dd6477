"""Who calls, and what they may do."""

from dataclasses import dataclass

SCOPES = frozenset({"catalog:write", "catalog:notify", "reservations"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that was recognised.

    name: the static token's name, or a JWT's `iss` and `sub` as a JSON array, which no token's name looks like.
    scopes: all that were granted, those that no route asks for too.
    """

    name: str
    scopes: frozenset[str]
