"""Rows as JSON Lines: typed values under their column's name, NULLs left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from hauserpy.decode import pattern
from hauserpy.decode.pattern import Member
from hauserpy.decode.records import has_nul
from hauserpy.layout import CustomVarsKind, FieldType, Layout
from hauserpy.staging.copies import DOT, NUMBERS, TIME, Escaped, NotPlain, checked, unescaped
from hauserpy.transform import Rows

_OFTEN = 4
"""Where every value of a column comes so often, on the average, each is written once."""
_FIRST, _BETWEEN, _LAST = b"[\n  ", b",\n  ", b"\n]"
"""What orjson puts around the elements of an array that it writes in lines."""
_COPIED_WHOLE = (FieldType.INT64, FieldType.INT32, FieldType.STRING)


class JsonLinesEncoder:
    """See `hauserpy.staging.base.Encoder`. A value is a member with a comma before it, NULL is
    nothing; a line is what stands in the braces."""

    glue, lead = b"", b","
    head = b""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._columns = layout.columns
        self._as_objects = layout.custom_vars is CustomVarsKind.OBJECT
        self._names = [b",%b:" % orjson.dumps(column.name) for column in layout.columns]
        self._escaped = Escaped(_text)
        self._rewritten = Escaped(_rewritten)

    def lines(self, rows: Rows) -> list[bytes]:
        if not rows.count:
            return []
        members = [
            self._entries(number, column)
            for number, column in enumerate(rows.columns)
            # `any` ends with the first value that is not zero or empty.
            if any(column) or column.count(None) < len(column)
        ]
        if not members:
            return [b""] * rows.count
        return [line[1:] for line in map(b"".join, zip(*members, strict=True))]

    def joined(self, lines: Sequence[bytes]) -> bytes:
        # A format around the joined text would copy all of it once more.
        made = [b"{" + lines[0], *lines[1:]]
        made[-1] += b"}\n"
        return b"}\n{".join(made)

    def member(self, number: int, key: str, *, plain: bool) -> Member:
        kind = self._columns[number].type
        name = b',"%b":' % key.encode()
        if kind is FieldType.TIME:
            return Member(name + b'"', TIME, b'"')
        value = NUMBERS.get(kind) or (b'"[^"]*+"' if plain else pattern.TEXT)
        # Mostly the member as it stands.
        return Member(b"", name + value) if self._is_whole(number, key) else Member(name, value)

    def copied(
        self, number: int, key: str, values: Sequence[bytes], care: set[int]
    ) -> Sequence[bytes]:
        name, column = self._names[number], self._columns[number]
        match column.type:
            case FieldType.FLOAT64:
                return [v and name + (v if DOT in v else v + b".0") for v in values]
            case FieldType.INT64 if self._layout.int64_as_text:
                return [v and b'%b"%b"' % (name, v) for v in values]
        if not self._is_whole(number, key):
            values = [v and name + v for v in values]
        if column.type is FieldType.STRING:
            quotes = len(name) + len(b'""')
            most = None if column.max_bytes is None else column.max_bytes + quotes
            _, escaped = checked(values, most, care)
            if escaped:
                values = self._escaped.mended(values, escaped, care, name + b'"', b'"')
        return values

    def copied_together(self, values: Sequence[bytes], care: set[int]) -> Sequence[bytes]:
        _, escaped = checked(values, None, care)
        return self._rewritten.mended(values, escaped, care, b",") if escaped else values

    def instants(self, number: int, written: Sequence[bytes | None]) -> list[bytes]:
        # They hold nothing that needs an escape.
        begins = self._names[number] + b'"'
        # Many times in a second: an addition takes half as long as a format.
        return [begins + text + b'"' if text else b"" for text in written]

    def escaped(self, texts: Sequence[bytes]) -> Sequence[bytes]:
        if self._as_objects or not texts:
            return texts
        # JSON text as it stands inside a JSON string; it holds no control characters.
        return b"\n".join(texts).replace(b"\\", b"\\\\").replace(b'"', b'\\"').split(b"\n")

    def objects(self, number: int, escaped: Sequence[bytes]) -> list[bytes]:
        name = self._names[number]
        if self._as_objects:
            return [name + text for text in escaped]
        return [b'%b"%b"' % (name, text) for text in escaped]

    def null(self, number: int) -> bytes:
        return b""

    def _is_whole(self, number: int, key: str) -> bool:
        column = self._columns[number]
        as_text = column.type is FieldType.INT64 and self._layout.int64_as_text
        return column.type in _COPIED_WHOLE and column.name == key and not as_text

    def _entries(self, number: int, values: Sequence[Any]) -> list[bytes]:
        kind = self._columns[number].type
        if kind is FieldType.CUSTOM_VARS:
            return self.objects(number, self.escaped(values))
        if kind in (FieldType.TIME, FieldType.WINDOW_START):
            return self.instants(number, values)
        if kind is FieldType.INT64 and self._layout.int64_as_text:
            values = [None if value is None else str(value) for value in values]
        # Of equal doubles, 0.0 and -0.0, one is not written like the other.
        distinct = set(values) if kind is not FieldType.FLOAT64 else values
        if len(distinct) > len(values) // _OFTEN:
            return self._written(number, values)
        once = list(distinct)
        member = dict(zip(once, self._written(number, once), strict=True))
        return list(map(member.__getitem__, values))

    def _written(self, number: int, values: Sequence[Any]) -> list[bytes]:
        name = self._names[number]
        # orjson writes each element in a line of its own, and no value holds a line break.
        lines = orjson.dumps(values, option=orjson.OPT_INDENT_2)
        elements = lines.removeprefix(_FIRST).removesuffix(_LAST)
        text = name + elements.replace(_BETWEEN, b"\n" + name)
        # Inside a string, quotes have a backslash before them.
        return text.replace(name + b"null", b"").split(b"\n")


def _text(inside: bytes) -> bytes:
    return orjson.dumps(unescaped(inside))[1:-1]


def _rewritten(members: bytes) -> bytes:
    """Members whose texts have no quotes in them, and none of which is a float, as orjson writes them."""
    if has_nul(members):
        raise NotPlain
    try:
        # They are those that were matched: `"A":"x\","B":"y"` would end A's text with the quote before
        # the B, and nothing parses that goes on with a name.
        found = orjson.loads(b"{%b}" % members)
    except orjson.JSONDecodeError:
        raise NotPlain from None
    return orjson.dumps(found)[1:-1]
