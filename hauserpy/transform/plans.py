"""Records to rows by plan: what the careful way finds out for each record, found out once a shape.

A shape is the tuple of a record's keys. Under it, one plan for each tuple of value types says
which value goes to which column, which values must be looked at, and which keys are custom
variables; all the rest is moved by C code. A value that its plan cannot vouch for raises Unfit, and
the record goes the careful way.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import orjson

from hauserpy.fields import CUSTOM_VARS
from hauserpy.model import FieldType, Layout
from hauserpy.transform.careful import Matcher
from hauserpy.transform.times import Times, Unfit
from hauserpy.transform.values import INT32, INT64, as_integer, as_real, as_text

_MOST_PLANS = 8192
"""Bounds the memory of a worker: a plan takes some 3 kB."""


class Plan:
    """How records of one shape and one tuple of types become rows."""

    __slots__ = ("custom", "fixes", "pick", "texts")

    def __init__(
        self,
        pick: Callable[[list[Any]], tuple[Any, ...]],
        fixes: tuple[tuple[int, Callable[[Any], Any]], ...],
        custom: tuple[str, ...],
        texts: Callable[[list[Any]], tuple[Any, ...]] | None,
    ) -> None:
        self.pick = pick
        self.fixes = fixes
        self.custom = custom
        self.texts = texts


class Planned:
    """Rows by plan. ``careful`` records, for which this raises Unfit, are somebody else's."""

    def __init__(self, layout: Layout, window_start: str) -> None:
        self._layout = layout
        self._window_start = window_start
        self._matcher = Matcher(
            c.field
            for c in layout.columns
            if c.type not in (FieldType.CUSTOM_VARS, FieldType.WINDOW_START)
        )
        self._times = Times(layout.time_style)
        self._shapes: dict[tuple[str, ...], dict[tuple[type, ...], Plan]] = {}
        self._plans = 0
        bounds = [c.max_bytes for c in layout.columns if c.max_bytes is not None]
        # A character has at most four bytes, so that texts this short need not be measured.
        self._safe_length = min(bounds, default=0) // 4
        custom = [c.max_bytes for c in layout.columns if c.field == CUSTOM_VARS]
        custom_bounds = [b for b in (*custom, layout.custom_value_bytes) if b is not None]
        self._most_custom = min(custom_bounds, default=None)

    def row(self, record: dict[str, Any]) -> tuple[Any, ...]:
        """The row of a record without NULs, surrogates or wide integers; raises Unfit for one
        that needs care."""
        shape = tuple(record)
        values = list(record.values())
        types = tuple(map(type, values))
        try:
            plan = self._shapes[shape][types]
        except KeyError:
            plan = self._learn(shape, types)
        for at, fix in plan.fixes:
            values[at] = fix(values[at])
        if plan.custom:
            custom = _dump({key: record[key] for key in plan.custom})
            if self._most_custom is not None and len(custom) > self._most_custom:
                raise Unfit
            values += (None, custom.decode(), self._window_start)
        else:
            values += (None, "{}", self._window_start)
        if plan.texts is not None and max(map(len, plan.texts(values))) > self._safe_length:
            raise Unfit
        return plan.pick(values)

    def _learn(self, shape: tuple[str, ...], types: tuple[type, ...]) -> Plan:
        if self._plans >= _MOST_PLANS:
            self._shapes.clear()
            self._plans = 0
        plan = self._make(shape, types)
        self._shapes.setdefault(shape, {})[types] = plan
        self._plans += 1
        return plan

    def _make(self, shape: tuple[str, ...], types: tuple[type, ...]) -> Plan:
        key_of = self._matcher.match(shape)
        null, custom, window_start = len(shape), len(shape) + 1, len(shape) + 2
        slots: list[int] = []
        fixes: list[tuple[int, Callable[[Any], Any]]] = []
        texts: list[int] = []
        for column in self._layout.columns:
            if column.type is FieldType.CUSTOM_VARS:
                slots.append(custom)
            elif column.type is FieldType.WINDOW_START:
                slots.append(window_start)
            elif (key := key_of.get(column.field)) is None:
                slots.append(null)
            else:
                at = shape.index(key)
                slots.append(at)
                fix = self._fix(column.type, types[at])
                if fix is not None:
                    fixes.append((at, fix))
                if column.max_bytes is not None and types[at] is not type(None):
                    texts.append(at)
        known = set(key_of.values())
        return Plan(
            itemgetter(*slots) if len(slots) > 1 else _only(*slots),
            tuple(fixes),
            tuple(key for key in shape if key not in known),
            # The window's start is short, and with it itemgetter always gives a tuple.
            itemgetter(*texts, window_start) if texts else None,
        )

    def _fix(self, column: FieldType, value: type) -> Callable[[Any], Any] | None:
        """What must be done to a value of this type in such a column; None: nothing."""
        if value is type(None):
            return None
        match column:
            case FieldType.STRING:
                return None if value is str else _as_text
            case FieldType.INT64:
                return None if value is int else _as_int64
            case FieldType.INT32:
                return _as_int32
            case FieldType.FLOAT64:
                return None if value is float else as_real
            case _:
                return self._as_time if value is str else _refuse

    def _as_time(self, text: str) -> str | None:
        return self._times[text] if text else None


def _dump(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # Too deep for orjson, if not for the design.
        raise Unfit from None


def _only(slot: int) -> Callable[[list[Any]], tuple[Any, ...]]:
    # With one index itemgetter gives no tuple.
    return lambda values: (values[slot],)


def _as_text(value: Any) -> str | None:
    return as_text(value)


def _as_int64(value: Any) -> int | None:
    return as_integer(value, INT64)


def _as_int32(value: Any) -> int | None:
    return as_integer(value, INT32)


def _refuse(_value: Any) -> Any:
    raise Unfit
