"""Pages under random schedules: whatever the sources do, a page comes in time and lies about no age."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from bff.cache.entry import Lifetimes
from bff.product.fanout import Page
from bff.product.parts import SOURCES, Missing, Ok, Parts, SourceName, Stale
from bff.product.view import Found, content, verdict
from bff.product.view import page as page_bytes
from clients.errors import Garbled, Rejected, Throttled, Unavailable
from tests.unit.playing import HANGS, Knobs, Script, Step, fails, in_virtual_time, now, outcomes, start, turns
from tests.unit.shop import DEADLINE, Shop

delays = st.sampled_from([0.0, 0.05, 0.2, 0.35, 0.59, 0.61, 0.79, 2.0])
errors = st.sampled_from([Unavailable("x"), Rejected("x"), Garbled("x"), Throttled("x", retry_after=0.1)])
answers = st.builds(Step, delays, st.just("answer"))
steps = answers | answers | st.builds(Step, delays, st.none()) | st.builds(fails, errors, delays) | st.just(HANGS)
scripts = st.lists(steps, min_size=1, max_size=8)
# Values outlive the longest call here: what a page has loaded for itself is then never past its bound.
lives = st.builds(
    Lifetimes,
    st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.sampled_from([0.9, 1.5, 6.0]),
    st.sampled_from([0.0, 0.4, 1.0]),
)
requests = st.lists(st.tuples(st.floats(0, 0.7), st.sampled_from([0.001, 0.1, 0.5, DEADLINE])), min_size=1, max_size=25)
SUBSETS: list[frozenset[SourceName]] = [frozenset(), frozenset({"info"}), frozenset({"info", "stock"})]


class Watch:
    """Looks at every page in the moment in which it could be sent."""

    def __init__(self, shop: Shop, required: frozenset[SourceName]) -> None:
        self.shop = shop
        self.required = required

    async def ask(self, after: float, seconds: float) -> None:
        await asyncio.sleep(after)
        asked = now()
        self.what_is_rendered_is_fresh_and_there()
        page = await self.shop.page(seconds)
        assert now() <= asked + seconds
        self.tells_the_truth(page, asked)

    def what_is_rendered_is_fresh_and_there(self) -> None:
        hot = self.shop.pages.hot("1")
        if hot is None:
            return
        parts: Parts = {}
        for name in SOURCES:
            entry = self.shop.kept(name)
            assert entry is not None, name
            assert now() < min(entry.fresh_until, entry.refresh_at), (name, entry, now())
            parts[name] = Ok(entry, "cache")
        assert hot.body == page_bytes(parts, content(parts))
        assert hot.ends == tuple(part.entry.fresh_until for part in parts.values() if part.entry is not None)

    def tells_the_truth(self, page: Page, asked: float) -> None:
        for name in SOURCES:
            part = page.parts[name]
            if isinstance(part, Missing) or page.verdict != Found():
                continue  # an error sends no value
            assert part.entry.body is not None
            assert part.entry.began in self.shop.calls[name]
            assert now() < part.entry.bound, (name, part, now())
            if isinstance(part, Ok) and part.via == "cache":
                assert now() < part.entry.fresh_until, (name, part, now())
            if isinstance(part, Stale) and part.via == "cache":
                assert asked >= part.entry.fresh_until or now() >= part.entry.fresh_until
        outstanding = {name for name, part in page.parts.items() if isinstance(part, Missing) and part.reason is None}
        known = {name: part for name, part in page.parts.items() if name not in outstanding}
        assert verdict(known, self.required) == page.verdict


@settings(max_examples=150, deadline=None)
@given(scripts, scripts, scripts, lives, requests, st.sampled_from(SUBSETS))
def test_a_page_comes_in_time_and_nothing_in_it_is_past_its_bound(
    info: list[Step],
    price: list[Step],
    stock: list[Step],
    lives: Lifetimes,
    requests: list[tuple[float, float]],
    required: frozenset[SourceName],
) -> None:
    async def scenario() -> None:
        shop = Shop(
            required=required,
            lives=dict.fromkeys(SOURCES, lives),
            knobs=Knobs(min_attempts=6, open_seconds=1.0, concurrency=2),
            info=Script(info),
            price=Script(price),
            stock=Script(stock),
        )
        watch = Watch(shop, required)
        moment, asked = 0.0, []
        for gap, seconds in requests:
            moment += gap
            asked.append(start(watch.ask(moment, seconds)))
        for result in await outcomes(asked):
            if result is not None:
                raise result
        await asyncio.sleep(DEADLINE + 0.1)
        await turns()
        assert shop.at_rest, shop.cache
        assert len(shop.made) == len(requests)

    in_virtual_time(scenario())
