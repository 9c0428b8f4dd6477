"""The listener's protocol: a request that comes early is no idleness, and an exchange that came to nothing is none."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from bff.exchange import Field, Later
from tests.service.test_protocol import answer, asking
from tests.service.test_protocol_later import Site
from tests.service.test_protocol_ways import connected


@pytest.mark.parametrize("cut", [None, 20], ids=["whole", "half"])
@pytest.mark.parametrize("first", ["/quick", "/later"])
async def test_a_connection_is_not_idle_whose_next_request_came_before_the_answer(first: str, cut: int | None) -> None:
    site = Site()
    async with connected(site, timeout_keep_alive=0.2) as (reader, writer, _):
        following = asking("/later-next")
        writer.write(asking(first) + following[:cut])
        if first == "/later":
            (await site.taken(first)).answer()
        await answer(reader)
        await asyncio.sleep(0.5)
        writer.write(following[cut:] if cut else b"")
        if question := await site.asked("/later-next"):
            await asyncio.sleep(0.5)
            question.answer()
        assert (await answer(reader))[1].endswith(b"/later-next")


class Breaking(Site):
    """Breaks after it has made an exchange."""

    def quick(self, target: bytes, sent: list[Field], later: Later) -> Any:
        made = super().quick(target, sent, later)
        if target == b"/later-broken":
            raise ValueError
        return made


async def test_an_exchange_whose_making_broke_is_none_and_answers_nothing() -> None:
    site = Breaking()
    with capture_logs():
        async with connected(site) as (reader, writer, listener):
            writer.write(asking("/later-broken"))
            assert (await answer(reader))[1] == b"whole: /later-broken"
            site.later["/later-broken"].answer()
            writer.write(asking("/quick"))
            assert (await answer(reader))[1] == b"at once: /quick"
            assert listener.server_state.tasks == set()
