"""Bearer JWTs (RFC 7519, RFC 8725) of one issuer, for one audience."""

import json
from typing import Any

import jwt

from bff.auth.caller import Principal
from bff.auth.jwks import ALGORITHMS, Key
from bff.auth.keys import Keys

MAX_BYTES = 8192
LEEWAY_SECONDS = 30


class Jwts:
    """The JWTs that are taken: signed by a key of the issuer's, in force, and meant for us."""

    def __init__(self, issuer: str, audience: str, keys: Keys) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys

    def __repr__(self) -> str:
        return f"<Jwts of {self._issuer} for {self._audience}, {self._keys!r}>"

    async def find(self, token: bytes) -> Principal | None:
        """Return whom a token stands for; raise KeysUnavailable where a key would be needed and none was ever had."""
        kid = _kid(token) if len(token) <= MAX_BYTES else None
        key = None if kid is None else await self._keys.find(kid)
        return None if key is None else self._principal(token, key)

    def _principal(self, token: bytes, key: Key) -> Principal | None:
        try:
            claims = jwt.decode(
                token,
                key.jwk.key,
                algorithms=key.algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError:
            return None
        return _named(claims) if claims["sub"] else None


def _kid(token: bytes) -> str | None:
    """Return the name of the key that a token says to be signed by, where it may be good at all."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        return None
    kid = header.get("kid")
    return kid if isinstance(kid, str) and header.get("alg") in ALGORITHMS else None


def _named(claims: dict[str, Any]) -> Principal:
    scope = claims.get("scope")
    name = json.dumps([claims["iss"], claims["sub"]], separators=(",", ":"))
    return Principal(name, frozenset(scope.split() if isinstance(scope, str) else ()))
