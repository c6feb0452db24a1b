"""Rows as CSV: commas, LF, quotes only where they are needed.

NULL and the empty string stay apart. Where the layout's NULL is nothing (local files), an empty
string is ``""``; where NULL is a marker (Redshift's ``NULL AS '\\000'``), an empty string is
nothing. Only string columns know the difference; elsewhere NULL is an empty field.

Columns are made into text one by one, mostly by C code over the whole column, and only then joined
into lines: that is some five times as fast as Python's csv module over rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import orjson

from hauserpy.model import FieldType, Layout
from hauserpy.transform import Rows

_MOST_REMEMBERED = 1 << 14
_LONGEST_REMEMBERED = 200
"""Characters: long texts seldom come twice, and thousands of them would fill the memory."""
_NUMBERS = frozenset((FieldType.INT64, FieldType.INT32, FieldType.FLOAT64))
_SPECIAL = '",\n\r'
"""What makes a field need quotes. A lone CR as well: readers may take it for a line's end."""


class CsvEncoder:
    """See `hauserpy.staging.base.Encoder`."""

    def __init__(self, layout: Layout) -> None:
        self._columns = layout.columns
        self._header = layout.header
        empty = "" if layout.null else '""'
        self._fields_of: list[tuple[slice, _FieldsOf]] = []
        at = 0
        for number, columns in groupby(layout.columns, lambda c: c.type in _NUMBERS):
            # Numbers that stand side by side are written together, other columns one by one.
            types = [c.type for c in columns]
            for width in [len(types)] if number else [1] * len(types):
                fields_of = _fields_of(layout.columns[at].type, _Quoted(layout.null, empty))
                self._fields_of.append((slice(at, at + width), fields_of))
                at += width

    @property
    def head(self) -> bytes:
        if not self._header:
            return b""
        return ",".join(_quoted(c.name) for c in self._columns).encode() + b"\n"

    def encode(self, rows: Rows) -> bytes:
        if not rows.count:
            return b""
        fields = [fields_of(rows.columns[which]) for which, fields_of in self._fields_of]
        lines = map(",".join, zip(*fields, strict=True))
        # Line by line, since most lines are plain ASCII, and one that is not makes a text of all of
        # them two or four times as wide.
        return b"\n".join([*map(str.encode, lines), b""])


_FieldsOf = Callable[[Sequence[list[Any]]], list[str]]
"""Columns side by side to their part of each line."""


def _fields_of(type: FieldType, quoted: _Quoted) -> _FieldsOf:
    match type:
        case FieldType.STRING:
            return quoted.fields
        case FieldType.CUSTOM_VARS:
            return _objects
        case FieldType.INT64 | FieldType.INT32 | FieldType.FLOAT64:
            return _numbers
        case _:
            return _times


def _times(columns: Sequence[list[Any]]) -> list[str]:
    # Written instants hold nothing that needs quotes.
    (values,) = columns
    return [value or "" for value in values] if None in values else values


def _numbers(columns: Sequence[list[Any]]) -> list[str]:
    """orjson writes rows of numbers as arrays, which are CSV but for the brackets and ``null``; and
    no number holds a letter of that."""
    text = orjson.dumps(list(zip(*columns, strict=True))).translate(None, b"[nul")
    return text.removesuffix(b"]]").decode().split("],")


def _objects(columns: Sequence[list[Any]]) -> list[str]:
    """JSON objects: all hold quotes but ``{}``."""
    (values,) = columns
    return [
        "{}" if value == b"{}" else '"' + value.decode().replace('"', '""') + '"'
        for value in values
    ]


def _quoted(value: str) -> str:
    for special in _SPECIAL:
        if special in value:
            return '"' + value.replace('"', '""') + '"'
    return value


class _Quoted(dict[Any, str]):
    """String values as fields; remembers those seen, since most columns repeat themselves."""

    def __init__(self, null: str, empty: str) -> None:
        super().__init__()
        self._always = {None: null, "": empty}
        self.update(self._always)

    def fields(self, columns: Sequence[list[Any]]) -> list[str]:
        (values,) = columns
        if len(self) > _MOST_REMEMBERED:
            self.clear()
            self.update(self._always)
        return list(map(self.__getitem__, values))

    def __missing__(self, value: str) -> str:
        made = _quoted(value)
        if len(value) <= _LONGEST_REMEMBERED:
            self[value] = made
        return made
