"""Instants as the export writes them, read strictly and written in UTC."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from operator import add
from typing import Any

from hauserpy.layout import TimeStyle

_GRAMMAR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
    r"(?:([Zz])|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)
_SHORTEST = len("YYYY-MM-DDThh:mm:ssZ")
_CLOCK_AT = len("YYYY-MM-DD")
_MOST_REMEMBERED = 1 << 16
_LONGEST_REMEMBERED = 64
"""Characters: a fraction may have any number of digits."""


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


def write(moment: datetime, style: TimeStyle) -> bytes:
    """The instant in UTC, trailing zeros of its fraction dropped, in the layout's style."""
    text = moment.replace(tzinfo=None).isoformat(" " if style is TimeStyle.SQL else "T")
    if "." in text:
        text = text.rstrip("0")
    return (text if style is TimeStyle.SQL else text + "Z").encode()


Span = tuple[datetime | None, datetime | None]


def span(written: Iterable[bytes | None]) -> Span:
    """The first and the last of some instants as `write` writes them in one style; both None where
    there is none."""
    present = list(filter(None, written))
    if not present:
        return None, None
    if present[0].endswith(b"Z"):
        # Without the zone they sort as text.
        present = [text[:-1] for text in present]
    return reread(min(present)), reread(max(present))


def outermost(texts: Sequence[str]) -> tuple[str, str] | None:
    """The first and the last of instants by their texts alone, where these are all written alike, in
    UTC, so that they sort in time; else None. Whether these two are instants remains to be seen, and
    then those between them that are none do not matter."""
    length = len(texts[0]) if texts else 0
    if length < _SHORTEST or set(map(len, texts)) != {length}:
        return None
    together = "".join(texts)
    if set(together[_CLOCK_AT::length]) != {"T"} or set(together[length - 1 :: length]) != {"Z"}:
        return None
    return min(texts), max(texts)


def reread(written: bytes) -> datetime:
    """The inverse of `write`."""
    return read(written.decode())[0]


def of_one_day(texts: Sequence[bytes], style: TimeStyle) -> list[bytes] | None:
    """Write a column of instants at once, by sweeps over all of its text; None when they are not
    all in the form ``YYYY-MM-DDThh:mm:ss.fffZ`` and of one date, as those of one batch mostly are.

    One date and one first digit of the hour leave few places where a digit can be too large.
    """
    count = len(texts)
    data = b"\n".join([*texts, b""])
    if data.translate(_DIGITS) != _LINE * count:
        return None
    if any(data[n :: len(_LINE)] != data[n : n + 1] * count for n in _SAME):
        return None
    hours = b"0123" if data[_HOUR - 1 : _HOUR] == b"2" else b"0123456789"
    limits = ((_HOUR, hours), (_MINUTE, b"012345"), (_SECOND, b"012345"))
    if any(data[n :: len(_LINE)].translate(None, allowed) for n, allowed in limits):
        return None
    try:
        read(texts[0].decode())
    except Unfit:
        return None
    lines = list(texts)
    end = b"Z"
    if style is TimeStyle.SQL:
        lines = data.replace(b"T", b" ").replace(b"Z", b"").split(b"\n")[:-1]
        end = b""
    last_digits = data[_LAST :: len(_LINE)]
    at = last_digits.find(b"0")
    while at >= 0:
        lines[at] = lines[at].removesuffix(end).rstrip(b"0").removesuffix(b".") + end
        at = last_digits.find(b"0", at + 1)
    return lines


_LINE = b"0000-00-00T00:00:00.000Z\n"
_HOUR, _MINUTE, _SECOND, _LAST = 12, 14, 17, 22
"""Where the second digit of the hour, the first of the minute and of the second, and the last of
the fraction stand."""
_SAME = range(_HOUR)
_DIGITS = bytes(0x30 if c in b"0123456789" else c for c in range(256))


