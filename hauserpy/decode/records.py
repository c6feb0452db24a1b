"""A batch of text as records, exactly: fast where orjson is exact, and slowly where it is not.

orjson refuses lone surrogates and numbers beyond a double, and turns integers beyond 64 bits
silently into doubles. A batch that holds any of these is parsed again by the standard library's
parser, which is exact when told so. Both agree on everything else; the tests hold them together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from hauserpy.decode.digits import OF_INT64, has_wide_number
from hauserpy.decode.split import Batch
from hauserpy.errors import CorruptBundle, RecordTooLarge

MOST_DEPTH = 256
"""How deep a record may be nested, itself included."""

_SPACE = " \t\n\r"


class Unproved(Exception):
    """The batch's text ends inside a record: its border was not real, or the array is cut short."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        super().__init__(offset)


class BigNumber:
    """A number that no int64 and no double holds, as it is written: ``1e400``, 30 digits.

    No dataclass, since orjson would write one as an object of its own accord.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass(frozen=True, slots=True)
class Records:
    """The objects of a batch, in order. ``plain``: every integer fits an int64 or is the parser's
    own uint64, and no text holds a NUL or a surrogate, so that nothing needs cleaning."""

    values: list[dict[str, Any]]
    plain: bool


def parse(batch: Batch, *, most_bytes: int, exact: bool = True) -> Records:
    """Parse a batch; success proves that its borders are real.

    That holds because a batch begins where a record does: were its end inside a string or a nested
    value, something would be left open. Raises Unproved for that case (join it with the next
    batch), and CorruptBundle, with the offset in the bundle's text, for anything that is not an
    object, deeper than `MOST_DEPTH`, larger than ``most_bytes`` or not JSON.

    Not ``exact``: wide integers may become doubles, for whom no number of theirs matters.
    """
    text = batch.text
    if len(text) > most_bytes or (exact and has_wide_number(text, OF_INT64 + 1)):
        return _parse_exactly(batch, most_bytes)
    try:
        values = orjson.loads(b"[%b]" % text)
    except orjson.JSONDecodeError:
        return _parse_exactly(batch, most_bytes)
    if set(map(type, values)) != {dict}:
        return _parse_exactly(batch, most_bytes)
    return Records(values, plain=not has_nul(text))


def pieces(batch: Batch, *, most_bytes: int) -> list[tuple[bytes, dict[str, Any]]]:
    """Each record of a batch with its text as it was served. Raises as `parse` does; slow."""
    return [(text.encode(), value) for text, value in _texts_and_values(batch, most_bytes)]


def check_depth(values: Sequence[dict[str, Any]], batch: Batch, *, most_bytes: int) -> None:
    """Raise CorruptBundle when one of the batch's records, or parts of records, is nested too
    deeply.

    Only needed where the values are not written again: orjson writes 254 levels at most, so that
    the depth shows there by itself.
    """
    try:
        orjson.dumps(values)
    except orjson.JSONEncodeError:
        _parse_exactly(batch, most_bytes)


def too_deep(value: Any, level: int = 1) -> bool:
    """Whether ``value``, at ``level`` of its record, is nested deeper than `MOST_DEPTH`."""
    if not isinstance(value, (dict, list)):
        return False
    if level > MOST_DEPTH:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return any(too_deep(v, level + 1) for v in inner)


def has_nul(text: bytes) -> bool:
    """Whether a string in the JSON ``text`` may hold a NUL."""
    # From behind, since few bytes are a backslash and many are the escape's last digit.
    return text.rfind(rb"\u0000") >= 0


def _parse_exactly(batch: Batch, most_bytes: int) -> Records:
    return Records([value for _, value in _texts_and_values(batch, most_bytes)], plain=False)


def _texts_and_values(batch: Batch, most_bytes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Record by record through the standard library, integers and odd numbers kept as written."""
    try:
        text = batch.text.decode()
    except UnicodeDecodeError as error:
        # A border inside a string cannot cut a character, since it is ASCII on both sides.
        offset = batch.offset + error.start
        with suppress(Unproved):
            # What is wrong before it is reported first.
            _parse_exactly(Batch(batch.text[: error.start], batch.offset, last=False), most_bytes)
        raise CorruptBundle("the text is not UTF-8", offset=offset) from error
    sizes = _Sizes(text, batch.offset)
    for start, value, end in _values(text, sizes, batch):
        if not isinstance(value, dict):
            raise CorruptBundle(
                f"a record is {_what(value)}, must be an object", offset=sizes.offset(start)
            )
        if sizes.between(start, end) > most_bytes:
            raise RecordTooLarge.than(most_bytes, offset=sizes.offset(start))
        if too_deep(value):
            raise _deep(sizes.offset(start))
        yield text[start:end], value


