"""The windows of generation 2, which are the client's own: the ledger's gaps, cut to size. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from hauserpy.model import BEGINNING, Bundle, Window

_DAY = timedelta(hours=24)
_FIRST_REACH = timedelta(days=30)


def floor(moment: datetime, duration: timedelta) -> datetime:
    """The last multiple of ``duration`` from the epoch that is not after ``moment``."""
    return moment - (moment - BEGINNING) % duration


def first_start(now: datetime, duration: timedelta) -> datetime:
    """Where the first window begins when no StartTime is configured: 30 days back, as with hauser."""
    return floor(now - _FIRST_REACH, duration)


def windows(
    start: datetime,
    limit: datetime,
    duration: timedelta,
    *,
    until: datetime | None = None,
    loaded: Sequence[Window] = (),
    replace: bool = False,
) -> Iterator[Window]:
    """What to export between ``start`` and ``limit``, in order; disjoint, none of it empty.

    What is not ``loaded`` is cut at multiples of ``duration`` from the epoch, so a window that
    begins at an unaligned ``start`` or behind a loaded window is shorter. No window ends after
    ``limit``, and the newest ends at a multiple of ``duration``, unless ``until`` says where.

    With ``replace``, loaded windows that overlap the span come too, as they are. One that is longer
    than a day is no bundle (it is the baseline that the Go hauser left, or a long `skip`) and is
    cut like what is not loaded.
    """
    end = until if until is not None and until <= limit else floor(limit, duration)
    if start >= end:
        return
    span = Window(start, end)
    kept = sorted(w for w in loaded if w.overlaps(span))
    if replace:
        kept = [w for w in kept if w.stop - w.start <= _DAY]
    at = start
    for window in kept:
        if at < window.start:
            yield from _cut(Window(at, window.start), duration)
        if replace:
            yield window
        at = max(at, window.stop)
    if at < end:
        yield from _cut(Window(at, end), duration)


def _cut(gap: Window, duration: timedelta) -> Iterator[Window]:
    start = gap.start
    while start < gap.stop:
        stop = min(floor(start, duration) + duration, gap.stop)
        yield Window(start, stop)
        start = stop


def bundle_of(window: Window) -> Bundle:
    """The window as a bundle; its id tells the window in Unix seconds: ``1767225600-1767229200``."""
    return Bundle(f"{_unix(window.start)}-{_unix(window.stop)}", window)


def _unix(moment: datetime) -> str:
    micros = (moment - BEGINNING) // timedelta(microseconds=1)
    seconds, rest = divmod(micros, 1_000_000)
    return f"{seconds}.{rest:06}".rstrip("0") if rest else str(seconds)
