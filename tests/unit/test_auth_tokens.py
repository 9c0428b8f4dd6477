"""Static tokens, and which headers are read as a bearer token at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.auth.bearer import Authenticator
from bff.auth.caller import Principal
from bff.auth.tokens import Token, Tokens

OWNER = Token(Principal("owner", frozenset({"catalog:write"})), "owner-secret-0123==")
SHOP = Token(Principal("shop", frozenset({"reservations"})), "a.B-c_D~e+F/0123")
TOKENS = Tokens([OWNER, SHOP])


async def asked(*headers: bytes) -> Principal | None:
    return await Authenticator(TOKENS, None).principal(headers)


@pytest.mark.parametrize("token", [OWNER, SHOP])
async def test_a_known_token_is_its_callers(token: Token) -> None:
    assert await asked(b"Bearer " + token.secret.encode()) == token.principal


@pytest.mark.parametrize("scheme", [b"bearer ", b"BEARER ", b"bEaReR    "])
async def test_the_scheme_is_compared_without_case(scheme: bytes) -> None:
    assert await asked(scheme + SHOP.secret.encode()) == SHOP.principal


GOOD = b"Bearer " + SHOP.secret.encode()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [GOOD, GOOD],
        [GOOD, b""],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [b"Basic " + SHOP.secret.encode()],
        [b"Bearer" + SHOP.secret.encode()],
        [b"Bearer\t" + SHOP.secret.encode()],
        [b" " + GOOD],
        [GOOD + b" "],
        [GOOD + b"\n"],
        [GOOD + b" more"],
        [GOOD + b", " + GOOD],
        [GOOD + b"="],
        [GOOD[:-1]],
        [GOOD + b"0"],
        [GOOD.upper()],
        [b"Bearer token=" + SHOP.secret.encode()],
        [b'Bearer "' + SHOP.secret.encode() + b'"'],
        [b"Bearer \xff\x00"],
    ],
)
async def test_anything_else_is_nobodys(headers: list[bytes]) -> None:
    assert await asked(*headers) is None


@given(st.lists(st.binary(max_size=64), max_size=3))
def test_no_bytes_whatever_are_more_than_nobodys(headers: list[bytes]) -> None:
    asking = Authenticator(TOKENS, None).principal(headers)
    with pytest.raises(StopIteration) as ended:  # it waits for nothing
        asking.send(None)
    assert ended.value.value is None


async def test_where_nothing_is_configured_nobody_is_known() -> None:
    nobody = Authenticator(Tokens([]), None)
    assert await nobody.principal([GOOD]) is None
    assert repr(nobody) == "<Authenticator <Tokens of nobody> None>"


def test_a_repr_tells_names_and_no_secret() -> None:
    shown = repr(TOKENS) + repr(OWNER) + repr(SHOP)
    assert repr(TOKENS) == "<Tokens of owner, shop>"
    assert OWNER.secret not in shown
    assert SHOP.secret not in shown
