"""Generation 2's windows: the gaps of the ledger, cut at whole multiples, none lost or doubled."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.export.windows import bundle_of, floor, windows
from hauserpy.model import BEGINNING, Window

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(clock: str, day: int = 20) -> datetime:
    hour, minute = clock.split(":")
    return datetime(2026, 11, day, int(hour), int(minute), tzinfo=UTC)


def span(start: str, stop: str) -> Window:
    return Window(at(start), at(stop))


def test_after_an_unaligned_checkpoint_the_first_window_is_shorter_then_whole_hours() -> None:
    assert list(windows(at("10:20"), at("13:45"), HOUR)) == [
        span("10:20", "11:00"),
        span("11:00", "12:00"),
        span("12:00", "13:00"),
    ]


def test_a_window_is_offered_once_its_end_is_old_enough() -> None:
    assert list(windows(at("12:00"), at("13:00"), HOUR)) == [span("12:00", "13:00")]
    just_before = at("13:00") - timedelta(microseconds=1)
    assert list(windows(at("12:00"), just_before, HOUR)) == []
    assert list(windows(at("12:10"), at("12:50"), HOUR)) == []
    assert list(windows(at("14:00"), at("13:00"), HOUR)) == []


def test_until_may_end_unaligned_but_not_beyond_the_limit() -> None:
    assert list(windows(at("10:00"), at("13:45"), HOUR, until=at("11:30"))) == [
        span("10:00", "11:00"),
        span("11:00", "11:30"),
    ]
    assert list(windows(at("12:00"), at("13:45"), HOUR, until=at("20:00"))) == [
        span("12:00", "13:00")
    ]


def test_what_is_loaded_is_left_out_and_bounds_its_neighbours() -> None:
    loaded = [span("11:15", "11:45"), span("08:00", "10:30")]
    assert list(windows(at("10:00"), at("13:00"), HOUR, loaded=loaded)) == [
        span("10:30", "11:00"),
        span("11:00", "11:15"),
        span("11:45", "12:00"),
        span("12:00", "13:00"),
    ]


def test_to_replace_brings_the_loaded_windows_as_they_are() -> None:
    loaded = [span("09:30", "10:30"), span("12:15", "13:10")]
    assert list(windows(at("10:00"), at("13:00"), HOUR, loaded=loaded, replace=True)) == [
        span("09:30", "10:30"),
        span("10:30", "11:00"),
        span("11:00", "12:00"),
        span("12:00", "12:15"),
        span("12:15", "13:10"),
    ]


def test_to_replace_cuts_a_loaded_window_that_is_no_bundle() -> None:
    baseline = Window(BEGINNING, at("11:20"))
    found = windows(at("10:00"), at("12:00"), HOUR, loaded=[baseline], replace=True)
    assert list(found) == [span("10:00", "11:00"), span("11:00", "12:00")]
    assert list(windows(at("10:00"), at("12:00"), HOUR, loaded=[baseline])) == [
        span("11:20", "12:00")
    ]


def test_a_change_of_the_duration_goes_on_from_where_it_stood() -> None:
    minutes = timedelta(minutes=15)
    loaded = list(windows(at("10:00"), at("11:00"), minutes))
    assert list(windows(loaded[2].stop, at("13:00"), HOUR, loaded=loaded)) == [
        span("11:00", "12:00"),
        span("12:00", "13:00"),
    ]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (span("00:00", "01:00"), "1795132800-1795136400"),
        (
            Window(at("00:00") + timedelta(microseconds=250_000), at("01:00")),
            "1795132800.25-1795136400",
        ),
    ],
)
def test_the_id_tells_the_window(window: Window, expected: str) -> None:
    assert bundle_of(window).id == expected
    assert bundle_of(window).window == window


MOMENTS = st.integers(0, 6 * 86400).map(lambda s: at("00:00") + timedelta(seconds=s))


@given(
    start=MOMENTS,
    limit=MOMENTS,
    duration=st.sampled_from([timedelta(minutes=15), HOUR, 6 * HOUR, DAY]),
    until=st.none() | MOMENTS,
    cuts=st.lists(MOMENTS, max_size=12, unique=True),
    parity=st.booleans(),
)
def test_windows_and_loaded_ones_tile_the_span(
    start: datetime,
    limit: datetime,
    duration: timedelta,
    until: datetime | None,
    cuts: list[datetime],
    parity: bool,
) -> None:
    pieces = list(itertools.pairwise(sorted(cuts)))
    loaded = [Window(a, b) for a, b in pieces[parity::2]]
    found = list(windows(start, limit, duration, until=until, loaded=loaded))
    end = until if until is not None and until <= limit else floor(limit, duration)
    covered = sorted([*found, *(w for w in loaded if w.stop > start and w.start < end)])
    for before, after in itertools.pairwise(covered):
        assert before.stop == after.start
    if start < end:
        assert covered[0].start <= start
        assert covered[-1].stop >= end
    else:
        assert found == []
    for window in found:
        assert start <= window.start < window.stop <= limit
        assert floor(window.start, duration) + duration >= window.stop
