"""What owners tell of their own changes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from bff.api.auth import scoped
from bff.api.body import parsed, read_json
from bff.api.schema import NOTICE_RESPONSES, request_body
from bff.api.sku import SkuInBody
from bff.auth.bearer import Authenticator
from bff.product.fence import Fence
from bff.product.parts import SOURCES, SourceName


class ProductChanged(BaseModel):
    """An owner's change of one product: of these sources, of all where none is named."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sku_id: SkuInBody
    sources: Annotated[list[SourceName], Field(min_length=1)] | None = None


def router(fence: Fence, authenticator: Authenticator) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1/events", tags=["events"])

    @router.post(
        "/product-changed",
        status_code=204,
        response_class=Response,
        responses=NOTICE_RESPONSES,
        openapi_extra=request_body(ProductChanged),
        dependencies=[Depends(scoped(authenticator, "catalog:notify", "catalog:write"))],
        summary="A product changed; it is forgotten, and read anew",
    )
    async def product_changed(request: Request) -> Response:
        what = parsed(ProductChanged, await read_json(request))
        await fence.forget((what.sku_id,), tuple(what.sources or SOURCES))
        return Response(status_code=204)

    return router
