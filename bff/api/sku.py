"""What a SKU looks like, wherever a client names one."""

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, Field

_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_RESERVED = "agg"  # it is a route of its own


def _not_reserved(sku_id: str) -> str:
    if sku_id == _RESERVED:
        raise ValueError("is reserved")
    return sku_id


SkuInPath = Annotated[str, Path(pattern=_PATTERN, examples=["1001"]), AfterValidator(_not_reserved)]
SkuInBody = Annotated[str, Field(pattern=_PATTERN), AfterValidator(_not_reserved)]
