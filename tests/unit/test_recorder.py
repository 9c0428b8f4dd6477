"""Taking views in never waits, and never takes in more than there is room for."""

import msgspec

from bff.viewlog.recorder import Recorder, View


def view(number: int) -> View:
    return View("2026-01-01T00:00:00.000Z", str(number), "a-request", "web", complete=True)


def made(capacity: int = 3) -> tuple[Recorder, list[int]]:
    dropped: list[int] = []
    return Recorder(dropped.append, capacity), dropped


def test_views_come_out_in_the_order_in_which_they_went_in() -> None:
    recorder, _ = made()
    for number in range(3):
        recorder.record(view(number))
    assert recorder.batch(2) == [view(0), view(1)]
    assert recorder.batch(2) == [view(2)]
    assert recorder.batch(2) == []


def test_a_full_queue_drops_the_newest_and_counts_it() -> None:
    recorder, dropped = made()
    for number in range(5):
        recorder.record(view(number))
    assert (repr(recorder), dropped) == ("<Recorder 3/3>", [1, 1])
    assert recorder.batch(9) == [view(0), view(1), view(2)]


def test_a_batch_that_was_put_back_goes_first() -> None:
    recorder, _ = made()
    for number in range(3):
        recorder.record(view(number))
    recorder.put_back(recorder.batch(2))
    assert recorder.batch(9) == [view(0), view(1), view(2)]
    assert len(recorder) == 0


def test_a_batch_that_was_put_back_does_not_lift_the_bound_for_what_comes_after() -> None:
    recorder, dropped = made()
    for number in range(3):
        recorder.record(view(number))
    batch = recorder.batch(3)
    for number in range(3, 6):
        recorder.record(view(number))
    recorder.put_back(batch)
    recorder.record(view(6))
    assert (len(recorder), dropped) == (6, [1])


def test_a_view_is_one_line_with_five_members() -> None:
    assert msgspec.json.encode(view(7)) == (
        b'{"at":"2026-01-01T00:00:00.000Z","sku_id":"7","request_id":"a-request","client":"web","complete":true}'
    )
