"""The rules of the data, written a second time: plainly, slowly, and from the design's text.

Nothing here shares code with `hauserpy.decode`, `hauserpy.transform` or `hauserpy.staging`, so that
a mistake would have to be made twice to go unseen. Only the values of `hauserpy.model` and
`hauserpy.layout` and the catalogue's names pass between the two; orjson is asked for nothing but
how a double is written, since the rule itself says "as orjson writes it".
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from hauserpy.layout import Column, CustomVarsKind, FieldType, Layout, TimeStyle
from hauserpy.model import Window


@dataclass(frozen=True)
class Integer:
    """A JSON number without fraction and exponent: its digits, however many."""

    digits: str


@dataclass(frozen=True)
class Real:
    """Any other JSON number, as it is spelled."""

    spelling: str

    @property
    def double(self) -> float:
        return float(self.spelling)


class Unfit(Exception):
    pass


def parse(text: str | bytes) -> Any:
    """JSON with its numbers as they are spelled; of a repeated key the last value wins."""
    if isinstance(text, bytes):
        text = text.decode()
    return json.loads(
        text.removeprefix("\ufeff"),
        parse_int=lambda digits: Integer("0" if digits == "-0" else digits),
        parse_float=Real,
        parse_constant=_no_constant,
    )


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def write(value: Any) -> str:
    """Compact JSON: integers to the digit, other numbers as the double they name."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{write(k)}:{write(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(write(v) for v in value) + "]"
    if isinstance(value, Integer):
        return value.digits
    if isinstance(value, Real):
        if math.isinf(value.double):
            return value.spelling
        return orjson.dumps(value.double).decode()
    return json.dumps(value, ensure_ascii=False)


def write_exactly(value: Any) -> str:
    """JSON that `parse` reads as ``value``, lone surrogates and spelled numbers included."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k)}:{write_exactly(v)}" for k, v in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write_exactly, value)) + "]"
    if isinstance(value, Integer):
        return value.digits
    return value.spelling if isinstance(value, Real) else json.dumps(value)


def same(stored: Any, served: Any) -> bool:
    """Whether a column's value says all that the record's did."""
    if stored is None:
        return served is None or served == ""
    if isinstance(served, str) and isinstance(stored, str):
        if stored == served:
            return True
        return written_time(instant(served)[0], TimeStyle.RFC3339) == stored
    if isinstance(stored, str):
        return stored == write(served)
    number = served if isinstance(served, str) else write(served)
    return float(stored) == float(number)


@dataclass
class Row:
    """What a record must become: a value for each column's name, and what was altered."""

    values: dict[str, Any] = field(default_factory=dict)
    """None, int, float, str; a datetime in a time column; the object itself for CustomVars."""
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    event_start: datetime | None = None


def row(record: dict[str, Any], layout: Layout, window: Window) -> Row:
    """Rules 1 to 5, but for the shortening of a whole CustomVars (see `fits_into`)."""
    made = Row()
    columns = [c for c in layout.columns if c.type not in _OURS]
    taken = {}
    for column in columns:
        key = key_for(column.field, record)
        if key is not None:
            taken[key] = column
    custom = {}
    for key, value in record.items():
        column = taken.get(key)
        if column is None:
            custom[key] = value
            continue
        seen: Counter[tuple[str, str]] = Counter()
        try:
            made.values[column.name] = _fit(_clean(value, column.field, seen), column, seen)
        except Unfit:
            made.changes["unfit", column.field] += 1
            custom[key] = value
        else:
            made.changes += seen
    custom = _clean(custom, "CustomVars", made.changes)
    if layout.custom_vars is CustomVarsKind.TYPED:
        custom = _typed(custom, made.changes)
    if layout.custom_value_bytes is not None:
        custom = _cut_values(custom, layout.custom_value_bytes, made.changes)
    for column in layout.columns:
        if column.type is FieldType.CUSTOM_VARS:
            made.values[column.name] = custom
        elif column.type is FieldType.WINDOW_START:
            made.values[column.name] = window.start
        else:
            value = made.values.setdefault(column.name, None)
            if column.field == "EventStart":
                made.event_start = value
    return made


