"""Many CustomVars objects at once: their JSON text, and which of them need care."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from hauserpy.decode.digits import OF_INT64, has_run
from hauserpy.layout import CustomVarsKind, FieldType, Layout

_MOST_KEYS = 1 << 16
_LONGEST_KEY = 100
"""Characters: thousands of longer ones would fill the memory."""


class Folder:
    """Writes CustomVars for a layout whose known ``fields`` are no custom variables."""

    def __init__(self, layout: Layout, fields: Iterable[str]) -> None:
        self._in_lower_case = {name.lower() for name in fields}
        self._custom_keys: set[str] = set()
        """Keys that are known to be no field in any case."""
        custom = [c.max_bytes for c in layout.columns if c.type is FieldType.CUSTOM_VARS]
        bounds = [b for b in (*custom, layout.custom_value_bytes) if b is not None]
        self.most = min(bounds, default=None)
        """Bytes of JSON text, beyond which one needs care."""
        self._typed = layout.custom_vars is CustomVarsKind.TYPED

    def fields_among(self, keys: set[str]) -> set[str]:
        """The keys that are fields, in any case."""
        fresh = keys - self._custom_keys
        if not fresh:
            return fresh
        found = {key for key in fresh if key.lower() in self._in_lower_case}
        if len(self._custom_keys) > _MOST_KEYS:
            self._custom_keys.clear()
        self._custom_keys.update(key for key in fresh - found if len(key) <= _LONGEST_KEY)
        return found

    def texts(self, customs: Sequence[dict[str, Any]], care: set[int]) -> list[bytes]:
        """JSON of each, that is within all bounds unless its number is in ``care``."""
        try:
            texts = list(map(orjson.dumps, customs))
        except orjson.JSONEncodeError:
            texts = [_dump(n, one, care) for n, one in enumerate(customs)]
        most = self.most
        if most is not None and max(map(len, texts), default=0) > most:
            care.update(n for n, text in enumerate(texts) if len(text) > most)
        if self._typed and has_run(b" ".join(texts), OF_INT64):
            care.update(n for n, text in enumerate(texts) if has_run(text, OF_INT64))
        return texts


def _dump(n: int, custom: dict[str, Any], care: set[int]) -> bytes:
    """Too deep for orjson is not yet too deep for us."""
    try:
        return orjson.dumps(custom)
    except orjson.JSONEncodeError:
        care.add(n)
        return b"{}"
