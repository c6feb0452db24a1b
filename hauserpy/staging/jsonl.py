"""Rows as JSON Lines: typed values under their column's name, NULLs left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from hauserpy.model import CustomVarsKind, FieldType, Layout
from hauserpy.staging.runs import Run, Runs, objects, spread
from hauserpy.transform import Block, Rows

_OFTEN = 4
"""Where every value of a column comes so often, on the average, each is written once."""
_FIRST, _BETWEEN, _LAST = b"[\n  ", b",\n  ", b"\n]"
"""What orjson puts around the elements of an array that it writes in lines."""


class JsonLinesEncoder:
    """See `hauserpy.staging.base.Encoder`.

    Each value becomes a member, by sweeps over its column, and NULL nothing. CustomVars is never
    NULL: members before it bring a comma behind them, and those behind it one before them.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._runs = Runs(layout)
        self._as_objects = layout.custom_vars is CustomVarsKind.OBJECT
        self._custom = next(
            n for n, c in enumerate(layout.columns) if c.type is FieldType.CUSTOM_VARS
        )

    @property
    def head(self) -> bytes:
        return b""

    def encode(self, rows: Rows) -> bytes:
        if not rows.count:
            return b""
        members: list[list[bytes]] = []
        for run in self._runs.of(rows.blocks):
            if run.block is None:
                members.append(self._objects(rows.blocks, run))
                continue
            block = rows.blocks[run.block]
            columns = [block.columns[place] for place in run.places]
            parts = [
                self._members(number, column)
                for number, column in zip(run.numbers, columns, strict=True)
                # `any` ends with the first value that is not zero or empty.
                if any(column) or column.count(None) < len(column)
            ]
            if block.which is not None and parts:
                parts = [spread(list(map(b"".join, zip(*parts, strict=True))), block.which)]
            members += parts
        return b"{%b}\n" % b"}\n{".join(map(b"".join, zip(*members, strict=True)))

    def _objects(self, blocks: Sequence[Block], run: Run) -> list[bytes]:
        (number,) = run.numbers
        name, quote = self._name(number), b"" if self._as_objects else b'"'
        return objects(
            blocks,
            run.places,
            wrap=lambda one: name + b":" + quote + one + quote,
            escape=None if self._as_objects else _escaped,
        )

    def _members(self, number: int, values: Sequence[Any]) -> list[bytes]:
        kind = self._layout.columns[number].type
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
        name = self._name(number)
        before, behind = (b"", b",") if number < self._custom else (b",", b"")
        # orjson writes each element in a line of its own, and no value holds a line break.
        lines = orjson.dumps(values, option=orjson.OPT_INDENT_2)
        elements = lines.removeprefix(_FIRST).removesuffix(_LAST)
        between = b"%b\n%b%b:" % (behind, before, name)
        text = b"%b%b:%b%b" % (before, name, elements.replace(_BETWEEN, between), behind)
        # Inside a string, quotes have a backslash before them.
        return text.replace(b"%b%b:null%b" % (before, name, behind), b"").split(b"\n")

    def _name(self, number: int) -> bytes:
        return orjson.dumps(self._layout.columns[number].name)


def _escaped(text: bytes) -> bytes:
    """JSON text as it stands inside a JSON string. It holds no control characters."""
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
