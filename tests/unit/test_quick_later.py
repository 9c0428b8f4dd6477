"""Pages begun where the head was parsed and answered by a callback: as the application would, and nothing is held."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bff.product.fanout import FanOut, Page
from bff.product.parts import Parts
from clients.errors import Garbled, Rejected, Unavailable
from tests.unit.playing import HANGS, Script, Step, fails, in_virtual_time, script, turns
from tests.unit.shop import CALLER, Shop, until
from tests.unit.site import AGG, PAGE, Sent, Site

says = st.sampled_from(
    [
        Step(0.1), Step(0.1), Step(0.3), Step(0.5), Step(0.1, None), Step(0.4, None), HANGS,
        fails(Unavailable("down"), 0.2), fails(Rejected("no"), 0.1), fails(Garbled("?"), 0.3),
    ]
)  # fmt: skip
scripts = st.lists(says, min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(scripts, scripts, scripts),
    st.lists(st.floats(0.0, 9.0), min_size=1, max_size=4),
    st.sampled_from([PAGE, AGG, PAGE + b"?x=1"]),
    st.sampled_from([[], [(b"x-request-timeout-ms", b"250")], [(b"if-none-match", b"*"), (b"x-client", b"web")]]),
)
def test_it_is_the_answer_the_count_the_line_and_the_view_of_the_application(
    steps: tuple[list[Step], ...], pauses: list[float], target: bytes, sent: Sent
) -> None:
    async def scenario() -> None:
        quick, whole = site(steps), site(steps)
        at = 0.0
        for pause in pauses:
            with capture_logs() as quick_lines:
                answers = quick.either(target, sent)
                await until(at + 1.0)
            at += 1.0
            with capture_logs() as whole_lines:
                expected = await whole.whole(target, sent)
            assert [without_times(answer) for answer in answers] == [without_times(expected)]
            assert [shown(line) for line in quick_lines] == [shown(line) for line in whole_lines]
            await until(at + 1.0)
            at += 1.0 + pause
            await until(at)
        assert [counted[:3] for counted in quick.counts] == [counted[:3] for counted in whole.counts]
        assert (quick.views, quick.shop.lookups) == (whole.views, whole.shop.lookups)

    in_virtual_time(scenario())


def site(steps: tuple[list[Step], ...]) -> Site:
    """Return a site whose sources answer so, none of them at the very time of another."""
    info, price, stock = (
        Script([replace(step, after=step.after + 0.01 * number) for step in own]) for number, own in enumerate(steps)
    )
    return Site(Shop(info=info, price=price, stock=stock))


def without_times(answer: Any) -> Any:
    """Return an answer without what tells when it was given: the one site is asked a second after the other."""
    status, fields, body = answer
    kept = [(name, value) for name, value in fields if name not in {b"server-timing", b"content-length"}]
    page = json.loads(body) if body else None
    for source in page.get("meta", page)["sources"].values() if page else ():
        source["as_of"] = source["as_of"] and "then"
    return status, kept, page


def shown(line: Any) -> Any:
    return {name: value for name, value in line.items() if name != "seconds"}


@pytest.mark.parametrize(("target", "views"), [(PAGE, 0), (AGG, 1)])
async def test_it_is_answered_once_in_the_turn_in_which_its_last_part_came(target: bytes, views: int) -> None:
    site = Site(Shop(price=script(Step(0.2))))
    waiting = site.ask(target, [])
    await until(0.1)
    assert (waiting.given, site.counts, site.views) == ([], [], [])
    await until(0.3)
    assert [status for status, _, _ in waiting.given] == [200]
    assert (len(site.counts), len(site.views)) == (1, views)
    assert round(site.counts[0][3], 6) == 0.2
    assert site.shop.at_rest


async def test_a_deadline_answers_it() -> None:
    site = Site(Shop(info=script(HANGS)))
    waiting = site.ask(PAGE, [(b"x-request-timeout-ms", b"100")])
    await until(0.2)
    assert [status for status, _, _ in waiting.given] == [504]
    await until(3.0)
    assert (len(waiting.given), site.shop.at_rest) == (1, True)


async def test_a_client_that_leaves_is_counted_its_loads_are_abandoned_and_nobody_is_answered() -> None:
    site = Site(Shop(info=script(HANGS)))
    waiting = site.ask(AGG, [])
    await until(0.1)
    waiting.asker.left()
    await turns()
    assert site.shop.at_rest
    assert [counted[2] for counted in site.counts] == [499]
    await until(3.0)
    assert (waiting.given, site.views, len(site.counts)) == ([], [], 1)


async def test_a_client_that_leaves_takes_nothing_from_another_that_waits_for_the_same() -> None:
    site = Site(Shop(price=script(Step(0.2))))
    leaves, stays = site.ask(PAGE, []), site.ask(AGG, [])
    await until(0.1)
    leaves.asker.left()
    await until(0.3)
    assert (leaves.given, [status for status, _, _ in stays.given]) == ([], [200])
    assert all(len(calls) == 1 for calls in site.shop.calls.values())


async def test_at_the_end_of_the_grace_it_is_told_to_come_again_and_holds_nothing() -> None:
    site = Site(Shop(info=script(HANGS)))
    waiting = site.ask(AGG, [(b"x-request-id", b"mine")])
    await until(0.1)
    status, fields, body = waiting.asker.stopped()
    await turns()
    assert (status, json.loads(body)["type"]) == (503, "urn:bff:problem:overloaded")
    assert (b"x-request-id", b"mine") in fields
    assert ([counted[2] for counted in site.counts], site.views, site.shop.at_rest) == ([503], [], True)
    await until(3.0)
    assert waiting.given == []


async def test_a_page_that_breaks_is_a_500_without_a_word_and_breaks_no_other_that_waited_for_the_same() -> None:
    site = Site(Shop(price=script(Step(0.2))))
    breaks, other = site.ask(AGG, []), site.ask(PAGE, [])
    site.breaks = True
    with capture_logs() as lines:
        await until(0.3)
    ((status, _, body),) = breaks.given
    assert (status, json.loads(body)["type"], b"secret" in body) == (500, "urn:bff:problem:internal", False)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["a request broke"]
    assert [status for status, _, _ in other.given] == [200]
    assert sorted(counted[2] for counted in site.counts) == [200, 500]
    assert site.shop.at_rest


async def test_what_breaks_while_a_page_is_made_makes_a_500_of_it_alone() -> None:
    shop = Shop(price=script(Step(0.2)))
    told: list[Page | Exception] = []

    def breaks(parts: Parts) -> None:
        raise ValueError("secret")

    FanOut(replace(shop.needs, counted=breaks), "1", CALLER, 0.8, told.append).begin()
    FanOut(shop.needs, "1", CALLER, 0.8, told.append).begin()
    await until(0.3)
    assert [type(each) for each in told] == [ValueError, Page]
    assert shop.at_rest


async def test_what_is_remembered_as_unknown_is_answered_at_once() -> None:
    site = Site(Shop(info=script(Step(0.1, None))))
    waiting = site.ask(PAGE, [])
    await until(0.2)
    again = site.quick(PAGE, [])
    assert again is not None
    assert [status for status, _, _ in [*waiting.given, again]] == [404, 404]
    assert len(site.shop.calls["info"]) == 1
