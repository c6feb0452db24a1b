"""What fits a column of each type, and as what."""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

from hauserpy.decode.records import MOST_DEPTH, BigNumber
from hauserpy.transform.times import Unfit

_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)


class TooDeep(Exception):
    """A value is nested deeper than a record may be; whoever knows its place says where."""


def as_integer(value: Any, within: range) -> int | None:
    """An integral number or a string of ASCII digits; NULL for null and the empty string."""
    if value is None or value == "":
        return None
    kind = type(value)
    if kind is int:
        number: int = value
    elif kind is float:
        if not value.is_integer():
            raise Unfit
        number = int(value)
    elif kind is str:
        if not _INTEGER.fullmatch(value):
            raise Unfit
        digits = value.removeprefix("-").lstrip("0") or "0"
        if len(digits) > 19:
            raise Unfit
        number = -int(digits) if value[0] == "-" else int(digits)
    else:
        raise Unfit
    if not within.start <= number < within.stop:
        raise Unfit
    return number


def as_real(value: Any) -> float | None:
    """A finite double, from a number or a string of one in JSON's grammar; NULL as above."""
    if value is None or value == "":
        return None
    kind = type(value)
    if kind is float:
        return float(value)
    if kind is int:
        return float(value)
    text = value.text if kind is BigNumber else value
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise Unfit
    number = float(text)
    if not math.isfinite(number):
        raise Unfit
    return number


def as_text(value: Any) -> str | None:
    """A string as it is; numbers, booleans, arrays and objects as their JSON text."""
    if value is None or type(value) is str:
        return value
    return dump(value, level=2).decode()


def dump(value: Any, *, level: int = 1) -> bytes:
    """JSON text as orjson writes it; a number that it cannot hold as it was written.

    ``level`` is that of ``value`` in its record, which itself is 1. Raises TooDeep beyond
    `MOST_DEPTH`.
    """
    try:
        return orjson.dumps(value, default=_as_written)
    except orjson.JSONEncodeError:
        # orjson stops at 254 levels, we at 256.
        return _dump_deep(value, level)


def _as_written(value: Any) -> orjson.Fragment:
    if isinstance(value, BigNumber):
        return orjson.Fragment(value.text.encode())
    raise TypeError


def _dump_deep(value: Any, level: int) -> bytes:
    if not isinstance(value, (dict, list)):
        return orjson.dumps(value, default=_as_written)
    if level > MOST_DEPTH:
        raise TooDeep
    if isinstance(value, list):
        return b"[%b]" % b",".join(_dump_deep(v, level + 1) for v in value)
    return b"{%b}" % b",".join(
        b"%b:%b" % (orjson.dumps(k), _dump_deep(v, level + 1)) for k, v in value.items()
    )


def cut_text(text: str, most_bytes: int) -> str:
    """The longest beginning of ``text`` within ``most_bytes`` of UTF-8, no character cut."""
    return text.encode()[:most_bytes].decode(errors="ignore")


def characters(text: bytes) -> int:
    """How many characters (code points) a text in UTF-8 has."""
    return len(text.decode())
