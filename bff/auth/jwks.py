"""An issuer's key set (RFC 7517), fetched and read: blocking, for a thread. When it is fetched is not known here.

Not PyJWT's own client: that one takes the environment's proxies, reads answers of any size for any time, and asks anew
for every token while the issuer is away.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request

from jwt import PyJWK, PyJWTError

FETCH_SECONDS = 2.0
MAX_BYTES = 1_048_576
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS = (*RSA, "ES256", "ES384", "ES512", "EdDSA")

Clock = Callable[[], float]


class Unfetched(Exception):
    """There was no key set to be had."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of the issuer. algorithms: those that it may be used with."""

    jwk: PyJWK
    algorithms: tuple[str, ...]


def fetch(url: str, clock: Clock) -> Mapping[str, Key]:
    """Return the issuer's keys by their `kid`, at least one; raise Unfetched where there are none."""
    opener = OpenerDirector()  # with these two alone it knows no proxies, no redirects, no files
    opener.add_handler(HTTPHandler())
    opener.add_handler(HTTPSHandler())
    request = Request(url, headers={"Accept": "application/json", "User-Agent": "product-bff"})  # noqa: S310 - http(s)
    try:
        with opener.open(request, timeout=FETCH_SECONDS) as response:
            keys = dict(_keys(json.loads(_body(response, clock))))
    except (OSError, HTTPException, ValueError, RecursionError) as exc:
        raise Unfetched(type(exc).__name__) from exc
    if not keys:
        raise Unfetched("no usable key")
    return keys


def _body(response: HTTPResponse, clock: Clock) -> bytes:
    """Read an answer whose every byte could come late: the socket's own time begins anew with each."""
    if response.status != 200:
        raise Unfetched(f"status {response.status}")
    until, body = clock() + FETCH_SECONDS, b""
    while chunk := response.read1(MAX_BYTES):
        body += chunk
        if len(body) > MAX_BYTES or clock() > until:
            raise Unfetched("too large or too slow")
    return body


def _keys(document: Any) -> Iterator[tuple[str, Key]]:
    """Pass over what is no public signing key of ours to use: others may share the set."""
    found = document.get("keys") if isinstance(document, dict) else None
    for data in found if isinstance(found, list) else ():
        if isinstance(data, dict) and isinstance(data.get("kid"), str) and data.get("use", "sig") == "sig":
            key = _key(data)
            if key is not None:
                yield data["kid"], key


def _key(data: dict[str, Any]) -> Key | None:
    if "d" in data:  # private: whoever published it is not the only one to sign with it
        return None
    try:
        jwk = PyJWK(data)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if jwk.algorithm_name not in ALGORITHMS:  # symmetric ones above all
        return None
    return Key(jwk, RSA if jwk.key_type == "RSA" and "alg" not in data else (jwk.algorithm_name,))
