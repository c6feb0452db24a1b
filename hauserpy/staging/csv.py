"""Rows as CSV: commas, LF, quotes only where they are needed.

NULL and the empty string stay apart. Where the layout's NULL is nothing (local files), an empty
string is ``""``; where NULL is a marker (Redshift's ``NULL AS '\\000'``), an empty string is
nothing. Only string columns know the difference; elsewhere NULL is an empty field.
"""

from __future__ import annotations

import csv
from typing import Any

from hauserpy.model import FieldType, Layout

_NUL = "\0"
"""No value can hold it (design 3.5), so that it can stand for what Python's csv cannot write."""


class CsvEncoder:
    """See `hauserpy.staging.base.Encoder`."""

    def __init__(self, layout: Layout) -> None:
        self._columns = layout.columns
        self._header = layout.header
        self._null = layout.null
        self._texts = [
            n
            for n, c in enumerate(layout.columns)
            if c.type in (FieldType.STRING, FieldType.CUSTOM_VARS)
        ]

    @property
    def head(self) -> bytes:
        return _lines([[c.name for c in self._columns]]) if self._header else b""

    def encode(self, rows: list[tuple[Any, ...]]) -> bytes:
        if self._null:
            return self._with_marker(rows)
        return self._with_quotes(rows)

    def _with_quotes(self, rows: list[tuple[Any, ...]]) -> bytes:
        marked = [
            tuple(_NUL if value == "" else value for value in row) if "" in row else row
            for row in rows
        ]
        return _lines(marked).replace(b"\0", b'""')

    def _with_marker(self, rows: list[tuple[Any, ...]]) -> bytes:
        made = []
        for row in rows:
            if None in row:
                values = list(row)
                for n in self._texts:
                    if values[n] is None:
                        values[n] = self._null
                made.append(tuple(values))
            else:
                made.append(row)
        return _lines(made)


def _lines(rows: list[Any]) -> bytes:
    lines = _Lines()
    csv.writer(lines, lineterminator=_END).writerows(rows)
    return "".join(lines.written).encode()


_END = "\r\n"
"""Which csv.writer must believe, or it leaves a lone CR without quotes (before Python 3.13)."""


class _Lines:
    """What csv.writer writes to, a line a call: a list, which is faster than a StringIO."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, line: str) -> None:
        self.written.append(line[: -len(_END)] + "\n")
