"""Our service, but every call to a source goes through `httpx.AsyncClient`, over the same transport."""

from typing import Any

import httpx  # noqa: TID251 - it is what is measured

from bff.cli import main
from bff.wiring import sources
from clients.http import Transport


class ThroughClient(httpx.AsyncBaseTransport):
    """A transport that hands each request to a client first."""

    def __init__(self, **options: Any) -> None:
        self._client = httpx.AsyncClient(transport=Transport(**options), timeout=None, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its answer with its body read."""
        response = await self._client.send(request)
        response.stream = httpx.ByteStream(response.content)
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


if __name__ == "__main__":
    vars(sources)["Transport"] = ThroughClient  # what wiring makes its clients of
    main()
