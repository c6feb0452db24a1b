"""A batch of records to rows, held as columns: in sweeps where that will do, with care elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hauserpy.decode.records import Records
from hauserpy.fields import EVENT_START
from hauserpy.model import ChangeKind, Changes, Clip, Layout, Window
from hauserpy.transform import times
from hauserpy.transform.careful import Careful
from hauserpy.transform.columns import Columnar
from hauserpy.transform.values import TooDeep

__all__ = ["Rows", "TooDeep", "Transformer"]


@dataclass(frozen=True, slots=True)
class Rows:
    """``count`` rows in the order of their records, as columns in the layout's order.

    A value is None, int, float or str: times are written in the layout's style already. CustomVars
    is the bytes of its JSON text, never None.
    """

    columns: list[list[Any]]
    count: int
    changes: Changes
    first_event: datetime | None
    last_event: datetime | None


class Transformer:
    """Turns the batches of one bundle into rows; holds no state that a row depends on."""

    def __init__(self, layout: Layout, window: Window, clip: Clip | None = None) -> None:
        start = times.write(window.start, layout.time_style)
        self._width = len(layout.columns)
        self._careful = Careful(layout, start)
        self._columnar = Columnar(layout, start)
        self._clip = clip
        self._event_start = next(
            (n for n, c in enumerate(layout.columns) if c.field == EVENT_START), None
        )

    def rows(self, records: Records) -> Rows:
        """Raises TooDeep when a value is nested deeper than a record may be."""
        changes = Changes()
        if self._clip is not None:
            columns = self._turned(self._clipped(records, self._clip, changes))
        elif records.plain:
            columns = self._swept(records, changes)
        else:
            careful = self._careful.row
            columns = self._turned([careful(r, changes, plain=False) for r in records.values])
        count = len(columns[0]) if columns else 0
        return Rows(columns, count, changes, *self._span(columns))

    def _swept(self, records: Records, changes: Changes) -> list[list[Any]]:
        columns, care = self._columnar.columns(records.values)
        for n in sorted(care):
            row = self._careful.row(records.values[n], changes, plain=True)
            for column, value in zip(columns, row, strict=True):
                column[n] = value
        return columns

    def _turned(self, rows: list[tuple[Any, ...]]) -> list[list[Any]]:
        if not rows:
            return [[] for _ in range(self._width)]
        return [list(column) for column in zip(*rows, strict=True)]

    def _clipped(self, records: Records, clip: Clip, changes: Changes) -> list[tuple[Any, ...]]:
        """The rows that the clip keeps, and the changes made to these only."""
        kept = []
        for record in records.values:
            made = Changes()
            row = self._careful.row(record, made, plain=records.plain)
            if _keeps(clip, self._start_of(row)):
                kept.append(row)
                changes.merge(made)
            else:
                changes.count(ChangeKind.CLIPPED, EVENT_START)
        return kept

    def _start_of(self, row: tuple[Any, ...]) -> datetime | None:
        written = None if self._event_start is None else row[self._event_start]
        return None if written is None else times.reread(written)

    def _span(self, columns: list[list[Any]]) -> tuple[datetime | None, datetime | None]:
        if self._event_start is None:
            return None, None
        starts = [start for start in columns[self._event_start] if start is not None]
        if not starts:
            return None, None
        return (
            times.reread(min(starts, key=times.sortable)),
            times.reread(max(starts, key=times.sortable)),
        )


def _keeps(clip: Clip, start: datetime | None) -> bool:
    if start is None or start not in clip.bundle:
        return clip.strays
    return start in clip.keep
