"""Rows as JSON Lines: typed values under their column's name, NULLs left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from hauserpy.model import CustomVarsKind, FieldType, Layout
from hauserpy.staging.runs import Runs, objects, spread
from hauserpy.transform import Rows

_FIRST, _BETWEEN, _LAST = b"[\n  ", b",\n  ", b"\n]"
"""What orjson puts around the elements of an array that it writes in lines."""


class JsonLinesEncoder:
    """See `hauserpy.staging.base.Encoder`.

    Each value becomes a member with a comma behind it, by sweeps over its column; an object without
    its braces is these one after the other, but for the last comma.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._runs = Runs(layout)
        self._objects = layout.custom_vars is CustomVarsKind.OBJECT
        self._int64_as_text = layout.int64_as_text

    @property
    def head(self) -> bytes:
        return b""

    def encode(self, rows: Rows) -> bytes:
        if not rows.count:
            return b""
        members: list[list[bytes]] = []
        for run in self._runs.of(rows.blocks):
            if run.block is None:
                custom = objects(rows.blocks, run.places, None if self._objects else _escaped)
                form = b"%b:%%b," if self._objects else b'%b:"%%b",'
                named = form % self._name(run.numbers[0]).replace(b"%", b"%%")
                members.append([named % one for one in custom])
                continue
            block = rows.blocks[run.block]
            parts = [
                self._members(number, block.columns[place])
                for number, place in zip(run.numbers, run.places, strict=True)
                # `any` ends with the first value that is not zero or empty.
                if any(block.columns[place])
                or block.columns[place].count(None) < len(block.columns[place])
            ]
            if block.which is not None and parts:
                parts = [spread(list(map(b"".join, zip(*parts, strict=True))), block.which)]
            members += parts
        lines = [line[:-1] for line in map(b"".join, zip(*members, strict=True))]
        return b"{%b}\n" % b"}\n{".join(lines)

    def _members(self, number: int, values: Sequence[Any]) -> list[bytes]:
        """Nothing where the value is NULL."""
        if self._layout.columns[number].type is FieldType.INT64 and self._int64_as_text:
            values = [None if value is None else str(value) for value in values]
        name = self._name(number)
        # orjson writes each element in a line of its own, and no value holds a line break.
        lines = orjson.dumps(values, option=orjson.OPT_INDENT_2)
        elements = lines.removeprefix(_FIRST).removesuffix(_LAST)
        text = b"%b:%b," % (name, elements.replace(_BETWEEN, b",\n%b:" % name))
        # Inside a string, quotes have a backslash before them.
        return text.replace(b"%b:null," % name, b"").split(b"\n")

    def _name(self, number: int) -> bytes:
        return orjson.dumps(self._layout.columns[number].name)


def _escaped(text: bytes) -> bytes:
    """JSON text as it stands inside a JSON string. It holds no control characters."""
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
