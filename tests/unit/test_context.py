"""What is read from a request's head, and what of it is believed."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bff.api.context import MAX_PATH, Context, context_of, open_context, values
from clients.source import Caller

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NEW_ID = f"{7:032x}"


def scope(*headers: tuple[str, str], **more: Any) -> dict[str, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"method": "GET", "path": "/a b", "raw_path": b"/a%20b", "headers": raw} | more


def opened(*headers: tuple[str, str], **more: Any) -> Context:
    return open_context(scope(*headers, **more), 12.5, lambda bits: 7)


def test_a_bare_request_gets_ids_of_its_own_and_no_timeout() -> None:
    assert opened() == Context(Caller(NEW_ID, NEW_ID), 12.5, None, "GET", "/a%20b")


def test_the_context_is_found_in_the_scope() -> None:
    of = scope()
    assert open_context(of, 0.0, lambda bits: 7) is context_of(of)


def test_the_path_is_as_it_was_sent_and_shortened() -> None:
    assert len(opened(raw_path=b"/" + b"x" * 999).path) == MAX_PATH == 256
    bare = scope(path="/é")
    del bare["raw_path"]
    assert open_context(bare, 0.0, lambda bits: 7).path.encode("latin-1").decode() == "/é"


def test_a_header_sent_twice_has_two_values() -> None:
    assert list(values(scope(("a", "1"), ("b", "2"), ("a", "3"))["headers"], b"a")) == ["1", "3"]


@pytest.mark.parametrize("sent", ["a", "A-z_0.9", "x" * 64])
def test_a_well_formed_request_id_is_kept(sent: str) -> None:
    assert opened(("x-request-id", sent)).caller.request_id == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a\n", "é", "a/b", "٣"[:0] + "a,b"])
def test_another_one_is_replaced(sent: str) -> None:
    assert opened(("x-request-id", sent)).caller.request_id == NEW_ID


@pytest.mark.parametrize(("sent", "seconds"), [("1", 0.001), ("800", 0.8), ("999999999", 999_999.999)])
def test_a_timeout_is_read_in_milliseconds(sent: str, seconds: float) -> None:
    assert opened(("x-request-timeout-ms", sent)).timeout == seconds


@pytest.mark.parametrize(
    "sent", ["", "0", "01", "-1", "+1", "1.0", "1e3", "1000000000", " 5", "5\n", "nan", "²", "1_0"]
)
def test_any_other_timeout_is_ignored(sent: str) -> None:
    assert opened(("x-request-timeout-ms", sent)).timeout is None


@given(st.text(st.characters(max_codepoint=0xFF), max_size=12))
def test_a_timeout_is_a_positive_number_whatever_is_sent(sent: str) -> None:
    timeout = opened(("x-request-timeout-ms", sent)).timeout
    assert timeout is None or (sent.isascii() and sent.isdigit() and timeout == int(sent) / 1000 > 0)


@pytest.mark.parametrize(
    "sent",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f"cc-{TRACE}-{SPAN}-01-what-comes-later",
        f"01-{TRACE}-{SPAN}-01",
    ],
)
def test_a_valid_traceparent_gives_its_trace_and_flags(sent: str) -> None:
    caller = opened(("traceparent", sent)).caller
    assert (caller.trace_id, caller.trace_flags, caller.trace_state) == (TRACE, sent[53:55], None)


INVALID = [
    "",
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01-more",
    f"00-{TRACE}-{SPAN}-1",
    f"00-{TRACE}-{SPAN}",
    f"00-{TRACE}-{SPAN}-01\n",
    f"cc-{TRACE}-{SPAN}-01more",
    f" 00-{TRACE}-{SPAN}-01",
    f"00_{TRACE}_{SPAN}_01",
]


@pytest.mark.parametrize("sent", INVALID)
def test_an_invalid_traceparent_is_made_anew_and_its_state_dropped(sent: str) -> None:
    assert opened(("traceparent", sent), ("tracestate", "a=1")).caller == Caller(NEW_ID, NEW_ID)


def test_two_traceparents_are_none() -> None:
    one = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    assert opened(one, one).caller.trace_id == NEW_ID


def test_a_new_trace_id_is_never_all_zeroes() -> None:
    assert open_context(scope(), 0.0, lambda bits: 0).caller.trace_id == f"{1:032x}"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(["a=1"], "a=1"), (["a=1", "b=2"], "a=1,b=2"), ([""], None), (["é=1"], None), (["x" * 513], None)],
)
def test_tracestate_is_passed_on_where_it_is_sound(sent: list[str], kept: str | None) -> None:
    headers = [("traceparent", f"00-{TRACE}-{SPAN}-01"), *(("tracestate", state) for state in sent)]
    assert opened(*headers).caller.trace_state == kept


hexes = st.text("0123456789abcdef", min_size=1, max_size=40)


@given(st.text(st.characters(max_codepoint=0xFF)) | st.builds("{}-{}-{}-{}".format, hexes, hexes, hexes, hexes))
@example(f"00-{TRACE}-{SPAN}-01")
def test_upstreams_get_a_sound_trace_whatever_is_sent(sent: str) -> None:
    caller = opened(("traceparent", sent)).caller
    assert len(caller.trace_id) == 32
    assert int(caller.trace_id, 16) > 0
    assert len(caller.trace_flags) == 2
    assert caller.trace_id == NEW_ID or caller.trace_id in sent
