"""Pages answered at once where the head was parsed: the very answer that the application would give."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bff.api.products import form_of
from tests.unit.playing import in_virtual_time, turns
from tests.unit.shop import Shop, until
from tests.unit.site import AGG, PAGE, Sent, Site

TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def field(name: bytes, *texts: bytes) -> st.SearchStrategy[Sent]:
    return st.lists(st.sampled_from(texts), max_size=2).map(lambda found: [(name, text) for text in found])


heads = st.tuples(
    field(b"x-request-id", b"mine", b"a b", b""),
    field(b"x-client", b"web", b"MOBILE", b"tablet"),
    field(b"x-request-timeout-ms", b"1", b"nonsense"),
    field(b"traceparent", TRACE, b"x"),
    field(b"if-none-match", b"*", b'"other"', b"TAG"),
    field(b"accept", b"text/html"),
).map(lambda found: [pair for fields in found for pair in fields])


@settings(max_examples=50)  # an application each
@given(st.sampled_from([PAGE, AGG, PAGE + b"?x=1", AGG + b"?"]), heads, st.sampled_from([0.0, 0.5, 1.59]))
def test_it_is_the_answer_the_count_the_line_and_the_view_of_the_application(
    target: bytes, head: Sent, age: float
) -> None:
    async def scenario() -> None:
        site = Site(Shop())
        await site.warm()
        await until(age)
        hot = site.shop.pages.hot("1")
        assert hot is not None
        sent = [(name, hot.etag if text == b"TAG" else text) for name, text in head]
        with capture_logs() as quick_lines:
            quick = site.quick(target, sent)
        quick_counts, quick_views = site.counts.copy(), site.views.copy()
        site.counts.clear()
        site.views.clear()
        with capture_logs() as whole_lines:
            whole = await site.whole(target, sent)
        assert quick == whole
        assert (quick_counts, quick_views, quick_lines) == (site.counts, site.views, whole_lines)
        assert len(quick_counts) == 1
        assert len(quick_views) == (1 if target.startswith(AGG) else 0)

    in_virtual_time(scenario())


@pytest.mark.parametrize(
    "target",
    [
        b"/api/v1/products/%31", b"/api/v1/products/1/", b"//api/v1/products/1", b"/api/v1/products/agg",
        b"/api/v1/products/agg/agg", b"/api/v1/products/1\n", b"/api/v1/products/", b"/api/v1/products%2F1",
        b"http://host/api/v1/products/1", b"*", b"", b"?", b"/openapi.json", b"/api/v1/products/\xff", b"/api/v1/1",
        b"/api/v1/products/1;x", b"/api/v1/products/1#x", b"/api/v1/products/x/../1",
    ],
)  # fmt: skip
async def test_every_other_target_is_left_to_the_application(target: bytes) -> None:
    site = Site(Shop())
    await site.warm()
    assert site.quick(target, []) is None
    assert site.counts == []


@settings(max_examples=50)
@given(st.binary(max_size=40) | st.builds(b"".join, st.lists(st.sampled_from([PAGE, AGG, b"/", b"%", b"?", b"1"]))))
def test_no_target_breaks_it(target: bytes) -> None:
    async def scenario() -> None:
        site = Site(Shop())
        with capture_logs() as lines:
            await site.warm()
            asked = form_of(target.partition(b"?")[0].decode("latin-1"))
            if asked is None:
                assert site.quick(target, []) is None
            else:
                answers = site.either(target, [])
                await turns()
                assert [status for status, _, _ in answers] == [200]
        assert [line for line in lines if line["log_level"] == "error"] == []

    in_virtual_time(scenario())


async def test_what_breaks_before_anything_is_begun_is_counted_by_the_application_alone() -> None:
    site = Site(Shop())
    await site.warm()
    site.breaks = True
    with pytest.raises(ValueError, match="secret"):  # the protocol leaves it to the application then
        site.quick(AGG, [])
    assert site.counts == []
    assert (await site.whole(AGG, []))[0] == 500
    assert len(site.counts) == 1


async def test_a_page_whose_refresh_is_due_is_answered_at_once_and_refreshed() -> None:
    site = Site(Shop())
    await site.warm()
    await until(1.6)
    answer = site.quick(PAGE, [])
    assert answer is not None
    assert (answer[0], site.shop.hot, site.waiting) == (200, 0, [])
    await turns()
    assert site.shop.calls["stock"] == [0.0, 1.6]
