"""How a run waits: one sleep that a signal can end, and the clocks beside it."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from hauserpy.errors import Interrupted

NOTICE = (logging.INFO + logging.WARNING) // 2
"""The level of what is logged about a long wait: nobody should wonder why nothing happens."""

LONG = 5.0
"""Seconds from which on a wait is worth a word."""

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY
_UNITS = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s"))


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Timing:
    """The clocks that this room reads, and the only way in which it waits.

    ``sleep`` takes seconds. It may raise to end the run: what it raises passes through unchanged,
    and nothing is retried. It is also called with 0 between the chunks of a download, so that a
    run can be ended there.
    """

    clock: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def span(seconds: float) -> str:
    """A length of time for a message: ``250 ms``, ``4.5 s``, ``15 min 1 s``, ``3 h 5 min``,
    ``2 d 4 h``, ``3 years``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.3g} s"
    if seconds >= 2 * _YEAR:
        return f"{seconds / _YEAR:.0f} years" if seconds < 100 * _YEAR else "over 100 years"
    whole = round(seconds)
    unit, name, below, below_name = next(u for u in _UNITS if whole >= u[0])
    rest = whole % unit // below
    return f"{whole // unit} {name}" + (f" {rest} {below_name}" if rest else "")


class Waiter:
    """A ``sleep`` that `stop` ends at once, from a signal handler or from another thread.

    Once stopped, every wait of every thread raises Interrupted.
    """

    def __init__(self) -> None:
        # Its put() may interrupt its own get() in the same thread; threading.Event may deadlock.
        self._stopped: queue.SimpleQueue[int] = queue.SimpleQueue()

    def stop(self, signum: int) -> None:
        """End all waits, as that signal does."""
        self._stopped.put(signum)

    def __call__(self, seconds: float) -> None:
        try:
            if seconds > 0:
                signum = self._stopped.get(timeout=seconds)
            else:
                signum = self._stopped.get_nowait()
        except queue.Empty:
            return
        self._stopped.put(signum)
        raise Interrupted(signum)
