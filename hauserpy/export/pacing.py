"""Rate limits: what Retry-After says, and how long each endpoint is to be left alone."""

from __future__ import annotations

import email.utils
import logging
import math
import re
import threading
from datetime import UTC, datetime, timedelta

from hauserpy.errors import RateLimited
from hauserpy.model import rfc3339
from hauserpy.waiting import LONG, NOTICE, Timing, span

_log = logging.getLogger(__name__)

_MEANT = 7 * 86_400
"""Seconds beyond which a wait is no rate limit: RetryAfterMax takes no longer one either."""

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def retry_after(value: str | None, now: datetime) -> float | None:
    """The wait in seconds that a Retry-After header asks for, never negative; None when it is
    absent or makes no sense. A number of seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = date_of(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def date_of(value: str | None) -> datetime | None:
    """An HTTP date, without a zone in UTC (RFC 9110, 5.6.7); None where it is none."""
    try:
        moment = None if value is None else email.utils.parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


class Pacer:
    """Remembers for each endpoint until when the API wants no request; safe across threads."""

    def __init__(self, longest: float, timing: Timing) -> None:
        self._longest = longest
        self._timing = timing
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def hold(self, endpoint: str, seconds: float) -> None:
        """Let the next request to ``endpoint`` not go before so many seconds have passed."""
        until = self._timing.monotonic() + seconds
        with self._lock:
            self._free_at[endpoint] = max(until, self._free_at.get(endpoint, until))

    def refuse(self, endpoint: str, seconds: float, what: str) -> RateLimited:
        """The error for a wait beyond ``RetryAfterMax``; the endpoint is held all the same."""
        self.hold(endpoint, seconds)
        if seconds > _MEANT:
            return RateLimited(
                f"{what}: the API asks to wait {span(seconds)}, which can hardly be meant.",
                "Run again later; if it stays so, look for a proxy that answers in the API's place,"
                " or ask Fullstory.",
            )
        until = self._timing.clock() + timedelta(seconds=math.ceil(seconds))
        return RateLimited(
            f"{what}: the API asks to wait {span(seconds)}, longer than RetryAfterMax"
            f" ({span(self._longest)}).",
            f"Run again after {rfc3339(until.replace(microsecond=0))}, or raise RetryAfterMax.",
        )

    def remaining(self, endpoint: str) -> float:
        """Seconds until the endpoint may be asked again; 0 when it may."""
        with self._lock:
            free_at = self._free_at.get(endpoint)
        return 0.0 if free_at is None else max(0.0, free_at - self._timing.monotonic())

    def wait(self, endpoint: str, what: str, *, hurried: bool = False) -> None:
        """Wait for the endpoint's turn. Raises RateLimited when that is beyond RetryAfterMax, or
        when the caller is ``hurried``."""
        seconds = self.remaining(endpoint)
        if seconds <= 0:
            return
        if seconds > self._longest:
            raise self.refuse(endpoint, seconds, what)
        if hurried:
            raise RateLimited(f"{what}: the API asks to wait {span(seconds)}.", "Run again later.")
        level = NOTICE if seconds >= LONG else logging.INFO
        _log.log(level, "%s: waiting %s, as the API asks", what, span(math.ceil(seconds)))
        self._timing.sleep(seconds)
