"""What the status of an answer means, and how long `Retry-After` asks to wait."""

from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import httpx  # noqa: TID251 - its answers are what is read
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clients.errors import Postponed, Rejected, Throttled, Unavailable, UpstreamError
from clients.http import body_of, retry_after

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def answer(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("status", "error", "waits"),
    [(500, Unavailable, 7), (503, Unavailable, 7), (429, Throttled, 7), (408, Postponed, 7), (425, Postponed, 7)]
    + [(status, Rejected, 0) for status in (201, 204, 301, 304, 400, 401, 404, 410)],
)
def test_a_status_other_than_200_is_an_error_of_its_kind(status: int, error: type[UpstreamError], waits: float) -> None:
    with pytest.raises(UpstreamError) as caught:
        body_of(answer(status, retry_after="7"), frozenset())
    assert type(caught.value) is error
    assert caught.value.retry_after == waits


def test_a_status_that_says_so_is_an_unknown_sku() -> None:
    assert body_of(answer(410), frozenset({404, 410})) is None
    assert body_of(answer(200), frozenset({404})) == b""


@pytest.mark.parametrize("value", ["", "-1", "1.5", "+1", "1_0", "soon", "9" * 10, "Sun, 06 Nov 1994", "0x10"])
def test_a_retry_after_that_cannot_be_read_asks_nothing(value: str) -> None:
    assert retry_after({"retry-after": value, "date": DATE}) == 0


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("7", 7), ("999999999", 999999999)])
def test_a_retry_after_in_seconds_is_read(value: str, seconds: float) -> None:
    assert retry_after({"retry-after": value}) == seconds


@given(st.integers(-(10**6), 10**6))
def test_a_retry_after_date_counts_from_the_answers_own(seconds: int) -> None:
    until = parsedate_to_datetime(DATE) + timedelta(seconds=seconds)
    assert retry_after({"retry-after": format_datetime(until, usegmt=True), "date": DATE}) == max(0, seconds)


@pytest.mark.parametrize("date", [{}, {"date": ""}, {"date": "now"}, {"date": "Sun, 06 Nov 1994 08:49:37 -0000"}])
def test_a_retry_after_date_without_a_date_to_count_from_asks_nothing(date: dict[str, str]) -> None:
    assert retry_after({"retry-after": DATE.replace("1994", "1995"), **date}) == 0


@given(st.text(max_size=40), st.text(max_size=40))
@example("Mon, 01 Jan 99999999999999 00:00:00 GMT", DATE)
@example("Mon, 01 Jan 2020 00:00:00 +99999999999999999999", DATE)
@example(DATE, "Mon, 01 Jan 99999999999999 00:00:00 GMT")
def test_any_retry_after_is_a_number_of_seconds(value: str, date: str) -> None:
    assert retry_after({"retry-after": value, "date": date}) >= 0
