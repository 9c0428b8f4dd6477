"""Pages answered where their request's head was parsed, ahead of the application that declares them."""

from bff.api.context import Context
from bff.api.disconnect import CLIENT_LEFT
from bff.api.edge import Edge
from bff.api.products import Form, Products, Sent, form_of
from bff.exchange import Answer, Exchange, Later
from bff.product.fanout import FanOut, Page


class QuickPages:
    """Answers questions for pages: `bff.protocol.Quick`. The same answers, counts, lines and views as the routes'."""

    def __init__(self, products: Products, edge: Edge) -> None:
        self._products = products
        self._edge = edge

    def __call__(self, target: bytes, sent: Sent, later: Later) -> Answer | Exchange | None:
        """Answer at once or later, or leave it to the application."""
        path = target.partition(b"?")[0]
        asked = form_of(path.decode("latin-1"))
        if asked is None:
            return None
        form, sku = asked
        context = self._edge.open(path, sent)
        rendered = self._products.pages.hot(sku)
        if rendered is None:
            return _Question(self._products, self._edge, form, context, sent).ask(sku, later)
        return ended(self._edge, form, context, self._products.hot(form, sku, rendered, context, sent))


class _Question:
    """One question for a page that is not rendered."""

    __slots__ = ("_answer", "_context", "_edge", "_exchange", "_form", "_page", "_products", "_sent")

    def __init__(self, products: Products, edge: Edge, form: Form, context: Context, sent: Sent) -> None:
        self._products = products
        self._edge = edge
        self._form = form
        self._context = context
        self._sent = sent
        self._answer: Answer | None = None
        self._exchange: Exchange | None = None
        self._page: FanOut

    def ask(self, sku: str, later: Later) -> Answer | Exchange:
        """Begin the page; return its answer, or what will be answered."""
        context = self._context
        self._page = self._products.pages.begin(sku, context.caller, self._products.deadline(context), self._done)
        if self._answer is not None:
            return self._answer
        self._exchange = later(self)
        return self._exchange

    def left(self) -> None:
        """Give up: the client is gone."""
        self._page.leave()
        self._exchange = None
        self._edge.done(self._context, self._form.template, CLIENT_LEFT)

    def stopped(self) -> Answer:
        """Give up, and say why."""
        self._page.leave()
        self._exchange = None
        return ended(self._edge, self._form, self._context, self._edge.stopped(self._context))

    def _done(self, page: Page | Exception) -> None:
        if isinstance(page, Exception):
            answer = self._edge.broken(self._context, page)
        else:
            try:
                answer = self._products.page(self._form, page, self._context, self._sent)
            except Exception as exc:
                answer = self._edge.broken(self._context, exc)
        answer = ended(self._edge, self._form, self._context, answer)
        exchange, self._exchange = self._exchange, None  # the two held each other
        if exchange is None:
            self._answer = answer
        else:
            exchange.answer(answer)


def ended(edge: Edge, form: Form, context: Context, answer: Answer) -> Answer:
    """Do with an answer what the edge does with those that pass through it."""
    status, fields, _ = answer
    fields.append((b"x-request-id", context.caller.request_id.encode()))
    edge.done(context, form.template, status)
    return answer
