"""What all formats need to know of values that are copied from JSON as they stand there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from hauserpy.layout import FieldType

_FROM_NINE = rb"9(?:[01][0-9]{17}|2[01][0-9]{16}|[0-9]{0,17}+)"
_INT64 = rb"(?:[1-8][0-9]{0,18}+|0|%b|-(?:[1-8][0-9]{0,18}+|%b))" % (_FROM_NINE, _FROM_NINE)
"""Integers that an int64 holds for certain, without a sign where there is nothing to it. The usual
ones come first."""
_INT32 = rb"(?:[1-9][0-9]{0,8}+|0|-[1-9][0-9]{0,8}+)"
_REAL = (
    rb"(?:-?0\.(?:0{0,3}[1-9](?:[0-9]{0,8}[1-9])?|0)|-?[1-9][0-9]{0,5}+\.(?:[0-9]{0,8}[1-9]|0)"
    rb"|0|-?[1-9][0-9]{0,13}+)"
)
"""Doubles of at most 15 digits, which have no shorter name, and far from where exponents begin; or
integers."""
TIME = rb'[^"]{19,32}+'
"""What may be an instant. It remains to be read."""
NUMBERS = {FieldType.INT64: _INT64, FieldType.INT32: _INT32, FieldType.FLOAT64: _REAL}
"""Which JSON numbers are copied to a column of a type, since they would be written so."""

BACKSLASH, COMMA, DOT = b"\\,."
"""As numbers: `bytes in bytes` raises and clears a TypeError first (Python 3.11)."""
_MOST_REMEMBERED = 1 << 12
_LONGEST_REMEMBERED = 300
"""Bytes: long texts seldom come twice, and thousands of them would fill the memory."""


def checked(values: Sequence[bytes], most: int | None, care: set[int]) -> tuple[bytes, list[int]]:
    """All texts together, and the places of those in which something is escaped. Of the others, those
    that are not the text of a JSON string go into ``care``, and so does any longer than ``most``."""
    together = b" ".join(values)
    escaped = []
    if BACKSLASH in together:
        escaped = [n for n, value in enumerate(values) if BACKSLASH in value]
    if not _is_text(together):
        care.update(n for n, v in enumerate(values) if BACKSLASH not in v and not _is_text(v))
    if most is not None and len(together) > most and max(map(len, values)) > most:
        care.update(n for n, value in enumerate(values) if len(value) > most)
    return together, escaped


def _is_text(text: bytes) -> bool:
    """Whether it is UTF-8 without control characters; quotes and escapes do not count."""
    try:
        orjson.loads(b'"%b"' % text.replace(b'"', b" ").replace(b"\\", b" "))
    except orjson.JSONDecodeError:
        return False
    return True


class NotPlain(Exception):
    """A NUL or half a character is in the text."""


def unescaped(inside: bytes) -> str:
    """The text that stands between the quotes of a JSON string. Raises NotPlain."""
    try:
        text: str = orjson.loads(b'"%b"' % inside)
    except orjson.JSONDecodeError:
        raise NotPlain from None
    if "\0" in text:
        raise NotPlain
    return text


class Escaped(dict[bytes, bytes]):
    """What ``write`` makes of JSON in which something is escaped; it may raise NotPlain. Remembered,
    since most columns repeat themselves."""

    def __init__(self, write: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, inside: bytes) -> bytes:
        made = self._write(inside)
        if len(inside) <= _LONGEST_REMEMBERED:
            if len(self) > _MOST_REMEMBERED:
                self.clear()
            self[inside] = made
        return made

    def mended(
        self,
        values: Sequence[bytes],
        places: Sequence[int],
        care: set[int],
        lead: bytes = b"",
        end: bytes = b"",
    ) -> list[bytes]:
        """The values, written anew at these places, where each stands between ``lead`` and ``end``;
        where that cannot be, they go into ``care``."""
        made = list(values)
        first, last = len(lead), -len(end) or None
        for n in places:
            try:
                made[n] = lead + self[made[n][first:last]] + end
            except NotPlain:
                care.add(n)
        return made
