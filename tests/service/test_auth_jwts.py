"""Bearer JWTs against a key set that is served over HTTP: which are good, and whose."""

import base64
import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bff.auth.bearer import Authenticator
from bff.auth.caller import Principal
from bff.auth.jwks import fetch
from bff.auth.jwts import Jwts
from bff.auth.keys import Keys
from bff.auth.tokens import Tokens
from tests.service.issuer import (
    AUDIENCE,
    ISSUER,
    by_hand,
    claims,
    ec_key,
    ed_key,
    now,
    public,
    rsa_key,
    serving,
    signed,
    signed_by_hand,
    site,
)
from tests.unit.playing import Clockwork
from tests.upstreams import upstream


async def test_a_good_token_is_its_subjects_with_the_scopes_it_says() -> None:
    async with site(serving(public("a", ec_key("a")))) as own:
        known = await own.ask(signed())
        assert known == Principal('["https://issuer.test/","shop"]', frozenset({"catalog:write", "reservations"}))
        for _ in range(3):
            assert await own.ask(signed()) == known
        assert own.fetches == 1
        assert own.issuer.seen[0].target == "/keys"
        assert repr(own.front) == (
            "<Authenticator <Tokens of owner> <Jwts of https://issuer.test/ for product-bff, <Keys 1 known>>>"
        )


@pytest.mark.parametrize(
    ("more", "scopes"),
    [
        ({"scope": None}, set()),
        ({"scope": ""}, set()),
        ({"scope": ["catalog:write"]}, set()),
        ({"scope": "  catalog:write  x "}, {"catalog:write", "x"}),
    ],
)
async def test_scopes_are_those_of_a_text_parted_by_spaces(more: dict[str, Any], scopes: set[str]) -> None:
    async with site(serving(public("a", ec_key("a")))) as own:
        known = await own.ask(signed(**more))
        assert known is not None
        assert known.scopes == scopes


async def test_names_of_different_callers_differ() -> None:
    pairs = [(ISSUER, "a"), (ISSUER, '"a'), (ISSUER, 'a","b'), (ISSUER, "\ud800"), (ISSUER + '"', "a"), (ISSUER, " a")]
    async with upstream(serving(public("a", ec_key("a")))) as issuer:
        keys = Keys(partial(fetch, issuer.url, Clockwork()), Clockwork())
        names = set()
        for iss, sub in pairs:
            front = Authenticator(Tokens([]), Jwts(iss, AUDIENCE, keys))
            known = await front.principal([f"Bearer {signed(iss=iss, sub=sub)}".encode()])
            assert known is not None
            names.add(known.name)
        assert len(names) == len(pairs)


async def test_a_token_may_be_for_others_too() -> None:
    async with site(serving(public("a", ec_key("a")))) as own:
        assert await own.ask(signed(aud=["other", AUDIENCE]))


@pytest.mark.parametrize("leeway", [{"exp": -25}, {"nbf": 25}, {"iat": 25}])
async def test_clocks_may_differ_by_half_a_minute(leeway: dict[str, Any]) -> None:
    async with site(serving(public("a", ec_key("a")))) as own:
        assert await own.ask(signed(**{claim: now() + seconds for claim, seconds in leeway.items()}))


