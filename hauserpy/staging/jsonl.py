"""Rows as JSON Lines: typed values under their column's name, NULLs left out."""

from __future__ import annotations

from typing import Any

import orjson

from hauserpy.model import CustomVarsKind, FieldType, Layout
from hauserpy.transform import Rows


class JsonLinesEncoder:
    """See `hauserpy.staging.base.Encoder`."""

    def __init__(self, layout: Layout) -> None:
        self._columns = layout.columns
        self._objects = layout.custom_vars is CustomVarsKind.OBJECT
        self._int64_as_text = layout.int64_as_text

    @property
    def head(self) -> bytes:
        return b""

    def encode(self, rows: Rows) -> bytes:
        names, columns = [], []
        for column, values in zip(self._columns, rows.columns, strict=True):
            # A column without values would cost a look in every row. `any` ends with the first
            # value that is not zero or empty.
            if any(values) or values.count(None) < len(values):
                names.append(column.name)
                columns.append(self._written(column.type, values))
        dumps = orjson.dumps
        lines = [
            dumps(
                {name: value for name, value in zip(names, row, strict=True) if value is not None}
            )
            for row in zip(*columns, strict=True)
        ]
        if lines:
            lines.append(b"")
        return b"\n".join(lines)

    def _written(self, type: FieldType, values: list[Any]) -> list[Any]:
        if type is FieldType.CUSTOM_VARS:
            return list(map(orjson.Fragment, values)) if self._objects else _decoded(values)
        if type is FieldType.INT64 and self._int64_as_text:
            return [None if value is None else str(value) for value in values]
        return values


def _decoded(values: list[bytes]) -> list[str]:
    # JSON text holds no line break of its own.
    return b"\n".join(values).decode().split("\n")
