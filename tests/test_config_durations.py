"""Durations: Go's grammar, no more and no less."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauserpy.config import format_duration, parse_duration

LONGEST = 2**63 - 1


def as_go_writes_it(nanoseconds: int) -> str:
    """Go's Duration.String, from its documentation: 72h3m0.5s; below a second ms, µs or ns."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 0:
        return "-" + as_go_writes_it(-nanoseconds)

    def decimal(unit: int) -> str:
        whole, rest = divmod(nanoseconds, unit)
        digits = len(str(unit)) - 1
        return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") if rest else str(whole)

    if nanoseconds < 10**3:
        return f"{nanoseconds}ns"
    if nanoseconds < 10**6:
        return f"{decimal(10**3)}µs"
    if nanoseconds < 10**9:
        return f"{decimal(10**6)}ms"
    minutes, nanoseconds = divmod(nanoseconds, 60 * 10**9)
    seconds = f"{decimal(10**9)}s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


@settings(deadline=None)
@given(st.integers(-LONGEST, LONGEST))
def test_every_duration_that_go_writes_is_read_to_the_microsecond(nanoseconds: int) -> None:
    toward_zero = abs(nanoseconds) // 1000 * (1 if nanoseconds >= 0 else -1)
    assert parse_duration(as_go_writes_it(nanoseconds)) == timedelta(microseconds=toward_zero)


@settings(deadline=None)
@given(st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000)))
def test_what_we_write_is_read_as_the_same(span: timedelta) -> None:
    assert parse_duration(format_duration(span)) == span


UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.decimals(0, 10_000, places=3, allow_nan=False), st.sampled_from(sorted(UNITS))
        ),
        min_size=1,
        max_size=5,
    )
)
def test_terms_add_up_in_any_order(terms: list[tuple[object, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in terms)
    total = sum(int(Fraction(str(number)) * UNITS[unit]) for number, unit in terms)
    assert parse_duration(text) == timedelta(microseconds=total // 1000)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0", timedelta(0)),
        ("+0", timedelta(0)),
        ("30s", timedelta(seconds=30)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1.5h", timedelta(minutes=90)),
        (".5s", timedelta(milliseconds=500)),
        ("5.s", timedelta(seconds=5)),
        ("-1m", timedelta(minutes=-1)),
        ("+1m", timedelta(minutes=1)),
        ("720h", timedelta(days=30)),
        ("999ns", timedelta(0)),
    ],
)
def test_known_texts(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text",
    ["", " ", "30", "1.5", "s", ".s", "1 h", " 1h", "1h ", "1d", "1H", "1h-5m", "--1s", "1e3s",
     "٣s", "1,5s", "1hh", "3000000h", "9223372036854775808ns", "1s\n", "inf", "0x1s"],
)  # fmt: skip
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unit is missing|not a duration|longe(?:r|st)"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(seconds=1), "1s"),
        (timedelta(milliseconds=1), "1ms"),
        (timedelta(hours=24), "24h"),
        (timedelta(seconds=1.5), "1.5s"),
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(microseconds=7), "7µs"),
        (timedelta(seconds=-90), "-1m30s"),
        (timedelta(hours=1, seconds=5), "1h5s"),
    ],
)
def test_the_shortest_text_is_written(span: timedelta, text: str) -> None:
    assert format_duration(span) == text
