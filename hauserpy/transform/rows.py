"""A batch of records to rows, held as columns: in sweeps where that will do, with care elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hauserpy.decode.records import Records
from hauserpy.fields import EVENT_START
from hauserpy.layout import Layout
from hauserpy.model import ChangeKind, Changes, Clip, Window
from hauserpy.transform import times
from hauserpy.transform.careful import Careful
from hauserpy.transform.columns import Columnar
from hauserpy.transform.values import TooDeep

__all__ = ["Rows", "TooDeep", "Transformer"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What is told of rows: how many there are, what was changed in them, and which time they span."""

    count: int
    changes: Changes
    first_event: datetime | None
    last_event: datetime | None

    @classmethod
    def total(cls, several: Iterable[Counts]) -> Counts:
        parts = list(several)
        return cls(
            count=sum(part.count for part in parts),
            changes=Changes.total(part.changes for part in parts),
            first_event=min((p.first_event for p in parts if p.first_event), default=None),
            last_event=max((p.last_event for p in parts if p.last_event), default=None),
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """``count`` rows in the order of their records, as the layout's ``columns``.

    A value is None, int, float or str; a time is the bytes of its text in the layout's style,
    CustomVars those of its JSON, never None. ``integers`` has, under the numbers of integer columns
    that are neighbours, JSON of their rows, an array for each; it need not have all.
    """

    columns: list[Sequence[Any]]
    counts: Counts
    integers: dict[tuple[int, ...], bytes] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return self.counts.count


class Transformer:
    """Turns the batches of one bundle into rows; holds no state that a row depends on."""

    def __init__(self, layout: Layout, window: Window, clip: Clip | None = None) -> None:
        start = times.write(window.start, layout.time_style)
        self._layout = layout
        self._careful = Careful(layout, start)
        self._columnar = Columnar(layout, start)
        self._clip = clip
        self._event_start = next(
            (n for n, c in enumerate(layout.columns) if c.field == EVENT_START), None
        )

    def rows(self, records: Records) -> Rows:
        """Raises TooDeep when a value is nested deeper than a record may be."""
        changes = Changes()
        integers: dict[tuple[int, ...], bytes] = {}
        if self._clip is not None:
            columns = self._turned(self._clipped(records, self._clip, changes))
        elif records.plain:
            columns, integers = self._swept(records, changes)
        else:
            careful = self._careful.row
            columns = self._turned([careful(r, changes, plain=False) for r in records.values])
        first, last = self._span(columns)
        return Rows(columns, Counts(len(columns[0]), changes, first, last), integers)

    def _swept(
        self, records: Records, changes: Changes
    ) -> tuple[list[Sequence[Any]], dict[tuple[int, ...], bytes]]:
        """Sweeps, and the records that need care turned the careful way."""
        swept = self._columnar.sweep(records.values)
        if not swept.care:
            return swept.columns, swept.integers
        columns = [list(column) for column in swept.columns]
        for n in sorted(swept.care):
            row = self._careful.row(records.values[n], changes, plain=True)
            for column, value in zip(columns, row, strict=True):
                column[n] = value
        return list(columns), {}

    def _turned(self, rows: list[tuple[Any, ...]]) -> list[Sequence[Any]]:
        return list(zip(*rows, strict=True)) or [() for _ in self._layout.columns]

    def _clipped(self, records: Records, clip: Clip, changes: Changes) -> list[tuple[Any, ...]]:
        """The rows that the clip keeps, and the changes made to these only."""
        kept = []
        for record in records.values:
            made = Changes()
            row = self._careful.row(record, made, plain=records.plain)
            start = self._start_of(row)
            if _keeps(clip, start):
                kept.append(row)
                changes.merge(made)
            elif start is not None and any(start in window for window in clip.loaded):
                changes.count(ChangeKind.CLIPPED, EVENT_START)
        return kept

    def _start_of(self, row: tuple[Any, ...]) -> datetime | None:
        written = None if self._event_start is None else row[self._event_start]
        return None if written is None else times.reread(written)

    def _span(self, columns: Sequence[Sequence[Any]]) -> times.Span:
        return times.span(() if self._event_start is None else columns[self._event_start])


def _keeps(clip: Clip, start: datetime | None) -> bool:
    if start is None or start not in clip.bundle:
        return clip.strays
    return start in clip.keep
