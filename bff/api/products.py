"""The product page: its routes, declared to FastAPI, and its answers, which are made without it.

`Front` answers every well-formed question for a page ahead of routing and validation; what it does not take, and what a
service without it gets, reaches the same answers by way of the routes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.api import headers
from bff.api.context import Context, context_of, values
from bff.api.disconnect import Watch
from bff.api.edge import send_answer
from bff.api.headers import Fields
from bff.api.problems import kind_of, problem_answer
from bff.api.schema import PAGE_RESPONSES
from bff.api.sku import SkuInPath, is_sku
from bff.exchange import Answer
from bff.product import view
from bff.product.fanout import Page
from bff.product.pages import ClientLeft, Pages
from bff.product.rendered import RenderedPage
from bff.resilience.stack import Clock
from bff.viewlog.recorder import View

CLIENTS = ("mobile", "web")

Sent = list[headers.Field]


@dataclass(frozen=True, slots=True)
class Form:
    """A way of asking for a page. folder: its path up to the SKU; viewed: whether each answer is a view."""

    folder: str
    viewed: bool
    summary: str

    @property
    def template(self) -> str:
        """Its path as it is declared."""
        return f"{self.folder}/{{sku_id}}"


FORMS = (
    Form("/api/v1/products", viewed=False, summary="A product's page"),
    Form("/api/v1/products/agg", viewed=True, summary="A product's page; the view is logged"),
)

_FORMS = {form.folder: form for form in FORMS}


@dataclass(frozen=True, slots=True)
class Products:
    """What the pages need. deadline_seconds: the most that a page may take."""

    pages: Pages
    record: Callable[[View], None]
    deadline_seconds: float
    clock: Clock
    now_text: Callable[[], str]

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(tags=["products"])
        for form in FORMS:
            self._declare(router, form)
        return router

    async def answer(self, form: Form, sku: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a page."""
        context = context_of(scope)
        context.route = form.template
        sent = scope["headers"]
        if (rendered := self.pages.hot(sku)) is not None:
            await send_answer(send, self.hot(form, sku, rendered, context, sent))
            return
        try:
            page = await self.pages.load(sku, context.caller, self.deadline(context), Watch(scope))
        except ClientLeft:
            return  # there is nobody to answer; the edge counts it
        await send_answer(send, self.page(form, page, context, sent))

    def deadline(self, context: Context) -> float:
        """Return when a page has to be there, by the clock."""
        return context.arrived + min(self.deadline_seconds, context.timeout or self.deadline_seconds)

    def hot(self, form: Form, sku: str, hot: RenderedPage, context: Context, sent: Sent) -> Answer:
        """Return the answer that a rendered page makes."""
        now = self.clock()
        context.complete = True
        self._viewed(form, sku, context, sent)
        fields = [
            headers.VARY,
            headers.hot_cache_status(hot.ends, now),
            headers.page_timing(now - context.arrived),
            headers.hot_cache_control(hot.ends, now, viewed=form.viewed),
            (b"etag", hot.etag),
        ]
        if headers.matches(sent, hot.etag):
            return 304, fields, b""
        return 200, [*fields, headers.JSON, (b"content-length", hot.length)], hot.body

    def page(self, form: Form, page: Page, context: Context, sent: Sent) -> Answer:
        """Return the answer that a page makes."""
        now = self.clock()
        fields = [
            headers.VARY,
            headers.cache_status(page.parts, now),
            headers.server_timing(now - context.arrived, page.waited),
        ]
        if page.verdict is not view.FOUND:
            return _no_page(page, context, fields)
        fields.append(headers.cache_control(page.parts, now, viewed=form.viewed))
        content = view.content(page.parts)
        context.complete = whole = view.complete(page.parts)
        self._viewed(form, page.sku, context, sent)
        if whole:
            etag = view.etag(content).encode()
            fields.append((b"etag", etag))
            if headers.matches(sent, etag):
                return 304, fields, b""
        body = view.page(page.parts, content)
        return 200, [*fields, headers.JSON, (b"content-length", b"%d" % len(body))], body

    def _declare(self, router: APIRouter, form: Form) -> None:
        @router.get(form.template, responses=PAGE_RESPONSES, response_class=Response, summary=form.summary)
        async def product(sku_id: SkuInPath) -> Response:
            return _Deferred(lambda scope, receive, send: self.answer(form, sku_id, scope, receive, send))

        product.__doc__ = None

    def _viewed(self, form: Form, sku: str, context: Context, sent: Sent) -> None:
        """Record a view; a HEAD is none."""
        if not form.viewed or context.method != "GET":
            return
        client = next(values(sent, b"x-client"), "").lower()
        known = client if client in CLIENTS else "other"
        self.record(View(self.now_text(), sku, context.caller.request_id, known, context.complete is True))


class Front:
    """Answers well-formed questions for pages, ahead of the application that declares them; passes on the rest."""

    def __init__(self, app: ASGIApp, products: Products) -> None:
        self._app = app
        self._products = products

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        asked = None
        # A path that is written in another way is the router's: an encoded slash is no separator.
        if scope["type"] == "http" and scope["method"] == "GET" and b"%" not in scope["raw_path"]:
            asked = form_of(scope["path"])
        if asked is None:
            await self._app(scope, receive, send)
        else:
            await self._products.answer(*asked, scope, receive, send)


def form_of(path: str) -> tuple[Form, str] | None:
    """Return the form and the SKU that a path asks for, None where it is no well-formed question for a page."""
    folder, _, sku = path.rpartition("/")
    form = _FORMS.get(folder)
    return (form, sku) if form is not None and is_sku(sku) else None


class _Deferred(Response):
    """What a route returns for an answer that is sent by other hands."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _no_page(page: Page, context: Context, fields: Fields) -> Answer:
    sources = view.sources(page.parts)
    if isinstance(page.verdict, view.Failed):
        detail = f"{page.verdict.source}: {page.verdict.reason}"
        return problem_answer(context, kind_of(page.verdict.reason), detail, fields, sources=sources)
    return problem_answer(context, "product-unknown", f"No product {page.sku}.", fields, sources=sources)