BAD: dict[str, Callable[[], str]] = {
    "of another issuer": lambda: signed(iss="https://other.test/"),
    "of two issuers": lambda: signed_by_hand(json.dumps(claims(iss=[ISSUER])).encode()),
    "with a subject that is no text": lambda: signed_by_hand(json.dumps(claims(sub=1)).encode()),
    "with claims too deep": lambda: signed_by_hand(b"[" * 3000),
    "with claims that are no object": lambda: signed_by_hand(b"[]"),
    "for another audience": lambda: signed(aud="other"),
    "for a longer audience": lambda: signed(aud=AUDIENCE + "x"),
    "signed by another key": lambda: signed(ec_key("b")),
    "expired": lambda: signed(exp=now() - 31),
    "not valid yet": lambda: signed(nbf=now() + 40),
    "issued later": lambda: signed(iat=now() + 40),
    "without an end": lambda: signed(exp=None),
    "with an end beyond numbers": lambda: signed(exp=float("inf")),
    "without an issuer": lambda: signed(iss=None),
    "without an audience": lambda: signed(aud=None),
    "without a subject": lambda: signed(sub=None),
    "with an empty subject": lambda: signed(sub=""),
    "changed": lambda: signed()[:-8] + "AAAAAAAA",
    "not signed": lambda: signed().rpartition(".")[0] + ".",
    "two parts": lambda: signed().rpartition(".")[0],
    "no JWT": lambda: "0123456789abcdeg",
    "alg none": lambda: by_hand({"alg": "none", "kid": "a"}, claims()),
    "no alg": lambda: by_hand({"kid": "a"}, claims()),
    "an alg that is no text": lambda: by_hand({"alg": ["ES256"], "kid": "a"}, claims()),
    "HS256 with the public key": lambda: by_hand({"alg": "HS256", "kid": "r"}, claims(), pem(rsa_key())),
    "HS256 with the shared key": lambda: by_hand({"alg": "HS256", "kid": "h"}, claims(), b"x" * 32),
    "an RSA key's name, an EC signature": lambda: signed(kid="r"),
    "an algorithm that the key is not for": lambda: signed(rsa_key(), "PS256", kid="r256"),
    "an EC key's other algorithm": lambda: by_hand({"alg": "ES384", "kid": "a"}, claims()),
    "no kid": lambda: signed(kid=None),
    "a kid that is no text": lambda: by_hand({"alg": "ES256", "kid": 1}, claims()),
    "an unknown kid": lambda: signed(kid="z"),
    "a key for encryption": lambda: signed(rsa_key(), "RS256", kid="enc"),
    "a weak key": lambda: signed(rsa_key(1024), "RS256", kid="weak"),
    "a critical extension": lambda: by_hand({"alg": "ES256", "kid": "a", "crit": ["x"], "x": 1}, claims()),
    "a header too deep": lambda: by_hand("[" * 3000, claims()),
    "a header that is no object": lambda: by_hand("[]", claims()),
    "a key of its own": lambda: jwt.encode(
        claims(), ec_key("b"), "ES256", {"kid": "a", "jwk": public("a", ec_key("b")), "jku": "http://127.0.0.1:1/"}
    ),
}


def pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@cache
def many_keys() -> tuple[dict[str, Any], ...]:
    """Return the keys that the bad tokens are tried against."""
    return (
        public("a", ec_key("a")),
        public("r", rsa_key()),
        public("r256", rsa_key(), alg="RS256", use="sig"),
        public("enc", rsa_key(), use="enc"),
        public("weak", rsa_key(1024)),
        {"kid": "h", "kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode().rstrip("=")},
    )


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")  # the weak key is weak on purpose
@pytest.mark.parametrize("token", BAD.values(), ids=BAD)
async def test_a_bad_token_is_nobodys(token: Callable[[], str]) -> None:
    async with site(serving(*many_keys())) as own:
        assert await own.ask(token()) is None
        assert await own.ask(signed()) is not None  # the control: it is not the keys


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"])
async def test_every_asymmetric_algorithm_is_taken(algorithm: str) -> None:
    keys: dict[str, Any] = {"ES256": ec_key("a"), "ES384": ec_key("a-384"), "EdDSA": ed_key()}
    key = keys.get(algorithm, rsa_key())
    for named in ({}, {"alg": algorithm}):
        async with site(serving(public("k", key, **named))) as own:
            assert await own.ask(signed(key, algorithm, kid="k"))


async def test_a_token_of_more_than_8192_bytes_is_nobodys() -> None:
    def of_size(size: int) -> str:
        return next(token for token in map(padded, range(size * 3 // 4, 0, -1)) if len(token) <= size)

    def padded(length: int) -> str:
        return signed(ed_key(), "EdDSA", kid="e", pad="x" * length)

    async with site(serving(public("e", ed_key()))) as own:
        longest = of_size(8192)
        assert len(longest) > 8180
        assert await own.ask(longest)
        assert await own.ask(padded(8192 * 3 // 4)) is None
