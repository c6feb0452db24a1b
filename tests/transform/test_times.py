"""Instants are read by rule 4 to the letter, and written in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode.records import Records
from hauserpy.layout import Column, FieldType, Layout, TimeStyle
from hauserpy.transform import Transformer, times
from tests import reference
from tests.bundles import TIMES, WINDOW, by_row

_COLUMNS = (
    Column("EventStart", "EventStart", FieldType.TIME),
    Column("CustomVars", "CustomVars", FieldType.CUSTOM_VARS),
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-23T04:05:06Z", "2026-11-23T04:05:06Z"),
        ("2026-11-23t04:05:06z", "2026-11-23T04:05:06Z"),
        ("2026-11-23 04:05:06", "2026-11-23T04:05:06Z"),
        ("2026-11-23T04:05:06.25Z", "2026-11-23T04:05:06.25Z"),
        ("2026-11-23T04:05:06.250Z", "2026-11-23T04:05:06.25Z"),
        ("2026-11-23T04:05:06.000Z", "2026-11-23T04:05:06Z"),
        ("2026-11-23T04:05:06.123456000Z", "2026-11-23T04:05:06.123456Z"),
        ("2026-11-23T04:05:06+05:30", "2026-11-22T22:35:06Z"),
        ("2026-11-23T04:05:06-0800", "2026-11-23T12:05:06Z"),
        ("2026-11-23T04:05:06+0000", "2026-11-23T04:05:06Z"),
        ("2026-12-31T23:59:59.9-00:01", "2027-01-01T00:00:59.9Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("0002-01-01T00:00:00Z", "0002-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
    ],
)
def test_good_forms(text: str, written: str) -> None:
    moment, cut = times.read(text)
    assert not cut
    assert times.write(moment, TimeStyle.RFC3339) == written.encode()
    sql = written.replace("T", " ").removesuffix("Z")
    assert times.write(moment, TimeStyle.SQL) == sql.encode()
    assert times.reread(written.encode()) == times.reread(sql.encode()) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23", "2026-11-23T04:05", "2026-11-23T24:00:00Z", "2026-11-23T23:59:60Z",
        "2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z",
        "0001-12-31T23:59:59-05:00", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+01:00", "0002-01-01T00:00:00+01:00", "2026-11-23T04:05:06.Z",
        "2026-11-23T04:05:06,5Z", "2026-11-23T04:05:06 Z", " 2026-11-23T04:05:06Z", "2026-11-23T04:05:06Z\n",
        "2026-11-23T04:05:06+05", "2026-11-23T04:05:06+5:30", "2026-11-23T04:05:06+24:00",
        "2026-11-23T04:05:06+05:60", "2026-11-23T04:05:06UTC", "20261123T040506Z", "2026-11-23_04:05:06Z",
        "२०२६-11-23T04:05:06Z", "2026-11-23T04:05:06+०५:30", "1606000000", "now", "", " ", "-2026-11-23T04:05:06Z",
    ],
)  # fmt: skip
def test_what_does_not_fit(text: str) -> None:
    with pytest.raises(times.Unfit):
        times.read(text)


@pytest.mark.parametrize("digits", range(13))
def test_digits_past_the_microsecond_are_cut_and_told(digits: int) -> None:
    moment, cut = times.read("2026-11-23T04:05:06" + ("." + "9" * digits if digits else "") + "Z")
    assert moment.microsecond == int(("9" * digits)[:6].ljust(6, "0"))
    assert cut is (digits > 6)
    zeros, cut = times.read("2026-11-23T04:05:06.25" + "0" * digits + "Z")
    assert zeros.microsecond == 250_000
    assert not cut


@given(TIMES)
def test_instants_are_those_of_the_reference(text: str) -> None:
    try:
        wanted = reference.instant(text)
    except reference.Unfit:
        with pytest.raises(times.Unfit):
            times.read(text)
        return
    assert times.read(text) == wanted
    for style in TimeStyle:
        written = times.write(wanted[0], style)
        assert written == reference.written_time(wanted[0], style).encode()
        assert times.reread(written) == wanted[0]


@given(st.lists(TIMES, min_size=1, max_size=30), st.sampled_from(TimeStyle))
def test_what_was_read_before_changes_nothing(texts: list[str], style: TimeStyle) -> None:
    """Parts of times are remembered; any parts in any order must give what each gives alone."""
    assert_read_like_the_reference(texts, style)


def assert_read_like_the_reference(texts: list[Any], style: TimeStyle) -> None:
    layout = Layout(_COLUMNS, time_style=style)
    records = [{"EventStart": text} for text in texts]
    made = Transformer(layout, WINDOW).rows(Records(records, plain=True))
    wanted = [reference.row(record, layout, WINDOW) for record in records]
    for row, want in zip(by_row(made), wanted, strict=True):
        moment = want.event_start
        assert row[0] == (None if moment is None else reference.written_time(moment, style))
        assert row[1] == reference.write(want.values["CustomVars"])
    starts = [want.event_start for want in wanted if want.event_start is not None]
    assert (made.counts.first_event, made.counts.last_event) == (
        min(starts, default=None),
        max(starts, default=None),
    )


@pytest.mark.parametrize("style", TimeStyle)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "odd",
    [
        "2026-11-22T24:00:00.000Z", "2026-11-22T25:00:00.000Z", "2026-11-22T29:59:59.999Z",
        "2026-11-22T23:60:00.000Z", "2026-11-22T23:00:60.000Z", "2026-11-22T23:00:99.000Z",
        "2026-11-22T23:00:00.000z", "2026-11-22t23:00:00.000Z", "2026-11-22 23:00:00.000Z",
        "2026-11-22T23:00:00.0000", "2026-11-22T23:00:00,000Z", "2026-11-22T23-00:00.000Z",
        "2026-11-22T13:00:00.000Z", "2026-11-21T23:00:00.000Z", "2026-11-22T23:00:00.100Z",
        "2026-11-22T20:00:00.000Z", "2026-11-22T23:59:59.010Z", "2026-11-22T23:00:00+0000",
        "2026-11-22T23:00:00.000Z\n2026-11-22T23:00:00.000Z", "2026-11-22T23:00:00.000Z\n",
        "٢026-11-22T23:00:00.000Z", "2026-11-22T23:00:00.٠00Z", "", None,
    ],
)  # fmt: skip
def test_one_odd_instant_among_alike_ones(odd: Any, place: int, style: TimeStyle) -> None:
    texts: list[Any] = ["2026-11-22T21:02:03.400Z", "2026-11-22T22:59:59.000Z"]
    texts.insert(place, odd)
    assert_read_like_the_reference(texts, style)


@pytest.mark.parametrize("date", ["2026-02-30", "0001-01-01", "0000-01-01", "9999-12-31"])
@pytest.mark.parametrize("hour", ["09", "19", "23", "24", "30", "99"])
def test_alike_instants_of_an_odd_day(date: str, hour: str) -> None:
    for style in TimeStyle:
        assert_read_like_the_reference([f"{date}T{hour}:0{n}:00.000Z" for n in range(3)], style)


@given(
    st.lists(
        st.datetimes(datetime(2, 1, 2), datetime(9998, 1, 1), timezones=st.just(UTC)), min_size=1
    )
)
def test_the_first_and_the_last_of_written_instants(moments: list[datetime]) -> None:
    for style in TimeStyle:
        written = [times.write(moment, style) for moment in moments]
        assert times.span(written) == (min(moments), max(moments))


def test_fractions_that_are_cut_short_keep_their_place_in_time() -> None:
    second = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
    moments = [second + timedelta(milliseconds=n) for n in (5, 0, 500, 50)]
    for style in TimeStyle:
        written = [times.write(moment, style) for moment in moments]
        assert times.span(written) == (moments[1], moments[2])


_NEAR = st.builds(
    "2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z".format,
    st.sampled_from([22, 23, 23, 23]),
    st.sampled_from([3, 4, 9, 10, 19, 20, 23, 24, 30]),
    st.integers(0, 61),
    st.integers(0, 61),
    st.sampled_from([0, 1, 10, 100, 120, 999]),
)


@given(st.lists(_NEAR, min_size=1, max_size=4), st.sampled_from(TimeStyle))
def test_a_column_at_once_is_each_for_itself(texts: list[str], style: TimeStyle) -> None:
    try:
        each = [times.write(times.read(text)[0], style) for text in texts]
    except times.Unfit:
        each = None
    at_once = times.of_one_day(list(map(str.encode, texts)), style)
    assert at_once is None or at_once == each


@pytest.mark.parametrize("style", TimeStyle)
def test_a_column_of_one_morning_is_written_at_once(style: TimeStyle) -> None:
    texts = [f"2026-11-23T0{h}:5{h}:0{h}.{f}Z" for h in range(10) for f in ("000", "100", "123")]
    each = [times.write(times.read(text)[0], style) for text in texts]
    assert times.of_one_day(list(map(str.encode, texts)), style) == each


@pytest.mark.parametrize(
    "odd",
    [
        "", "2026-11-23T04:05:06Z", "2026-11-23T04:05:06.123z", "2026-11-23T04:05:06.1234Z",
        "2026-11-23T04:05:06.12\uff13Z", "2026-11-23T04:05:06.000Z\n2026-11-23T04:05:06.000Z",
        "2026-11-24T04:05:06.123Z", "2026-11-23T14:05:06.123Z", "2026-11-23T04:65:06.123Z",
    ],
)  # fmt: skip
def test_a_column_with_an_odd_one_is_left_to_be_written_one_by_one(odd: str) -> None:
    texts = [b"2026-11-23T04:05:06.123Z", odd.encode()]
    assert times.of_one_day(texts, TimeStyle.SQL) is None
    assert times.of_one_day(texts[::-1], TimeStyle.SQL) is None


_KEYS = st.sampled_from(["EventStart", "eventstart", "EVENTSTART", "other"])


@given(st.lists(st.dictionaries(_KEYS, _NEAR | st.none() | st.just(7)), min_size=1, max_size=4))
def test_the_times_of_raw_bundles_are_those_of_all_others(records: list[dict[str, str]]) -> None:
    spans = []
    for columns in (_COLUMNS, _COLUMNS[:1]):
        rows = Transformer(Layout(columns), WINDOW).rows(Records(records, plain=True))
        spans.append(
            (list(rows.columns[0]), rows.count, rows.counts.first_event, rows.counts.last_event)
        )
    assert spans[0] == spans[1]


@pytest.mark.parametrize(
    ("texts", "ends"),
    [
        (["2026-11-22T04:05:06.500Z", "2026-11-22T04:05:06.499Z", "2026-11-22T04:05:06.501Z"], (1, 2)),
        (["2026-11-22T04:05:06Z"], (0, 0)),
        (["2026-11-22T04:05:06Z", "2026-11-22T04:05:06.5Z"], None),
        (["2026-11-22T04:05:06.1+01:00", "2026-11-22T04:05:06.123456Z"], None),
        (["2026-11-22 04:05:06Z", "2026-11-22T04:05:06Z"], None),
        (["2026-11-22t04:05:06Z", "2026-11-22T04:05:06Z"], None),
        (["2026-11-22T04:05:06z", "2026-11-22T04:05:06Z"], None),
        (["x" * 20] * 2, None),
        ([""], None),
        ([], None),
    ],
)  # fmt: skip
def test_texts_that_are_written_alike_sort_in_time(
    texts: list[str], ends: tuple[int, int] | None
) -> None:
    assert times.outermost(texts) == (ends and tuple(texts[n] for n in ends))