class Clock:
    """Writes columns of instants; null and the empty string are NULL."""

    def __init__(self, style: TimeStyle) -> None:
        self._style = style
        self._times = Times(style)
        self._instants = Instants(style)

    def written(
        self, values: Sequence[Any], care: set[int], *, repeat: bool = True
    ) -> Sequence[bytes | None]:
        """The number of each value that is no text, does not fit, or loses digits, goes into
        ``care``, and None where it stood. ``repeat``: most of them come several times."""
        try:
            if set(map(type, values)) == {str} and "" not in values:
                of_a_day = of_one_day(list(map(str.encode, values)), self._style)
                if of_a_day is not None:
                    return of_a_day
                if not repeat:
                    return self._instants.written(values)
            return list(map(self._times.__getitem__, values))
        except (Unfit, TypeError):
            return [self._one(n, value, care) for n, value in enumerate(values)]

    def copied(
        self, texts: Sequence[bytes], care: set[int], *, repeat: bool = True
    ) -> Sequence[bytes | None]:
        """As `written`, for texts without line breaks that stand between the quotes of JSON strings;
        what is empty is NULL."""
        if (of_a_day := of_one_day(texts, self._style)) is not None:
            return of_a_day
        # What does not come back as it was is no instant, nor was it before.
        values = b"\n".join(texts).decode(errors="replace").split("\n")
        return self.written(values, care, repeat=repeat)

    def _one(self, n: int, value: Any, care: set[int]) -> bytes | None:
        if value is None or isinstance(value, str):
            with suppress(Unfit):
                return self._times[value]
        care.add(n)
        return None


class Times(dict[Any, "bytes | None"]):
    """Remembers how texts of instants are written; null and the empty string are NULL. A text that
    does not fit, or loses digits, raises Unfit each time, so that the careful way looks at it."""

    def __init__(self, style: TimeStyle) -> None:
        super().__init__()
        self._instants = Instants(style)
        self._forget()

    def _forget(self) -> None:
        self.clear()
        self[None] = self[""] = None

    def __missing__(self, text: str) -> bytes:
        written = self._instants.one(text)
        if len(self) > _MOST_REMEMBERED:
            self._forget()
        if len(text) <= _LONGEST_REMEMBERED:
            self[text] = written
        return written


class Instants:
    """Writes instants nearly every one of which is new, as those of events are.

    They are ``YYYY-MM-DDThh:mm:`` and ``ss`` and ``.fffZ``; the parts are remembered, since there
    are few of each. All are checked by the one grammar, and with the zone Z none has to do with
    another. A text of any other form is read and written for itself.
    """

    def __init__(self, style: TimeStyle) -> None:
        self._style = style
        self._heads = _Parts(lambda head: self._write(f"{head}00Z")[:_HEAD])
        self._seconds = _Parts(lambda ss: self._write(f"{_A_MINUTE}{ss}Z")[_HEAD:_TAIL])
        self._tails = _Parts(self._tail)

    def written(self, texts: Sequence[str]) -> list[bytes]:
        """Raises Unfit when one of them does not fit, or loses digits."""
        try:
            heads = map(self._heads.__getitem__, [text[:_HEAD] for text in texts])
            seconds = map(self._seconds.__getitem__, [text[_HEAD:_TAIL] for text in texts])
            tails = map(self._tails.__getitem__, [text[_TAIL:] for text in texts])
            return list(map(add, map(add, heads, seconds), tails))
        except Unfit:
            return list(map(self._write, texts))

    def one(self, text: str) -> bytes:
        """Raises Unfit when it does not fit, or loses digits."""
        try:
            return (
                self._heads[text[:_HEAD]]
                + self._seconds[text[_HEAD:_TAIL]]
                + self._tails[text[_TAIL:]]
            )
        except Unfit:
            return self._write(text)

    def _tail(self, tail: str) -> bytes:
        if not tail.endswith("Z"):
            raise Unfit
        return self._write(f"{_A_MINUTE}00{tail}")[_TAIL:]

    def _write(self, text: str) -> bytes:
        moment, cut = read(text)
        if cut:
            raise Unfit
        return write(moment, self._style)


_A_MINUTE = "2000-01-01T00:00:"
_HEAD = len("YYYY-MM-DDThh:mm:")
_TAIL = len("YYYY-MM-DDThh:mm:ss")


class _Parts(dict[str, bytes]):
    def __init__(self, learn: Callable[[str], bytes]) -> None:
        super().__init__()
        self._learn = learn

    def __missing__(self, part: str) -> bytes:
        if len(self) > _MOST_REMEMBERED:
            self.clear()
        self[part] = made = self._learn(part)
        return made
