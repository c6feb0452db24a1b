"""A batch of records to rows: by plan where that will do, with care where it will not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hauserpy.decode.records import Records
from hauserpy.fields import EVENT_START
from hauserpy.model import ChangeKind, Changes, Clip, Layout, Window
from hauserpy.transform import times
from hauserpy.transform.careful import Careful
from hauserpy.transform.plans import Planned
from hauserpy.transform.times import Unfit
from hauserpy.transform.values import TooDeep

__all__ = ["Rows", "TooDeep", "Transformer"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in the order of their records, values in the layout's order.

    A value is None, int, float or str: times are written in the layout's style already, CustomVars
    is its JSON text.
    """

    values: list[tuple[Any, ...]]
    changes: Changes
    first_event: datetime | None
    last_event: datetime | None


class Transformer:
    """Turns the batches of one bundle into rows; holds no state that a row depends on."""

    def __init__(self, layout: Layout, window: Window, clip: Clip | None = None) -> None:
        start = times.write(window.start, layout.time_style)
        self._careful = Careful(layout, start)
        self._planned = Planned(layout, start)
        self._clip = clip
        self._event_start = next(
            (n for n, c in enumerate(layout.columns) if c.field == EVENT_START), None
        )

    def rows(self, records: Records) -> Rows:
        """Raises TooDeep when a value is nested deeper than a record may be."""
        changes = Changes()
        if self._clip is not None:
            rows = self._clipped(records, self._clip, changes)
        elif records.plain:
            planned, careful = self._planned.row, self._careful.row
            rows = []
            for record in records.values:
                try:
                    rows.append(planned(record))
                except Unfit:
                    rows.append(careful(record, changes, plain=True))
        else:
            rows = [self._careful.row(r, changes, plain=False) for r in records.values]
        return Rows(rows, changes, *self._span(rows))

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

    def _span(self, rows: list[tuple[Any, ...]]) -> tuple[datetime | None, datetime | None]:
        at = self._event_start
        starts = [] if at is None else [row[at] for row in rows if row[at] is not None]
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