def _values(text: str, sizes: _Sizes, batch: Batch) -> Iterator[tuple[int, Any, int]]:
    """(start, value, end) of each element of the array whose inside is ``text``."""
    at = _skip_space(text, 0)
    if text.startswith("]", at):
        raise _more(text, at, sizes, batch)
    while True:
        start = at
        try:
            value, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            unended = error.msg.startswith("Unterminated string") or error.pos >= len(text)
            if unended and not batch.last:
                raise Unproved(sizes.offset(start)) from None
            what = error.msg.removesuffix(" at").removesuffix(" starting")
            raise CorruptBundle(
                f"it is not JSON ({what})", offset=sizes.offset(error.pos)
            ) from None
        except RecursionError:
            raise _deep(sizes.offset(start)) from None
        except _NotJson as error:
            raise CorruptBundle(f"it is not JSON ({error})", offset=sizes.offset(start)) from None
        yield start, value, at
        at = _skip_space(text, at)
        if at == len(text):
            return
        if text[at] == "]":
            raise _more(text, at, sizes, batch)
        if text[at] != ",":
            raise CorruptBundle("it is not JSON (a comma is missing)", offset=sizes.offset(at))
        at = _skip_space(text, at + 1)


def _more(text: str, at: int, sizes: _Sizes, batch: Batch) -> CorruptBundle:
    """The array ends at ``at`` already, and yet there is more."""
    following = _skip_space(text, at + 1)
    # The array's last bracket is not part of the batch, nor is the white space before it.
    beyond = len(batch.separator) if following == len(text) else 0
    return CorruptBundle(
        "something follows the end of the array", offset=sizes.offset(following) + beyond
    )


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


class _Sizes:
    """Places in decoded text as offsets in bytes, counted on from the place asked for last."""

    def __init__(self, text: str, offset: int) -> None:
        self._text = text
        self._base = offset
        self._ascii = text.isascii()
        self._at = 0
        self._bytes = 0

    def offset(self, at: int) -> int:
        if self._ascii:
            return self._base + at
        if at < self._at:
            return self._base + len(self._text[:at].encode())
        self._bytes += len(self._text[self._at : at].encode())
        self._at = at
        return self._base + self._bytes

    def between(self, start: int, end: int) -> int:
        return end - start if self._ascii else len(self._text[start:end].encode())


class _NotJson(ValueError):
    pass


def _integer(text: str) -> int | BigNumber:
    if len(text) > 20:
        return BigNumber(text)
    value = int(text)
    return value if -(2**63) <= value < 2**64 else BigNumber(text)


def _real(text: str) -> float | BigNumber:
    value = float(text)
    return value if math.isfinite(value) else BigNumber(text)


def _constant(text: str) -> Any:
    raise _NotJson(f"{text} is no JSON")


_DECODER = json.JSONDecoder(
    parse_int=_integer, parse_float=_real, parse_constant=_constant, strict=True
)


def _what(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float, BigNumber)):
        return "a number"
    return "a string" if isinstance(value, str) else "an array"


def _deep(offset: int) -> CorruptBundle:
    return CorruptBundle(f"a record is nested deeper than {MOST_DEPTH}", offset=offset)
