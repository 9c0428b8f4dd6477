"""The contract: bearer JWTs of the configured issuer, at a route that asks who calls."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.contract.test_events import JSON, TOKENS, tell
from tests.harness import Bff, bff
from tests.upstreams import Script, always, upstream

ISSUER, AUDIENCE = "https://issuer.test/", "product-bff"
KEY = ec.generate_private_key(ec.SECP256R1())
KEYS = json.dumps({"keys": [{"kid": "a", "alg": "ES256", **ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)}]})


def bearer(scope: str, **more: Any) -> tuple[str, str]:
    exp = int(time.time()) + 60  # noqa: TID251 - a token says the time of day
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "owner", "exp": exp, "scope": scope} | more
    return "Authorization", f"Bearer {jwt.encode(claims, KEY, 'ES256', {'kid': 'a'})}"


@asynccontextmanager
async def believing(keys: Script) -> AsyncIterator[Bff]:
    """Run the service with an issuer that the test plays, and static tokens beside."""
    async with upstream(keys) as issuer:
        jwts: dict[str, Any] = {
            "auth__jwks_url": f"{issuer.url}/keys",
            "auth__issuer": ISSUER,
            "auth__audience": AUDIENCE,
        }
        async with bff(auth__tokens=TOKENS, **jwts) as service:
            yield service


async def test_scopes_are_those_of_the_token() -> None:
    async with believing(always(KEYS)) as service:
        for scope, status in (("catalog:notify", 204), ("other catalog:write", 204), ("reservations", 403), ("", 403)):
            answer = await tell(service, {"sku_id": "1001"}, JSON, bearer(scope))
            assert (scope, answer.status) == (scope, status)


async def test_a_token_that_is_not_good_is_401_like_any_other() -> None:
    async with believing(always(KEYS)) as service:
        for wrong in ({"iss": "https://evil.test/"}, {"aud": "another"}, {"exp": 1}, {"sub": ""}):
            answer = await tell(service, {"sku_id": "1001"}, JSON, bearer("catalog:write", **wrong))
            assert (wrong, answer.status) == (wrong, 401)
            assert answer.headers["www-authenticate"] == 'Bearer realm="product-bff"'


async def test_while_the_keys_were_never_to_be_had_it_is_503_and_static_tokens_go_on() -> None:
    async with believing(always("away", 500)) as service:
        answer = await tell(service, {"sku_id": "1001"}, JSON, bearer("catalog:write"))
        assert (answer.status, answer.json["type"]) == (503, "urn:bff:problem:overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await tell(service, {"sku_id": "1001"})).status == 204
        assert (await tell(service, {"sku_id": "1001"}, JSON, ("Authorization", "Bearer no-jwt"))).status == 401
