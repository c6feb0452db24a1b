"""Staged files read back, by means that have nothing to do with how they were written."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq

from hauserpy.layout import Column, FieldType, Layout, StageFormat
from hauserpy.model import Changes
from tests import reference

_TEXTS = (FieldType.STRING, FieldType.CUSTOM_VARS)
_TIMES = (FieldType.TIME, FieldType.WINDOW_START)


def csv_cells(text: str) -> list[list[tuple[str, bool]]]:
    """RFC 4180 with LF, each cell with whether it was quoted, which Python's csv does not tell."""
    rows: list[list[tuple[str, bool]]] = []
    at = 0
    while at < len(text):
        row: list[tuple[str, bool]] = []
        while True:
            if text.startswith('"', at):
                cell, at = "", at + 1
                while True:
                    end = text.index('"', at)
                    cell, at = cell + text[at:end], end + 1
                    if not text.startswith('"', at):
                        break
                    cell, at = cell + '"', at + 1
                row.append((cell, True))
            else:
                end = at
                while text[end] not in ",\n":
                    assert text[end] not in '"\r', "needs quotes and has none"
                    end += 1
                row.append((text[at:end], False))
                at = end
            assert text[at] in ",\n"
            at += 1
            if text[at - 1] == "\n":
                break
        rows.append(row)
    return rows


def csv_rows(body: bytes, layout: Layout) -> list[dict[str, Any]]:
    """Rows by column, as a warehouse would understand them."""
    text = body.decode()
    rows = csv_cells(text)
    csv.field_size_limit(1 << 30)
    plain = list(csv.reader(io.StringIO(text, newline="")))
    assert plain == [[cell for cell, _ in row] for row in rows], "Python's csv reads it alike"
    if layout.header:
        assert rows.pop(0) == [(c.name, False) for c in layout.columns]
    return [
        {c.name: _cell(c, *cell, layout) for c, cell in zip(layout.columns, row, strict=True)}
        for row in rows
    ]


def _cell(column: Column, text: str, quoted: bool, layout: Layout) -> Any:
    if column.type in _TEXTS:
        assert layout.null or text or quoted or column.type is FieldType.STRING
        return None if text == layout.null and not quoted else text
    assert not quoted
    return None if text == "" else _typed(column, text)


def _typed(column: Column, text: str) -> Any:
    if column.type is FieldType.FLOAT64:
        return float(text)
    return text if column.type in _TIMES else int(text)


def json_rows(body: bytes, layout: Layout) -> list[dict[str, Any]]:
    lines = body.decode().split("\n")
    assert lines.pop() == ""
    made = []
    for line in lines:
        found = json.loads(line)
        raw = reference.parse(line)
        assert set(found) <= {c.name for c in layout.columns}
        row: dict[str, Any] = {}
        for column in layout.columns:
            value = found.get(column.name)
            if column.type is FieldType.CUSTOM_VARS:
                inner = raw[column.name]
                value = inner if isinstance(inner, str) else reference.write(inner)
            elif column.type is FieldType.INT64 and layout.int64_as_text and value is not None:
                assert isinstance(value, str)
                value = int(value)
            row[column.name] = value
        made.append(row)
    return made


def parquet_rows(body: bytes, layout: Layout) -> list[dict[str, Any]]:
    table = pq.read_table(io.BytesIO(body))
    assert table.column_names == [c.name for c in layout.columns]
    times = [c.name for c in layout.columns if c.type in _TIMES]
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for name in times:
            if row[name] is not None:
                row[name] = reference.written_time(row[name], layout.time_style)
    return rows


READERS = {
    StageFormat.CSV: csv_rows,
    StageFormat.JSONL: json_rows,
    StageFormat.PARQUET: parquet_rows,
}


def agree(found: list[dict[str, Any]], wanted: list[reference.Row], layout: Layout) -> int:
    """Assert that rows read back are those of the reference; returns how many values of CustomVars
    had to be shortened to fit their column."""
    assert len(found) == len(wanted)
    shortened = 0
    for got, want in zip(found, wanted, strict=True):
        for column in layout.columns:
            value, expected = got[column.name], want.values[column.name]
            if column.type is FieldType.CUSTOM_VARS:
                whole = reference.write(expected)
                if column.max_bytes is None or len(whole.encode()) <= column.max_bytes:
                    assert value == whole
                else:
                    shortened += reference.fits_into(value, expected, column.max_bytes)
                continue
            if isinstance(expected, datetime):
                expected = reference.written_time(expected, layout.time_style)
            assert type(value) is type(expected), column.name
            assert value == expected, column.name
            if isinstance(value, float):
                assert math.copysign(1, value) == math.copysign(1, expected)
    return shortened


def counted(changes: Changes) -> Counter[tuple[str, str]]:
    return Counter({(kind.value, column): n for (kind, column), n in changes.items()})
