"""Rows as CSV: commas, LF, quotes only where they are needed.

NULL and the empty string stay apart. Where the layout's NULL is nothing (local files), an empty
string is ``""``; where NULL is a marker (Redshift's ``NULL AS '\\000'``), an empty string is
nothing. Only string columns know the difference; elsewhere NULL is an empty field.

Columns are made into text one by one, mostly by C code over the whole column, and only then joined
into lines, which Python's csv module makes value by value. Entries that rows share are joined
before they are shared out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import orjson

from hauserpy.model import FieldType, Layout
from hauserpy.staging.runs import Run, Runs, objects, spread
from hauserpy.transform import Block, Rows

_MOST_REMEMBERED = 1 << 14
_LONGEST_REMEMBERED = 200
"""Characters: long texts seldom come twice, and thousands of them would fill the memory."""
_SPECIAL = '",\n\r'
"""What makes a field need quotes. A lone CR as well: readers may take it for a line's end."""

_Alike = tuple[FieldType, tuple[int, ...], tuple[int, ...]]
"""A type, for all integers that of INT64, and the numbers and places of columns."""


class CsvEncoder:
    """See `hauserpy.staging.base.Encoder`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._runs = Runs(layout)
        self._known: dict[Run, list[_Alike]] = {}
        null, empty = layout.null.encode(), b"" if layout.null else b'""'
        self._strings = {
            number: _Quoted(null, empty)
            for number, column in enumerate(layout.columns)
            if column.type is FieldType.STRING
        }

    @property
    def head(self) -> bytes:
        if not self._layout.header:
            return b""
        return b",".join(_quoted(c.name) for c in self._layout.columns) + b"\n"

    def encode(self, rows: Rows) -> bytes:
        if not rows.count:
            return b""
        fields: list[list[bytes]] = []
        for run in self._runs.of(rows.blocks):
            if run.block is None:
                fields.append(objects(rows.blocks, run.places, _object, _doubled))
                continue
            block = rows.blocks[run.block]
            parts = self._parts(block, run)
            if block.which is not None:
                parts = [spread(list(map(b",".join, zip(*parts, strict=True))), block.which)]
            fields += parts
        lines = map(b",".join, zip(*fields, strict=True))
        return b"\n".join([*lines, b""])

    def _parts(self, block: Block, run: Run) -> list[list[bytes]]:
        """The columns' parts of each line: bytes, since one character beyond ASCII would make a
        line of text two or four times as wide."""
        parts = []
        for kind, numbers, places in self._alike(run):
            columns = [block.columns[place] for place in places]
            if kind is FieldType.INT64:
                # Those that stand side by side are written together.
                parts.append(_numbers(block.integers.get(numbers) or _rows(columns)))
            elif kind is FieldType.FLOAT64:
                parts += [_numbers(_rows([column])) for column in columns]
            elif kind is FieldType.STRING:
                strings = zip(numbers, columns, strict=True)
                parts += [self._strings[number].fields(column) for number, column in strings]
            else:
                parts += map(_times, columns)
        return parts

    def _alike(self, run: Run) -> list[_Alike]:
        """The run's columns in order, neighbours that are written alike together."""
        found = self._known.get(run)
        if found is None:
            found = self._known[run] = []
            for kind, group in groupby(zip(run.numbers, run.places, strict=True), self._kind):
                numbers, places = zip(*group, strict=True)
                found.append((kind, numbers, places))
        return found

    def _kind(self, column: tuple[int, int]) -> FieldType:
        kind = self._layout.columns[column[0]].type
        return FieldType.INT64 if kind is FieldType.INT32 else kind


def _times(values: Sequence[Any]) -> list[bytes]:
    # Written instants hold nothing that needs quotes.
    return "\n".join([value or "" for value in values]).encode().split(b"\n")


def _doubled(text: bytes) -> bytes:
    return text.replace(b'"', b'""')


def _object(text: bytes) -> bytes:
    # All hold quotes but the empty one.
    return text if text == b"{}" else b'"' + text + b'"'


def _rows(columns: Sequence[Sequence[Any]]) -> bytes:
    return orjson.dumps(list(zip(*columns, strict=True)))


def _numbers(rows: bytes) -> list[bytes]:
    """JSON's rows of numbers are CSV but for the brackets and ``null``; and no number holds a
    letter of that."""
    return rows.translate(None, b"[nul").removesuffix(b"]]").split(b"],")


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

    def fields(self, values: Sequence[Any]) -> list[bytes]:
        if len(self) > _MOST_REMEMBERED:
            self.clear()
            self.update(self._always)
        return list(map(self.__getitem__, values))

    def __missing__(self, value: str) -> bytes:
        made = _quoted(value)
        if len(value) <= _LONGEST_REMEMBERED:
            self[value] = made
        return made
