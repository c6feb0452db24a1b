"""Points in time as people write them: RFC 3339, or a date alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MOMENTS = "a date such as 2026-11-23, or a time such as 2026-11-23T04:00:00Z, from 1970 on"
"""What may be written, for messages."""

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)


def parse_moment(text: str) -> datetime:
    """Aware, and in UTC; without a zone UTC is meant, and a date alone is its midnight.

    Raises ValueError, whose message says what is wrong without repeating the text.
    """
    if not _MOMENT.fullmatch(text):
        raise ValueError("it is not a time")
    try:
        found = datetime.fromisoformat(text.upper())
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such time") from error