_OURS = (FieldType.CUSTOM_VARS, FieldType.WINDOW_START)


def key_for(name: str, record: dict[str, Any]) -> str | None:
    """Rule 1: the exact key, else the first that matches in any case; PageAgent only when there is
    no PageUserAgent."""
    if name in record:
        return name
    for key in record:
        if key.lower() == name.lower():
            return key
    return key_for("PageAgent", record) if name == "PageUserAgent" else None


def _fit(value: Any, column: Column, changes: Counter[tuple[str, str]]) -> Any:
    """Rules 2 to 4."""
    if value is None:
        return None
    kind = column.type
    if kind is FieldType.STRING:
        text = value if isinstance(value, str) else write(value)
        if column.max_bytes is not None and len(text.encode()) > column.max_bytes:
            changes["text_cut", column.field] += 1
            text = _cut(text, column.max_bytes)
        return text
    if value == "":
        return None
    if kind is FieldType.INT64:
        return _integer(value, 64)
    if kind is FieldType.INT32:
        return _integer(value, 32)
    if kind is FieldType.FLOAT64:
        return _float(value)
    assert kind is FieldType.TIME
    if not isinstance(value, str):
        raise Unfit
    moment, lost = instant(value)
    changes["time_cut", column.field] += lost
    return moment


def _integer(value: Any, bits: int) -> int:
    if isinstance(value, str):
        if not value.removeprefix("-") or set(value.removeprefix("-")) - set("0123456789"):
            raise Unfit
        number = Decimal(value)
    elif isinstance(value, Integer):
        number = Decimal(value.digits)
    elif isinstance(value, Real):
        # A real is the double that it names.
        if math.isinf(value.double) or value.double != math.floor(value.double):
            raise Unfit
        number = Decimal(value.double)
    else:
        raise Unfit
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise Unfit
    return int(number)


_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def _float(value: Any) -> float:
    if isinstance(value, str) and _JSON_NUMBER.fullmatch(value):
        number = float(value)
    elif isinstance(value, Integer):
        number = float(value.digits)
    elif isinstance(value, Real):
        number = value.double
    else:
        raise Unfit
    if math.isinf(number):
        raise Unfit
    return number


def instant(text: str) -> tuple[datetime, bool]:
    """Rule 4, letter by letter: the instant in UTC, and whether digits other than zeros are lost."""
    head, rest = text[:19], text[19:]
    shape = "".join("9" if c in "0123456789" else c for c in head)
    if shape not in ("9999-99-99T99:99:99", "9999-99-99t99:99:99", "9999-99-99 99:99:99"):
        raise Unfit
    digits = ""
    if rest.startswith("."):
        rest = rest[1:]
        while rest and rest[0] in "0123456789":
            digits, rest = digits + rest[0], rest[1:]
        if not digits:
            raise Unfit
    ahead = timedelta()
    if rest not in ("", "Z", "z"):
        if rest[0] not in "+-":
            raise Unfit
        figures = rest[1:].replace(":", "", 1) if rest[3:4] == ":" else rest[1:]
        if len(figures) != 4 or set(figures) - set("0123456789"):
            raise Unfit
        hours, minutes = int(figures[:2]), int(figures[2:])
        if hours > 23 or minutes > 59:
            raise Unfit
        ahead = timedelta(hours=hours, minutes=minutes) * (-1 if rest[0] == "-" else 1)
    if head.startswith("0001"):
        raise Unfit
    try:
        local = datetime(
            int(head[0:4]), int(head[5:7]), int(head[8:10]),
            int(head[11:13]), int(head[14:16]), int(head[17:19]),
            int((digits + "000000")[:6]), tzinfo=UTC,
        )  # fmt: skip
        moment = local - ahead
    except (ValueError, OverflowError):
        raise Unfit from None
    if moment.year == 1:
        raise Unfit
    return moment, bool(digits[6:].replace("0", ""))


