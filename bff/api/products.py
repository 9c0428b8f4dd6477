"""The product page's routes."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from bff.api import headers
from bff.api.context import Context, context_of, values
from bff.api.disconnect import UntilDisconnect
from bff.api.problems import kind_of, problem
from bff.api.schema import PAGE_RESPONSES
from bff.api.sku import SkuInPath
from bff.product import view
from bff.product.pages import Page, Pages
from bff.resilience.stack import Clock
from bff.viewlog.recorder import View

CLIENTS = ("mobile", "web")


@dataclass(frozen=True, slots=True)
class Products:
    """What the routes need. deadline_seconds: the most that a page may take."""

    pages: Pages
    record: Callable[[View], None]
    deadline_seconds: float
    clock: Clock
    now_text: Callable[[], str]

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/api/v1/products", tags=["products"])

        @router.get("/{sku_id}", responses=PAGE_RESPONSES, response_class=Response, summary="A product's page")
        async def product(sku_id: SkuInPath, request: Request) -> Response:
            return await self._answer(request, sku_id, viewed=False)

        @router.get(
            "/agg/{sku_id}",
            responses=PAGE_RESPONSES,
            response_class=Response,
            summary="A product's page; the view is logged",
        )
        async def product_view(sku_id: SkuInPath, request: Request) -> Response:
            response = await self._answer(request, sku_id, viewed=True)
            if response.status_code in (200, 304) and context_of(request.scope).method == "GET":
                self.record(self._view(request, sku_id))
            return response

        return router

    async def _answer(self, request: Request, sku_id: str, *, viewed: bool) -> Response:
        context = context_of(request.scope)
        seconds = min(self.deadline_seconds, context.timeout or self.deadline_seconds)
        async with UntilDisconnect(request.receive):
            page = await self.pages.load(sku_id, context.caller, context.arrived + seconds)
        shown = self._headers(page, context)
        if not isinstance(page.verdict, view.Found):
            return _no_page(request, page, shown)
        return self._page(request, page, shown, viewed=viewed)

    def _page(self, request: Request, page: Page, shown: dict[str, str], *, viewed: bool) -> Response:
        shown["Cache-Control"] = headers.cache_control(page.parts, self.clock(), viewed=viewed)
        content = view.content(page.parts)
        context_of(request.scope).complete = whole = view.complete(page.parts)
        if whole:
            shown["ETag"] = etag = view.etag(content)
            if headers.matches(values(request.scope, b"if-none-match"), etag):
                return Response(status_code=304, headers=shown)
        return Response(view.page(page.parts, content), headers=shown, media_type="application/json")

    def _headers(self, page: Page, context: Context) -> dict[str, str]:
        now = self.clock()
        return {
            "Vary": headers.VARY,
            "Cache-Status": headers.cache_status(page.parts, now),
            "Server-Timing": headers.server_timing(now - context.arrived, page.waited),
        }

    def _view(self, request: Request, sku_id: str) -> View:
        context = context_of(request.scope)
        client = next(values(request.scope, b"x-client"), "").lower()
        return View(
            at=self.now_text(),
            sku_id=sku_id,
            request_id=context.caller.request_id,
            client=client if client in CLIENTS else "other",
            complete=context.complete is True,
        )


def _no_page(request: Request, page: Page, shown: dict[str, str]) -> Response:
    sources = view.sources(page.parts)
    if isinstance(page.verdict, view.Failed):
        detail = f"{page.verdict.source}: {page.verdict.reason}"
        return problem(request.scope, kind_of(page.verdict.reason), detail, headers=shown, sources=sources)
    return problem(request.scope, "product-unknown", f"No product {page.sku}.", headers=shown, sources=sources)
