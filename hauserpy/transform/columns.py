"""A batch of records to columns at once: what the careful way does record by record, done by C code
over whole columns, for every record that needs no care.

Each record is laid over a blank one, the fields with nothing in them. So its known fields come first
and in the layout's order, whatever its shape, and what comes behind them is its CustomVars. A
record with a value that a sweep over its column cannot vouch for is reported by its number, and
goes the careful way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any

import orjson

from hauserpy.decode.digits import OF_INT32, OF_INT64, has_run
from hauserpy.fields import EVENT_START, PAGE_AGENT, PAGE_USER_AGENT
from hauserpy.layout import Column, FieldType, Layout
from hauserpy.transform.folding import Folder
from hauserpy.transform.times import Clock, Unfit
from hauserpy.transform.values import INT32, INT64, as_integer, as_real, as_text

_NONE = type(None)
_ABSENT = object()
_ONLY_NONE = {_NONE}
_OF_INTEGERS = b"0123456789-,[]nul"
"""The characters of arrays of integers and null."""

_SPANS = {FieldType.INT64: INT64, FieldType.INT32: INT32}
"""What fits an integer column. (The parser gives integers up to those of 64 bits without a sign.)"""

_PLAIN_TYPES = {
    FieldType.INT64: frozenset((int, _NONE)),
    FieldType.INT32: frozenset((int, _NONE)),
    FieldType.FLOAT64: frozenset((float, _NONE)),
    FieldType.STRING: frozenset((str, _NONE)),
}
"""The types whose values need no conversion."""


@dataclass(frozen=True, slots=True)
class Swept:
    """``columns`` are the layout's; ``care`` the numbers of the records that need care, whose values
    there have no meaning. ``integers``: see `hauserpy.transform.rows.Rows`."""

    columns: list[Sequence[Any]]
    care: set[int]
    integers: dict[tuple[int, ...], bytes] = field(default_factory=dict)


class Columnar:
    """Turns plain records (see `hauserpy.decode.records.Records`) into the layout's columns."""

    def __init__(self, layout: Layout, window_start: bytes) -> None:
        self._columns = list(enumerate(layout.columns))
        self._runs = _runs_of_integers(self._columns)
        self._window_start = window_start
        self._clock = Clock(layout.time_style)
        self._fields = frozenset(fields_of(layout.columns))
        self._folder = Folder(layout, self._fields)
        self._blank = _with_keys_of_the_parser(dict.fromkeys(fields_of(layout.columns)))
        if PAGE_USER_AGENT in self._blank:
            self._blank[PAGE_USER_AGENT] = self._blank[PAGE_AGENT] = _ABSENT
        self._picks = self._fields == {EVENT_START} and len(layout.columns) == 1
        """Raw bundles are copied: only their times are read."""

    def sweep(self, records: Sequence[dict[str, Any]]) -> Swept:
        care: set[int] = set()
        if self._picks:
            return self._picked(records, care)
        blank = self._blank
        width = len(blank)
        whole = [{**blank, **record} for record in records]
        fields: dict[str, Sequence[Any]] = dict(
            # zip ends with the shortest row, and none is shorter than the fields.
            zip(blank, zip(*map(dict.values, whole), strict=False), strict=False)
        )
        if PAGE_AGENT in fields:
            fields[PAGE_USER_AGENT] = self._one_agent(fields, care)
        custom = [
            dict(islice(one.items(), width, None)) if len(one) > width else {} for one in whole
        ]
        # What is left must be custom variables, and not fields in another case.
        care |= _with_any(custom, self._folder.fields_among(set(chain.from_iterable(custom))))
        integers = self._proved(fields)
        proved = set(chain.from_iterable(integers))
        made: list[Sequence[Any]] = []
        for number, column in self._columns:
            match column.type:
                case FieldType.WINDOW_START:
                    made.append([self._window_start] * len(records))
                case FieldType.CUSTOM_VARS:
                    made.append(self._folder.texts(custom, care))
                case _ if number in proved:
                    made.append(fields[column.field])
                case _:
                    made.append(self._fitted(column, fields[column.field], care))
        return Swept(made, care, integers)

    def _proved(self, fields: Mapping[str, Sequence[Any]]) -> dict[tuple[int, ...], bytes]:
        """The runs of integer columns in which there is nothing but fitting integers and None, as
        their JSON: what is anything else shows there."""
        proved = {}
        for run in self._runs:
            columns = [fields[column.field] for _, column in run]
            try:
                text = orjson.dumps(list(zip(*columns, strict=True)))
            except orjson.JSONEncodeError:
                continue
            alike = text.count(b"[") == 1 + len(columns[0])
            if alike and not text.translate(None, _OF_INTEGERS) and _fit(run, columns, text):
                proved[tuple(number for number, _ in run)] = text
        return proved

    def _picked(self, records: Sequence[dict[str, Any]], care: set[int]) -> Swept:
        """The one column, without a look at any other value."""
        ((_, column),) = self._columns
        values = [record.get(column.field, _ABSENT) for record in records]
        if _ABSENT in values:
            # Only where the field itself is absent, one in another case counts.
            odd = self._folder.fields_among(set(chain.from_iterable(records))) - self._fields
            care |= _with_any(records, odd)
            values = [None if value is _ABSENT else value for value in values]
        return Swept([self._fitted(column, values, care)], care)

    def _one_agent(self, fields: dict[str, Sequence[Any]], care: set[int]) -> list[Any]:
        """The alias: a record has one of the two or neither; one with both needs care."""
        made = []
        pairs = zip(fields[PAGE_USER_AGENT], fields[PAGE_AGENT], strict=True)
        for n, (value, agent) in enumerate(pairs):
            if value is _ABSENT:
                made.append(None if agent is _ABSENT else agent)
            else:
                made.append(value)
                if agent is not _ABSENT:
                    care.add(n)
        return made

    def _fitted(self, column: Column, values: Sequence[Any], care: set[int]) -> Sequence[Any]:
        if column.type is FieldType.TIME:
            return self._clock.written(values, care, repeat=column.field != EVENT_START)
        types = set(map(type, values))
        if types == _ONLY_NONE:
            return values
        span = _SPANS.get(column.type)
        if types <= _PLAIN_TYPES[column.type]:
            if column.type is FieldType.STRING:
                return self._bounded(column, values, care)
            if span is None or _all_within(span, values):
                return values
        match column.type:
            case _ if span is not None:
                return _each(values, partial(as_integer, within=span), care)
            case FieldType.FLOAT64:
                return _each(values, as_real, care)
            case _:
                return self._bounded(column, _each(values, as_text, care), care)

    def _bounded(self, column: Column, values: Sequence[Any], care: set[int]) -> Sequence[Any]:
        # A character has at most four bytes, so that short texts need not be measured.
        most = column.max_bytes
        if most is not None and max(map(len, filter(None, values)), default=0) > most // 4:
            care.update(n for n, v in enumerate(values) if v and len(v) > most // 4)
        return values


def _runs_of_integers(columns: Sequence[tuple[int, Column]]) -> list[list[tuple[int, Column]]]:
    """The integer columns, those together that are neighbours in the layout."""
    runs: list[list[tuple[int, Column]]] = []
    for number, column in columns:
        if column.type not in _SPANS:
            continue
        if runs and runs[-1][-1][0] == number - 1:
            runs[-1].append((number, column))
        else:
            runs.append([(number, column)])
    return runs


def fields_of(columns: Iterable[Column]) -> list[str]:
    """The keys that fill the columns, as the catalogue spells them."""
    unfilled = (FieldType.CUSTOM_VARS, FieldType.WINDOW_START)
    fields = [c.field for c in columns if c.type not in unfilled]
    return [*fields, PAGE_AGENT] if PAGE_USER_AGENT in fields else fields


def _with_keys_of_the_parser(record: dict[str, Any]) -> dict[str, Any]:
    """``record`` with the parser's own strings as keys, which records then have in common with it:
    a key that is the same object is found without a look at its text."""
    keys = orjson.loads(orjson.dumps(dict.fromkeys(record)))
    return dict(zip(keys, record.values(), strict=True))


def _fit(run: Sequence[tuple[int, Column]], columns: Sequence[Sequence[Any]], text: bytes) -> bool:
    """Whether the integers, whose JSON is ``text``, are within the bounds of their columns."""
    narrow = any(column.type is FieldType.INT32 for _, column in run)
    if not has_run(text, OF_INT32 if narrow else OF_INT64):
        return True
    return all(
        _all_within(_SPANS[column.type], values)
        for (_, column), values in zip(run, columns, strict=True)
    )


def _all_within(span: range, values: Iterable[int | None]) -> bool:
    numbers = list(filter(None, values))
    return not numbers or (min(numbers) >= span.start and max(numbers) < span.stop)


def _each(values: Iterable[Any], convert: Callable[[Any], Any], care: set[int]) -> list[Any]:
    """Each value converted; one that does not fit becomes None, and its record needs care."""
    made = []
    for n, value in enumerate(values):
        try:
            made.append(convert(value))
        except Unfit:
            care.add(n)
            made.append(None)
    return made


def _with_any(records: Sequence[dict[str, Any]], keys: set[str]) -> set[int]:
    """The numbers of the records that have one of the keys."""
    return {n for n, record in enumerate(records) if not keys.isdisjoint(record)} if keys else set()
