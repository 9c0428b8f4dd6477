"""Doing a step of a change by its name."""

from functools import partial
from typing import cast

from bff.durable.claims import Claim
from bff.durable.database import Away
from bff.durable.doing import Needs
from bff.durable.forward import Forward
from bff.durable.steps import Fenced, Steps
from bff.durable.undo import Undo
from bff.product.parts import SourceName

AWAY_PAUSE_SECONDS = 0.25


async def do(needs: Needs, claim: Claim, name: str) -> str:
    """Do a step of a claimed change, for as long as it takes, and return how it ended; raises Usurped.

    name: as `bff.durable.saga` has it.
    """
    steps = Steps(claim, needs.worker)
    what, _, source = name.partition(" ")
    while True:
        try:
            if what == "write":
                return await Forward(needs, steps, cast(SourceName, source)).write()
            if what == "undo":
                return await Undo(needs, steps, cast(SourceName, source)).undo()
            return await needs.database.write(partial(steps.end, now=needs.database.now()))
        except Fenced:
            return "fenced"
        except Away:  # nothing is known but what is on record: it begins anew from there, once it can be read
            await needs.sleep(AWAY_PAUSE_SECONDS)
