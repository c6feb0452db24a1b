"""Any record to a row, rule by rule, with every alteration counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hauserpy.fields import CUSTOM_VARS, PAGE_AGENT, PAGE_USER_AGENT
from hauserpy.layout import Column, FieldType, Layout
from hauserpy.model import ChangeKind, Changes
from hauserpy.transform import times
from hauserpy.transform.custom import clean, fold
from hauserpy.transform.times import Unfit
from hauserpy.transform.values import (
    INT32,
    INT64,
    as_integer,
    as_real,
    as_text,
    characters,
    cut_text,
)


class Matcher:
    """Which key of a record fills which field: in any case; the exact spelling before others, and
    else the first; PageAgent where PageUserAgent does not stand."""

    def __init__(self, fields: Iterable[str]) -> None:
        self._names = {name.lower(): name for name in fields}
        if PAGE_USER_AGENT.lower() in self._names:
            self._names[PAGE_AGENT.lower()] = PAGE_AGENT

    def match(self, keys: Iterable[str]) -> dict[str, str]:
        """``{field: key}`` for the fields that have a key."""
        found: dict[str, str] = {}
        for key in keys:
            name = self._names.get(key.lower())
            if name is not None and (name not in found or key == name):
                found[name] = key
        agent = found.pop(PAGE_AGENT, None)
        if agent is not None:
            found.setdefault(PAGE_USER_AGENT, agent)
        return found


class Careful:
    """Turns one record at a time into a row of values in the layout's order."""

    def __init__(self, layout: Layout, window_start: bytes) -> None:
        self._layout = layout
        self._window_start = window_start
        self._matcher = Matcher(
            c.field
            for c in layout.columns
            if c.type not in (FieldType.CUSTOM_VARS, FieldType.WINDOW_START)
        )

    def row(self, record: dict[str, Any], changes: Changes, *, plain: bool) -> tuple[Any, ...]:
        """``plain``: nothing needs cleaning (see `Records`). Raises TooDeep."""
        key_of = self._matcher.match(record)
        left_over = set(record).difference(key_of.values())
        row: dict[str, Any] = {}
        for column in self._layout.columns:
            key = key_of.get(column.field)
            if key is None:
                continue
            made = Changes()
            value = record[key] if plain else clean(record[key], column.field, made)
            try:
                row[column.name] = self._fitted(column, value, made)
            except Unfit:
                # What was done to the value is done, and counted, again in CustomVars.
                changes.count(ChangeKind.UNFIT, column.field)
                left_over.add(key)
            else:
                changes.merge(made)
        custom = {key: value for key, value in record.items() if key in left_over}
        if not plain:
            custom = clean(custom, CUSTOM_VARS, changes)
        return tuple(
            self._window_start if column.type is FieldType.WINDOW_START
            else self._folded(custom, column, changes) if column.type is FieldType.CUSTOM_VARS
            else row.get(column.name)
            for column in self._layout.columns
        )  # fmt: skip

    def _fitted(self, column: Column, value: Any, changes: Changes) -> Any:
        match column.type:
            case FieldType.INT64:
                return as_integer(value, INT64)
            case FieldType.INT32:
                return as_integer(value, INT32)
            case FieldType.FLOAT64:
                return as_real(value)
            case FieldType.TIME:
                return self._time(column, value, changes)
            case _:
                return self._text(column, value, changes)

    def _time(self, column: Column, value: Any, changes: Changes) -> bytes | None:
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise Unfit
        moment, cut = times.read(value)
        if cut:
            changes.count(ChangeKind.TIME_CUT, column.field)
        return times.write(moment, self._layout.time_style)

    def _text(self, column: Column, value: Any, changes: Changes) -> str | None:
        text = as_text(value)
        most = column.max_bytes
        by_character = self._layout.in_characters
        if text is None or most is None:
            return text
        if (len(text) if by_character else len(text.encode())) <= most:
            return text
        changes.count(ChangeKind.TEXT_CUT, column.field)
        return text[:most] if by_character else cut_text(text, most)

    def _folded(self, custom: dict[str, Any], column: Column, changes: Changes) -> bytes:
        layout = self._layout
        return fold(
            custom, layout.custom_vars, column.max_bytes, layout.custom_value_bytes, changes,
            measure=characters if layout.in_characters else len,
        )  # fmt: skip
