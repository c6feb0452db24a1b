"""The CustomVars object: what is in it, made to fit its column without ceasing to be JSON."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

from hauserpy.decode.records import BigNumber
from hauserpy.fields import CUSTOM_VARS
from hauserpy.layout import CustomVarsKind
from hauserpy.model import ChangeKind, Changes
from hauserpy.transform.values import INT64, cut_text, dump

_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"

Measure = Callable[[bytes], int]
"""Of a text in UTF-8: its bytes, or its characters."""


def clean(value: Any, column: str, changes: Changes) -> Any:
    """``value`` without NUL characters and lone surrogates, in keys and strings at any depth.

    JavaScript cuts text between the halves of a character, so that lone surrogates come; no
    warehouse can hold either. Each string that is altered is counted for ``column``.
    """
    if isinstance(value, str):
        return _clean_text(value, column, changes)
    if isinstance(value, list):
        return [clean(v, column, changes) for v in value]
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        often: Counter[str] = Counter()
        for key, inner in value.items():
            base = name = _clean_text(key, column, changes)
            # Two keys must not become one. Numbered, since ever longer ones would be quadratic.
            while name != key and (name in value or name in made):
                often[base] += 1
                name = f"{base}{_REPLACEMENT}{often[base] if often[base] > 1 else ''}"
            made[name] = clean(inner, column, changes)
        return made
    return value


def _clean_text(text: str, column: str, changes: Changes) -> str:
    if "\0" in text:
        text = text.replace("\0", "")
        changes.count(ChangeKind.NUL_REMOVED, column)
    if _SURROGATE.search(text):
        text = _SURROGATE.sub(_REPLACEMENT, text)
        changes.count(ChangeKind.SURROGATE_REPLACED, column)
    return text


def fold(
    custom: dict[str, Any],
    kind: CustomVarsKind,
    most: int | None,
    most_value_bytes: int | None,
    changes: Changes,
    *,
    measure: Measure = len,
) -> bytes:
    """The CustomVars object as JSON text, within the bounds of its column: ``measure`` of it is at
    most ``most``."""
    # Written first of all: this is what refuses an object that is nested too deeply to walk.
    text = dump(custom)
    if kind is CustomVarsKind.TYPED or most_value_bytes is not None:
        if kind is CustomVarsKind.TYPED:
            custom = _numbers_as_text(custom, changes)
        if most_value_bytes is not None:
            custom = _bound_values(custom, most_value_bytes, changes)
        text = dump(custom)
    if most is not None and measure(text) > most:
        text = _shorten(custom, most, measure, changes)
    return text


def _numbers_as_text(value: Any, changes: Changes) -> Any:
    if isinstance(value, BigNumber):
        if _is_double(value.text):
            return value
        changes.count(ChangeKind.NUMBER_AS_TEXT, CUSTOM_VARS)
        return value.text
    if type(value) is int and value not in INT64 and not _is_double(str(value)):
        changes.count(ChangeKind.NUMBER_AS_TEXT, CUSTOM_VARS)
        return str(value)
    if isinstance(value, list):
        return [_numbers_as_text(v, changes) for v in value]
    if isinstance(value, dict):
        return {k: _numbers_as_text(v, changes) for k, v in value.items()}
    return value


def _is_double(number: str) -> bool:
    """Whether a double holds the number exactly."""
    nearest = float(number)
    return math.isfinite(nearest) and Decimal(nearest) == Decimal(number)


def _bound_values(value: Any, most_bytes: int, changes: Changes) -> Any:
    if isinstance(value, str):
        if len(value.encode()) <= most_bytes:
            return value
        changes.count(ChangeKind.CUSTOM_VARS_CUT, CUSTOM_VARS)
        return cut_text(value, most_bytes)
    if isinstance(value, list):
        return [_bound_values(v, most_bytes, changes) for v in value]
    if isinstance(value, dict):
        return {k: _bound_values(v, most_bytes, changes) for k, v in value.items()}
    return value


def _shorten(custom: dict[str, Any], most: int, measure: Measure, changes: Changes) -> bytes:
    """Cut value by value, the largest first: a string to what is left for it, anything else to
    null; when the keys alone are too long, the last of them go."""
    texts = {key: dump(value) for key, value in custom.items()}
    sizes = {key: measure(text) for key, text in texts.items()}
    excess = measure(dump(custom)) - most
    altered = set()
    for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            break
        value = custom[key]
        if isinstance(value, str):
            after = _cut_json_string(value, max(2, sizes[key] - excess), measure)
        else:
            after = b"null"
        if measure(after) < sizes[key]:
            excess -= sizes[key] - measure(after)
            texts[key], sizes[key] = after, measure(after)
            altered.add(key)
    while texts and excess > 0:
        key, text = texts.popitem()
        excess -= measure(dump(key)) + measure(text) + (2 if texts else 1)
        altered.add(key)
    changes.count(ChangeKind.CUSTOM_VARS_CUT, CUSTOM_VARS, len(altered))
    return b"{%b}" % b",".join(b"%b:%b" % (dump(key), text) for key, text in texts.items())


def _cut_json_string(text: str, most: int, measure: Measure) -> bytes:
    """The longest beginning of ``text`` whose JSON string is within ``most`` (at least 2)."""
    low, high = 0, min(len(text), most - 2)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(orjson.dumps(text[:middle])) <= most:
            low = middle
        else:
            high = middle - 1
    return orjson.dumps(text[:low])
