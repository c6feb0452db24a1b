"""Rows as JSON Lines: typed values under their column's name, NULLs left out."""

from __future__ import annotations

from typing import Any

import orjson

from hauserpy.model import CustomVarsKind, FieldType, Layout


class JsonLinesEncoder:
    """See `hauserpy.staging.base.Encoder`."""

    def __init__(self, layout: Layout) -> None:
        self._names = [c.name for c in layout.columns]
        self._objects = [
            n
            for n, c in enumerate(layout.columns)
            if c.type is FieldType.CUSTOM_VARS and layout.custom_vars is CustomVarsKind.OBJECT
        ]
        self._integers = [
            n
            for n, c in enumerate(layout.columns)
            if c.type is FieldType.INT64 and layout.int64_as_text
        ]

    @property
    def head(self) -> bytes:
        return b""

    def encode(self, rows: list[tuple[Any, ...]]) -> bytes:
        names, objects, integers = self._names, self._objects, self._integers
        lines = []
        for row in rows:
            values = list(row)
            for n in objects:
                values[n] = orjson.Fragment(values[n])
            for n in integers:
                if values[n] is not None:
                    values[n] = str(values[n])
            pairs = zip(names, values, strict=True)
            lines.append(orjson.dumps({k: v for k, v in pairs if v is not None}))
        if lines:
            lines.append(b"")
        return b"\n".join(lines)
