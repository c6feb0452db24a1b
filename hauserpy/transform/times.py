"""Instants as the export writes them, read strictly and written in UTC (design 3.4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from hauserpy.model import TimeStyle

_GRAMMAR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
    r"(?:([Zz])|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)
_MOST_REMEMBERED = 1 << 16


class Unfit(Exception):
    """The value does not fit its column's type."""


def read(text: str) -> tuple[datetime, bool]:
    """The instant that ``text`` names, and whether digits past the microsecond were lost.

    Raises Unfit for anything but ``YYYY-MM-DD[Tt ]hh:mm:ss[.digits][Z|z|±hh:mm|±hhmm]`` (no zone
    means UTC), for a day or second that does not exist, and for year 1, which is Go's "no time".
    """
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise Unfit
    year, month, day, hour, minute, second, digits, _, sign, hours, minutes = match.groups()
    digits = digits or ""
    zone: timezone = UTC
    try:
        if sign:
            if int(hours) > 23 or int(minutes) > 59:
                raise Unfit
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            zone = timezone(-offset if sign == "-" else offset)
        # Hour 24 and second 60 are refused by the arguments' own ranges.
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second),
            int(digits[:6].ljust(6, "0")), tzinfo=zone,
        ).astimezone(UTC)  # fmt: skip
    except (ValueError, OverflowError):
        raise Unfit from None
    if moment.year == 1 or int(year) == 1:
        raise Unfit
    return moment, bool(digits[6:].strip("0"))


def write(moment: datetime, style: TimeStyle) -> str:
    """The instant in UTC, trailing zeros of its fraction dropped, in the layout's style."""
    text = moment.replace(tzinfo=None).isoformat(" " if style is TimeStyle.SQL else "T")
    if "." in text:
        text = text.rstrip("0")
    return text if style is TimeStyle.SQL else text + "Z"


def sortable(written: str) -> str:
    """A key by which written instants of one style sort in time."""
    return written.removesuffix("Z")


def reread(written: str) -> datetime:
    """The inverse of `write`."""
    return read(written)[0]


class Times(dict[str, str]):
    """Remembers how texts of instants are written; a text that does not fit, or loses digits,
    raises Unfit each time, so that the careful path looks at it.

    Most texts are ``YYYY-MM-DDThh:mm:ss.fffZ`` and differ in their last letters only, so the two
    halves are remembered apart: both are checked by the one grammar, and with the zone Z neither
    has to do with the other.
    """

    def __init__(self, style: TimeStyle) -> None:
        super().__init__()
        self._style = style
        self._heads: dict[str, str] = {}
        self._tails: dict[str, str] = {}

    def __missing__(self, text: str) -> str:
        head = self._heads.get(text[:17])
        tail = self._tails.get(text[17:])
        written = self._learn(text) if head is None or tail is None else head + tail
        if len(self) > _MOST_REMEMBERED:
            self.clear()
        self[text] = written
        return written

    def _learn(self, text: str) -> str:
        moment, cut = read(text)
        if cut:
            raise Unfit
        written = write(moment, self._style)
        if text[16:17] == ":" and text[-1] == "Z":
            if len(self._heads) + len(self._tails) > 2 * _MOST_REMEMBERED:
                self._heads.clear()
                self._tails.clear()
            self._heads[text[:17]] = written[:17]
            self._tails[text[17:]] = written[17:]
        return written
