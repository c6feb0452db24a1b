"""Rows as CSV: commas, LF, quotes only where they are needed.

NULL and the empty string stay apart. Where the layout's NULL is nothing (local files), an empty
string is ``""``; where NULL is a marker (Redshift's ``NULL AS '\\000'``), an empty string is
nothing. Only string columns know the difference; elsewhere NULL is an empty field.

Columns are made into text one by one, mostly by C code over the whole column, and only then joined
into lines: that is some five times as fast as Python's csv module over rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from hauserpy.model import FieldType, Layout
from hauserpy.transform import Rows

_MOST_REMEMBERED = 1 << 14
_LONGEST_REMEMBERED = 200
"""Characters: long texts seldom come twice, and thousands of them would fill the memory."""
_SPECIAL = '",\n\r'
"""What makes a field need quotes. A lone CR as well: readers may take it for a line's end."""


class CsvEncoder:
    """See `hauserpy.staging.base.Encoder`."""

    def __init__(self, layout: Layout) -> None:
        self._columns = layout.columns
        self._header = layout.header
        empty = "" if layout.null else '""'
        self._text_of = [_texts_of(c.type, _Quoted(layout.null, empty)) for c in layout.columns]

    @property
    def head(self) -> bytes:
        if not self._header:
            return b""
        return ",".join(_quoted(c.name) for c in self._columns).encode() + b"\n"

    def encode(self, rows: Rows) -> bytes:
        if not rows.count:
            return b""
        columns = [
            text_of(column) for text_of, column in zip(self._text_of, rows.columns, strict=True)
        ]
        lines = list(map(",".join, zip(*columns, strict=True)))
        lines.append("")
        return "\n".join(lines).encode()


def _texts_of(type: FieldType, quoted: _Quoted) -> Callable[[list[Any]], list[str]]:
    match type:
        case FieldType.STRING:
            return quoted.texts
        case FieldType.CUSTOM_VARS:
            return _objects
        case FieldType.INT64 | FieldType.INT32:
            return _integers
        case FieldType.FLOAT64:
            return _reals
        case _:
            return _times


def _times(values: list[Any]) -> list[str]:
    # Written instants hold nothing that needs quotes.
    return [value or "" for value in values] if None in values else values


def _integers(values: list[Any]) -> list[str]:
    if values.count(None) == len(values):
        return [""] * len(values)
    # One call for all, and `null` is nothing: half the time of `str` for each.
    return orjson.dumps(values)[1:-1].decode().replace("null", "").split(",")


def _reals(values: list[Any]) -> list[str]:
    return orjson.dumps(values)[1:-1].decode().replace("null", "").split(",")


def _objects(values: list[bytes]) -> list[str]:
    """JSON objects: all hold quotes but ``{}``. orjson writes no line break, so that the whole
    column can be doubled in one text."""
    text = b"\n".join(values).replace(b'"', b'""').decode()
    return [f'"{v}"' if '"' in v or "," in v else v for v in text.split("\n")]


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

    def texts(self, values: list[Any]) -> list[str]:
        if len(self) > _MOST_REMEMBERED:
            self.clear()
            self.update(self._always)
        return list(map(self.__getitem__, values))

    def __missing__(self, value: str) -> str:
        made = _quoted(value)
        if len(value) <= _LONGEST_REMEMBERED:
            self[value] = made
        return made
