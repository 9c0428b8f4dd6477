"""The settings of who may call: what is taken, and what is refused by its name and never with its value."""

import json
from typing import Any

import pytest

from bff.auth.caller import Principal
from bff.auth.tokens import Token
from bff.settings import AuthSettings
from tests.unit.test_environment import problems, read

SECRET = "s3cret-s3cret-s3cret"
TOKENS, URL, ISSUER, AUDIENCE = (f"BFF_AUTH__{name}" for name in ("TOKENS", "JWKS_URL", "ISSUER", "AUDIENCE"))
JWTS = {URL: "https://issuer.test/keys", ISSUER: "https://issuer.test/", AUDIENCE: "product-bff"}


def entry(token: Any = SECRET, scopes: Any = ("catalog:write",)) -> dict[str, Any]:
    return {"token": token, "scopes": scopes}


def test_unset_nobody_is_known() -> None:
    auth = read().auth
    assert (auth.tokens, auth.jwks_url, auth.issuer, auth.audience) == ((), None, None, None)


def test_tokens_are_read_as_callers_with_their_scopes() -> None:
    given = {"owner": entry(scopes=["catalog:write", "catalog:notify"]), "a.B_c-9" * 9: entry("0" * 15 + "=", [])}
    given["shop"] = entry("~+/._-0123456789", ["reservations"])
    assert read(BFF_AUTH__TOKENS=json.dumps(given)).auth.tokens == (
        Token(Principal("owner", frozenset({"catalog:write", "catalog:notify"})), SECRET),
        Token(Principal("a.B_c-9" * 9, frozenset()), "0" * 15 + "="),
        Token(Principal("shop", frozenset({"reservations"})), "~+/._-0123456789"),
    )


def test_a_section_may_be_built_of_tokens_too() -> None:
    own = Token(Principal("owner", frozenset()), SECRET)
    assert AuthSettings(tokens=(own,)).tokens == (own,)


REFUSED: dict[str, Any] = {
    "no JSON": f'{{"a": "{SECRET}"',
    "too deep": "[" * 100_000,
    "a list": [entry()],
    "an empty name": {"": entry()},
    "a long name": {"a" * 65: entry()},
    "a name of other letters": {"é": entry()},
    "a name with a line end": {"a\n": entry()},
    "no object": {"a": SECRET},
    "no token": {"a": {"scopes": []}},
    "no scopes": {"a": {"token": SECRET}},
    "a field too many": {"a": entry() | {SECRET: 1}},
    "a token that is no text": {"a": entry(1234567890123456)},
    "an empty token": {"a": entry("")},
    "a token of other letters": {"a": entry(SECRET + "é")},
    "a token with a space": {"a": entry(SECRET + " " + SECRET)},
    "a token with a line end": {"a": entry(SECRET + "\n")},
    "a token with = inside": {"a": entry(SECRET + "=" + SECRET)},
    "a token of = alone": {"a": entry("=" * 16)},
    "scopes that are no list": {"a": entry(scopes="reservations")},
    "an unknown scope": {"a": entry(scopes=["reservations", SECRET])},
    "a scope that is no text": {"a": entry(scopes=[["reservations"]])},
    "the same token twice": {"a": entry(), "b": entry()},
    "the same name twice": f'{{"a": {json.dumps(entry())}, "a": {json.dumps(entry("other-" + SECRET))}}}',
    "the same field twice": f'{{"a": {{"token": "{SECRET}", "scopes": [], "scopes": ["reservations"]}}}}',
}


@pytest.mark.parametrize("tokens", REFUSED.values(), ids=REFUSED)
def test_other_tokens_are_refused_by_name_and_never_with_their_value(tokens: Any) -> None:
    found = problems(BFF_AUTH__TOKENS=tokens if isinstance(tokens, str) else json.dumps(tokens))
    assert found.keys() == {TOKENS}
    assert "s3cret" not in found[TOKENS]


def test_tokens_are_in_no_repr() -> None:
    settings = read(BFF_AUTH__TOKENS=json.dumps({"owner": entry()}))
    assert "s3cret" not in repr(settings) + str(settings) + repr(settings.auth) + repr(settings.auth.tokens)


def test_jwts_are_taken_of_one_issuer_for_one_audience() -> None:
    auth = read(**JWTS).auth
    assert (auth.jwks_url, auth.issuer, auth.audience) == tuple(JWTS.values())


@pytest.mark.parametrize("alone", JWTS)
def test_each_missing_one_of_the_three_is_refused_by_its_name(alone: str) -> None:
    assert problems(**{alone: JWTS[alone]}).keys() == JWTS.keys() - {alone}
    assert problems(**(JWTS | {alone: ""})).keys() == {alone}


@pytest.mark.parametrize(
    "url",
    ["issuer.test/keys", "ftp://issuer.test/", "file:///keys", "https:///keys", "https://user:s3cret@issuer.test/"],
)
def test_keys_come_over_http_or_https_alone(url: str) -> None:
    found = problems(**(JWTS | {URL: url}))
    assert found.keys() == {URL}
    assert url not in found[URL]
    assert "s3cret" not in found[URL]
