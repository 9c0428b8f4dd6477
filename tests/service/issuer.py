"""An issuer of JWTs that a test plays: its keys, its tokens, good and bad, and a key set served over HTTP."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from bff.auth.bearer import Authenticator
from bff.auth.caller import Principal
from bff.auth.jwks import fetch
from bff.auth.jwts import Jwts
from bff.auth.keys import Keys
from bff.auth.tokens import Token, Tokens
from tests.unit.playing import Clockwork
from tests.upstreams import Script, Upstream, always, upstream

ISSUER, AUDIENCE = "https://issuer.test/", "product-bff"
STATIC = Token(Principal("owner", frozenset()), "0123456789abcdef")


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1() if name.endswith("384") else ec.SECP256R1())


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def public(kid: str, key: Any, **more: Any) -> dict[str, Any]:
    """Return the public half of a key as it stands in a set."""
    half = key.public_key()
    if isinstance(half, rsa.RSAPublicKey):
        return {"kid": kid, **RSAAlgorithm.to_jwk(half, as_dict=True), **more}
    if isinstance(half, ec.EllipticCurvePublicKey):
        return {"kid": kid, **ECAlgorithm.to_jwk(half, as_dict=True), **more}
    return {"kid": kid, **OKPAlgorithm.to_jwk(half, as_dict=True), **more}


def key_set(*keys: Any) -> str:
    return json.dumps({"keys": keys})


def serving(*keys: Any) -> Script:
    return always(key_set(*keys))


def now() -> int:
    return int(time.time())  # noqa: TID251 - a token says the time of day


def claims(**more: Any) -> dict[str, Any]:
    """Return good ones, changed; a claim that is None is left out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "shop", "exp": now() + 60, "scope": "catalog:write reservations"}
    return {name: value for name, value in (good | more).items() if value is not None}


def signed(key: Any = None, algorithm: str = "ES256", kid: Any = "a", **more: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**more), key or ec_key("a"), algorithm, headers)


def signed_by_hand(body: bytes) -> str:
    """Return a token whose signature is good, whatever it is that was signed."""
    return jwt.PyJWS().encode(body, ec_key("a"), "ES256", {"kid": "a"})


def by_hand(header: dict[str, Any] | str, body: dict[str, Any], secret: bytes | None = None) -> str:
    """Return a token that no library would make."""
    text = header if isinstance(header, str) else json.dumps(header)
    start = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in (text, json.dumps(body)))
    mac = b"" if secret is None else hmac.digest(secret, start.encode(), hashlib.sha256)
    return f"{start}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


@dataclass(frozen=True)
class Site:
    """An issuer that the test plays, and who believes it."""

    issuer: Upstream
    keys: Keys
    clock: Clockwork
    front: Authenticator

    async def ask(self, token: str) -> Principal | None:
        return await self.front.principal([f"Bearer {token}".encode()])

    @property
    def fetches(self) -> int:
        return len(self.issuer.seen)


@asynccontextmanager
async def site(script: Script) -> AsyncIterator[Site]:
    async with asyncio.timeout(20), upstream(script) as issuer:
        clock = Clockwork()
        keys = Keys(partial(fetch, f"{issuer.url}/keys", clock), clock)
        yield Site(issuer, keys, clock, Authenticator(Tokens([STATIC]), Jwts(ISSUER, AUDIENCE, keys)))