def written_time(moment: datetime, style: TimeStyle) -> str:
    text = f"{moment.year:04}-{moment.month:02}-{moment.day:02}"
    text += " " if style is TimeStyle.SQL else "T"
    text += f"{moment.hour:02}:{moment.minute:02}:{moment.second:02}"
    if moment.microsecond:
        text += f".{moment.microsecond:06}".rstrip("0")
    return text if style is TimeStyle.SQL else text + "Z"


def _clean(value: Any, column: str, changes: Counter[tuple[str, str]]) -> Any:
    """Rule 5, at any depth; a key that would become another one gets U+FFFD, or that and a number from 2 on."""
    if isinstance(value, str):
        cleaned = value.replace("\0", "")
        changes["nul_removed", column] += cleaned != value
        whole = "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in cleaned)
        changes["surrogate_replaced", column] += whole != cleaned
        return whole
    if isinstance(value, list):
        return [_clean(v, column, changes) for v in value]
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for key, inner in value.items():
            name = base = _clean(key, column, changes)
            behind = itertools.chain(["\ufffd"], (f"\ufffd{n}" for n in itertools.count(2)))
            while name != key and (name in value or name in made):
                name = base + next(behind)
            made[name] = _clean(inner, column, changes)
        return made
    return value


def _typed(value: Any, changes: Counter[tuple[str, str]]) -> Any:
    """A number that is neither an int64 nor exactly a double becomes a string."""
    if isinstance(value, dict):
        return {k: _typed(v, changes) for k, v in value.items()}
    if isinstance(value, list):
        return [_typed(v, changes) for v in value]
    if isinstance(value, Integer):
        double = float(value.digits)
        int64 = -(2**63) <= Decimal(value.digits) < 2**63
        if not int64 and (math.isinf(double) or Decimal(double) != Decimal(value.digits)):
            changes["number_as_text", "CustomVars"] += 1
            return value.digits
    if isinstance(value, Real) and math.isinf(value.double):
        changes["number_as_text", "CustomVars"] += 1
        return value.spelling
    return value


def _cut_values(value: Any, most: int, changes: Counter[tuple[str, str]]) -> Any:
    if isinstance(value, dict):
        return {k: _cut_values(v, most, changes) for k, v in value.items()}
    if isinstance(value, list):
        return [_cut_values(v, most, changes) for v in value]
    if isinstance(value, str) and len(value.encode()) > most:
        changes["custom_vars_cut", "CustomVars"] += 1
        return _cut(value, most)
    return value


def _cut(text: str, most: int) -> str:
    while len(text.encode()) > most:
        text = text[:-1]
    return text


def fits_into(shortened: str, whole: dict[str, Any], most: int) -> int:
    """Assert that ``shortened`` is a right shortening of ``whole`` and return how many of its
    values were altered: valid JSON within ``most`` bytes, every value its own, a beginning of it
    or null, the largest first, keys gone from the end and only when nothing else could go."""
    assert len(shortened.encode()) <= most
    found = parse(shortened)
    keys = list(whole)
    assert list(found) == keys[: len(found)], "only the last keys may go"
    altered = []
    for key, value in found.items():
        if write(value) != write(whole[key]):
            is_text = isinstance(whole[key], str)
            assert whole[key].startswith(value) if is_text else value is None
            altered.append(key)
    if len(found) < len(keys):
        assert all(v == "" if isinstance(v, str) else len(write(v)) <= 4 for v in found.values())
    elif altered:
        least = min(len(write(whole[k]).encode()) for k in altered)
        kept = [k for k in keys if k not in altered]
        assert all(len(write(whole[k]).encode()) <= max(least, 4) for k in kept)
    return len(altered) + len(keys) - len(found)
