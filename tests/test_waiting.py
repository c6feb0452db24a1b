"""Lengths of time, as messages have them."""

from __future__ import annotations

import pytest

from hauserpy.waiting import span


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"), (0.00007, "0 ms"), (0.00885, "9 ms"), (0.25, "250 ms"), (1, "1 s"),
        (4.256, "4.26 s"), (59.4, "59.4 s"), (60, "1 min"), (90, "1 min 30 s"), (900, "15 min"),
        (901, "15 min 1 s"), (3600, "1 h"), (11_100, "3 h 5 min"), (86_400, "1 d"),
        (100_000, "1 d 3 h"), (10**7, "115 d 17 h"), (10**9, "32 years"),
        (float("inf"), "over 100 years"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_short_and_never_scientific(seconds: float, said: str) -> None:
    assert span(seconds) == said
