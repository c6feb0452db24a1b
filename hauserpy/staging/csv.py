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
        null, empty = layout.null.encode(), b"" if layout.null else b'""'
        self._fields_of: list[tuple[slice, _FieldsOf]] = []
        at = 0
        for number, columns in groupby(layout.columns, lambda c: c.type in _NUMBERS):
            # Numbers that stand side by side are written together, other columns one by one.
            types = [c.type for c in columns]
            for width in [len(types)] if number else [1] * len(types):
                fields_of = _fields_of(layout.columns[at].type, _Quoted(null, empty))
                self._fields_of.append((slice(at, at + width), fields_of))
                at += width

    @property
    def head(self) -> bytes:
        if not self._header:
            return b""
        return b",".join(_quoted(c.name) for c in self._columns) + b"\n"

    def encode(self, rows: Rows) -> bytes:
        if not rows.count:
            return b""
        fields = [fields_of(rows.columns[which]) for which, fields_of in self._fields_of]
        lines = map(b",".join, zip(*fields, strict=True))
        return b"\n".join([*lines, b""])


_FieldsOf = Callable[[Sequence[list[Any]]], list[bytes]]
"""Columns side by side to their part of each line: bytes, since one character beyond ASCII would
make a line of text two or four times as wide."""


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


def _times(columns: Sequence[list[Any]]) -> list[bytes]:
    # Written instants hold nothing that needs quotes.
    (values,) = columns
    return "\n".join([value or "" for value in values]).encode().split(b"\n")


def _numbers(columns: Sequence[list[Any]]) -> list[bytes]:
    """orjson writes rows of numbers as arrays, which are CSV but for the brackets and ``null``; and
    no number holds a letter of that."""
    text = orjson.dumps(list(zip(*columns, strict=True))).translate(None, b"[nul")
    return text.removesuffix(b"]]").split(b"],")


def _objects(columns: Sequence[list[Any]]) -> list[bytes]:
    """JSON objects: all hold quotes but ``{}``."""
    (values,) = columns
    return [
        value if value == b"{}" else b'"' + value.replace(b'"', b'""') + b'"' for value in values
    ]


def _quoted(value: str) -> bytes:
    for special in _SPECIAL:
        if special in value:
            return b'"' + value.encode().replace(b'"', b'""') + b'"'
    return value.encode()


class _Quoted(dict[Any, bytes]):
    """String values as fields; remembers those seen, since most columns repeat themselves."""

    def __init__(self, null: bytes, empty: bytes) -> None:
        super().__init__()
        self._always = {None: null, "": empty}
        self.update(self._always)

    def fields(self, columns: Sequence[list[Any]]) -> list[bytes]:
        (values,) = columns
        if len(self) > _MOST_REMEMBERED:
            self.clear()
            self.update(self._always)
        return list(map(self.__getitem__, values))

    def __missing__(self, value: str) -> bytes:
        made = _quoted(value)
        if len(value) <= _LONGEST_REMEMBERED:
            self[value] = made
        return made
