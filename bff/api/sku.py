"""What a SKU looks like, wherever a client names one."""

import re
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, Field

# `$` matches before a final newline in Python, and not in pydantic's engine.
_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_RESERVED = "agg"  # it is a route of its own
_SKU = re.compile(_PATTERN.replace("$", r"\Z"))


def is_sku(text: str) -> bool:
    """Return whether a path's last segment names a product."""
    return _SKU.match(text) is not None and text != _RESERVED


def _not_reserved(sku_id: str) -> str:
    if sku_id == _RESERVED:
        raise ValueError("is reserved")
    return sku_id


SkuInPath = Annotated[str, Path(pattern=_PATTERN, examples=["1001"]), AfterValidator(_not_reserved)]
SkuInBody = Annotated[str, Field(pattern=_PATTERN), AfterValidator(_not_reserved)]
