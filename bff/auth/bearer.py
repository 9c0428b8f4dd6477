"""Bearer tokens (RFC 6750), as requests bring them."""

import re
from collections.abc import Sequence

from bff.auth.caller import Principal
from bff.auth.jwts import Jwts
from bff.auth.tokens import Tokens

_BEARER = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)


class Authenticator:
    """Tell who calls: by a static token, else by a JWT, where those are taken."""

    def __init__(self, tokens: Tokens, jwts: Jwts | None) -> None:
        self._tokens = tokens
        self._jwts = jwts

    def __repr__(self) -> str:
        return f"<Authenticator {self._tokens!r} {self._jwts!r}>"

    async def principal(self, headers: Sequence[bytes]) -> Principal | None:
        """Return the caller.

        headers: the values of all the request's `authorization` headers.
        Raises KeysUnavailable where only the issuer's keys could tell, and none was ever had.
        """
        token = _BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
        if token is None:
            return None
        found = self._tokens.find(token[1])
        return await self._jwts.find(token[1]) if found is None and self._jwts is not None else found
