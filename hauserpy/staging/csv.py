"""Rows as CSV: commas, LF, quotes only where they are needed.

NULL and the empty string stay apart. Where the layout's NULL is nothing (local files), an empty
string is ``""``; where NULL is a marker (Redshift's ``NULL AS '\\000'``), an empty string is
nothing. Only string columns know the difference; elsewhere NULL is an empty field.

Columns are made into text one by one, mostly by C code over the whole column, and only then joined
into lines, which Python's csv module makes value by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import orjson

from hauserpy.decode import pattern
from hauserpy.decode.pattern import Member
from hauserpy.layout import FieldType, Layout
from hauserpy.staging.copies import COMMA, DOT, NUMBERS, TIME, Escaped, checked, unescaped
from hauserpy.transform import Rows

_INTEGERS = (FieldType.INT64, FieldType.INT32)
_MOST_BYTES = 1 << 20
"""Of the values of one column that are remembered, in which each counts `_EACH` more."""
_EACH = 64
_LONGEST_REMEMBERED = 200
"""Characters: longer texts seldom come twice."""
_QUOTE = ord('"')
_SPECIAL = '",\n\r'
"""What makes a field need quotes. A lone CR as well: readers may take it for a line's end."""
_TEXT = rb'(?<=")%b(?=")|(?<!")""(?!")' % pattern.INSIDE
"""A string without its quotes, unless there is nothing else, between quotes that may be there."""


class CsvEncoder:
    """See `hauserpy.staging.base.Encoder`."""

    glue, lead = b",", b""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._columns = layout.columns
        null, empty = layout.null.encode(), b"" if layout.null else b'""'
        self._null = null
        self._quoted = {
            number: _Quoted(null, empty)
            for number, column in enumerate(layout.columns)
            if column.type is FieldType.STRING
        }
        self._escaped = Escaped(lambda inside: _quoted(unescaped(inside)))
        self._marks = {b"": null, b'""': empty} if layout.null else {}
        # Integers that stand side by side are written together.
        runs = groupby(enumerate(layout.columns), lambda c: -1 if c[1].type in _INTEGERS else c[0])
        self._runs = [tuple(number for number, _ in run) for _, run in runs]

    @property
    def head(self) -> bytes:
        if not self._layout.header:
            return b""
        return b",".join(_quoted(c.name) for c in self._columns) + b"\n"

    def lines(self, rows: Rows) -> list[bytes]:
        if not rows.count:
            return []
        # Bytes, since one character beyond ASCII would make a line of text two or four times as wide.
        fields: list[Sequence[bytes]] = []
        for numbers in self._runs:
            columns = [rows.columns[number] for number in numbers]
            match self._columns[numbers[0]].type:
                case FieldType.STRING:
                    fields.append(self._quoted[numbers[0]].fields(columns[0]))
                case FieldType.CUSTOM_VARS:
                    fields.append(self.objects(numbers[0], self.escaped(columns[0])))
                case FieldType.TIME | FieldType.WINDOW_START:
                    fields.append(self.instants(numbers[0], columns[0]))
                case _:
                    made = rows.integers.get(numbers) or orjson.dumps(
                        list(zip(*columns, strict=True))
                    )
                    fields.append(_numbers(made))
        return list(map(b",".join, zip(*fields, strict=True)))

    def joined(self, lines: Sequence[bytes]) -> bytes:
        return b"\n".join([*lines, b""])

    def member(self, number: int, key: str, *, plain: bool) -> Member:
        kind = self._columns[number].type
        name = b',"%b":' % key.encode()
        if kind in NUMBERS:
            return Member(name, NUMBERS[kind])
        if kind is FieldType.TIME:
            return Member(name + b'"', TIME, b'"')
        if plain:
            return Member(name + b'"', rb'[^"]++', b'"')
        return Member(name + b'"?', _TEXT, b'"?')

    def copied_together(self, values: Sequence[bytes], care: set[int]) -> Sequence[bytes]:
        raise ValueError("no member is written as it stands in JSON")

    def copied(
        self, number: int, key: str, values: Sequence[bytes], care: set[int]
    ) -> Sequence[bytes]:
        column = self._columns[number]
        if column.type is FieldType.FLOAT64:
            return [v + b".0" if v and DOT not in v else v for v in values]
        if column.type is not FieldType.STRING:
            return values
        together, escaped = checked(values, column.max_bytes, care)
        if escaped:
            values = self._escaped.mended(values, escaped, care)
        if COMMA in together:
            # What was written anew has its quotes.
            values = [b'"' + v + b'"' if COMMA in v and v[0] != _QUOTE else v for v in values]
        if not self._marks:
            return values
        if _QUOTE not in together:
            return [value or self._null for value in values] if b"" in values else values
        return list(map(self._marks.get, values, values))

    def instants(self, number: int, written: Sequence[bytes | None]) -> list[bytes]:
        # They hold nothing that needs quotes.
        return [text or b"" for text in written]

    def escaped(self, texts: Sequence[bytes]) -> Sequence[bytes]:
        # JSON text holds no line break of its own.
        return b"\n".join(texts).replace(b'"', b'""').split(b"\n") if texts else []

    def objects(self, number: int, escaped: Sequence[bytes]) -> list[bytes]:
        # All hold quotes but the empty one.
        return [text if text == b"{}" else b'"' + text + b'"' for text in escaped]

    def null(self, number: int) -> bytes:
        return self._null if self._columns[number].type is FieldType.STRING else b""


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
        self._bytes = 0
        self.update(self._always)

    def fields(self, values: Sequence[Any]) -> list[bytes]:
        if self._bytes > _MOST_BYTES:
            self.clear()
            self.update(self._always)
            self._bytes = 0
        return list(map(self.__getitem__, values))

    def __missing__(self, value: str) -> bytes:
        made = _quoted(value)
        if len(value) <= _LONGEST_REMEMBERED:
            self[value] = made
            self._bytes += len(made) + _EACH
        return made
