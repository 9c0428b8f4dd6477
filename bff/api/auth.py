"""Who may ask for what: bearer tokens and scopes, before anything else of a request is looked at."""

from collections.abc import Awaitable, Callable

from fastapi import Request

from bff.api.problems import Kind
from bff.auth.bearer import Authenticator
from bff.auth.caller import Principal
from bff.auth.keys import KeysUnavailable
from bff.exchange import Field

# The same for no token, a wrong one and one that has ended: nothing tells them apart.
CHALLENGE: Field = (b"www-authenticate", b'Bearer realm="product-bff"')


class Refused(Exception):
    """A request that goes no further, and the problem that it is answered."""

    def __init__(self, kind: Kind, detail: str, fields: tuple[Field, ...] = ()) -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail
        self.fields = fields


def scoped(authenticator: Authenticator, *scopes: str) -> Callable[[Request], Awaitable[Principal]]:
    """Return a dependency that gives a route its caller. scopes: any one of them is enough.

    It raises Refused: unauthorized, forbidden, or overloaded while the keys to tell by cannot be had.
    """

    async def caller(request: Request) -> Principal:
        sent = [value for name, value in request.scope["headers"] if name == b"authorization"]
        try:
            principal = await authenticator.principal(sent)
        except KeysUnavailable as exc:
            raise Refused("overloaded", "Tokens cannot be checked at present.") from exc
        if principal is None:
            raise Refused("unauthorized", "A valid bearer token is needed.", (CHALLENGE,))
        if principal.scopes.isdisjoint(scopes):
            needed = CHALLENGE[1] + b', error="insufficient_scope", scope="%b"' % " ".join(scopes).encode()
            raise Refused("forbidden", f"A scope is needed: {' or '.join(scopes)}.", ((CHALLENGE[0], needed),))
        return principal

    return caller
