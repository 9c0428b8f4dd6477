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
from bff.api.edge import Edge
from bff.api.headers import Fields
from bff.api.problems import kind_of, problem
from bff.api.schema import PAGE_RESPONSES
from bff.api.sku import SkuInPath, is_sku
from bff.product import view
from bff.product.pages import ClientLeft, Page, Pages
from bff.product.rendered import RenderedPage
from bff.resilience.stack import Clock
from bff.viewlog.recorder import View

CLIENTS = ("mobile", "web")

Sent = list[headers.Field]
Answer = tuple[int, Fields, bytes]
"""A status, the answer's fields but those that the edge adds, and a body."""


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
        if (rendered := self.pages.hot(sku)) is not None:
            await _send(send, *self.hot(form, sku, rendered, context, scope["headers"]))
            return
        seconds = min(self.deadline_seconds, context.timeout or self.deadline_seconds)
        watch = Watch(scope)
        try:
            page = await self.pages.load(sku, context.caller, context.arrived + seconds, watch)
        except ClientLeft:
            return  # there is nobody to answer; the edge counts it
        if page.verdict is view.FOUND:
            status, fields, body = self._found(form, page, context, scope["headers"])
            await _send(send, status, fields, body)
            self._viewed(form, sku, context, scope["headers"])
        else:
            await _no_page(scope, page, self._fields(page, context))(scope, receive, send)

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

    def _declare(self, router: APIRouter, form: Form) -> None:
        @router.get(form.template, responses=PAGE_RESPONSES, response_class=Response, summary=form.summary)
        async def product(sku_id: SkuInPath) -> Response:
            return _Deferred(lambda scope, receive, send: self.answer(form, sku_id, scope, receive, send))

        product.__doc__ = None

    def _found(self, form: Form, page: Page, context: Context, sent: Sent) -> Answer:
        fields = self._fields(page, context)
        fields.append(headers.cache_control(page.parts, self.clock(), viewed=form.viewed))
        content = view.content(page.parts)
        context.complete = whole = view.complete(page.parts)
        if whole:
            etag = view.etag(content).encode()
            fields.append((b"etag", etag))
            if headers.matches(sent, etag):
                return 304, fields, b""
        body = view.page(page.parts, content)
        return 200, [*fields, headers.JSON, (b"content-length", b"%d" % len(body))], body

    def _fields(self, page: Page, context: Context) -> Fields:
        now = self.clock()
        return [
            headers.VARY,
            headers.cache_status(page.parts, now),
            headers.server_timing(now - context.arrived, page.waited),
        ]

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


class HotPages:
    """Answers questions for rendered pages where their head was parsed: `bff.protocol.Quick`."""

    def __init__(self, products: Products, edge: Edge) -> None:
        self._products = products
        self._edge = edge

    def __call__(self, target: bytes, sent: Sent) -> Answer | None:
        """Answer, or leave it to the application."""
        path = target.partition(b"?")[0]
        asked = form_of(path.decode("latin-1"))
        if asked is None:
            return None
        form, sku = asked
        rendered = self._products.pages.hot(sku)
        if rendered is None:
            return None
        context = self._edge.open(path, sent)
        status, fields, body = self._products.hot(form, sku, rendered, context, sent)
        fields.append((b"x-request-id", context.caller.request_id.encode()))
        self._edge.done(context, form.template, status)
        return status, fields, body


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


async def _send(send: Send, status: int, fields: Fields, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def _no_page(scope: Scope, page: Page, fields: Fields) -> Response:
    shown = {name.decode(): value.decode() for name, value in fields}
    sources = view.sources(page.parts)
    if isinstance(page.verdict, view.Failed):
        detail = f"{page.verdict.source}: {page.verdict.reason}"
        return problem(scope, kind_of(page.verdict.reason), detail, headers=shown, sources=sources)
    return problem(scope, "product-unknown", f"No product {page.sku}.", headers=shown, sources=sources)
