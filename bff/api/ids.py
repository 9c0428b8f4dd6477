"""The ids of changes and reservations, as paths name them."""

import re
from typing import Annotated

from fastapi import Depends, Path

from bff.api.auth import Refused

PATTERN = "^[0-9a-f]{32}$"
_ID = re.compile(PATTERN.replace("$", r"\Z"))


async def _looked_up(id: Annotated[str, Path()]) -> str:  # noqa: A002 - as the path has it
    """Return an id; what does not look like one is nobody's, and no database is asked for it."""
    if not _ID.match(id):
        raise Refused("route-unknown", "There is no such thing.")
    return id


Id = Annotated[str, Depends(_looked_up)]
