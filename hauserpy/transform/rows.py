"""A batch of records to rows, held as columns: in sweeps where that will do, with care elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hauserpy.decode.records import Records
from hauserpy.decode.scenes import CutRecords
from hauserpy.fields import EVENT_START
from hauserpy.model import ChangeKind, Changes, Clip, Layout, Window
from hauserpy.transform import times
from hauserpy.transform.blocks import Block, put
from hauserpy.transform.careful import Careful
from hauserpy.transform.columns import Columnar
from hauserpy.transform.values import TooDeep
from hauserpy.transform.weaver import Weaver

__all__ = ["Block", "Rows", "TooDeep", "Transformer"]


@dataclass(frozen=True, slots=True)
class Rows:
    """``count`` rows in the order of their records, in blocks of columns.

    A value is None, int, float or str: times are written in the layout's style already. CustomVars
    stands in every block, as the bytes of its JSON text, never None; that of a row has the members
    of its first block, then those of the next. ``cared`` rows could not be swept.
    """

    blocks: Sequence[Block]
    count: int
    changes: Changes
    first_event: datetime | None
    last_event: datetime | None
    cared: int = 0


class Transformer:
    """Turns the batches of one bundle into rows; holds no state that a row depends on."""

    def __init__(self, layout: Layout, window: Window, clip: Clip | None = None) -> None:
        start = times.write(window.start, layout.time_style)
        self._layout = layout
        self._start = start
        self._careful = Careful(layout, start)
        self._columnar = Columnar(layout, start)
        self._weaver: Weaver | None = None
        self._clip = clip
        self._event_start = next(
            (n for n, c in enumerate(layout.columns) if c.field == EVENT_START), None
        )

    def rows(self, records: Records | CutRecords) -> Rows:
        """Raises TooDeep when a value is nested deeper than a record may be. Records that are cut
        are only for a transformer without a clip."""
        changes = Changes()
        care: set[int] = set()
        if isinstance(records, CutRecords):
            blocks, care = self._woven(records)
            self._mend(blocks, care, records.whole, changes)
        elif self._clip is not None:
            blocks = self._turned(self._clipped(records, self._clip, changes))
        elif records.plain:
            blocks, care = self._swept(records)
            self._mend(blocks, care, records.values.__getitem__, changes)
        else:
            careful = self._careful.row
            blocks = self._turned([careful(r, changes, plain=False) for r in records.values])
        first, last = self._span(blocks)
        return Rows(blocks, len(blocks[0]), changes, first, last, cared=len(care))

    def _swept(self, records: Records) -> tuple[list[Block], set[int]]:
        swept = self._columnar.sweep(records.values)
        numbers = range(len(self._layout.columns))
        return [Block(numbers, swept.columns, None, swept.integers)], swept.care

    def _woven(self, records: CutRecords) -> tuple[list[Block], set[int]]:
        if self._weaver is None or self._weaver.cut is not records.cut:
            self._weaver = Weaver(self._layout, self._start, records.cut)
        return self._weaver.blocks(records)

    def _mend(
        self,
        blocks: Sequence[Block],
        care: Iterable[int],
        record: Callable[[int], dict[str, Any]],
        changes: Changes,
    ) -> None:
        """Turn the records with these numbers the careful way."""
        for n in sorted(care):
            put(blocks, n, self._careful.row(record(n), changes, plain=True), self._layout)

    def _turned(self, rows: list[tuple[Any, ...]]) -> list[Block]:
        numbers = range(len(self._layout.columns))
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [() for _ in numbers]
        return [Block(numbers, columns)]

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

    def _span(self, blocks: Sequence[Block]) -> tuple[datetime | None, datetime | None]:
        column = next(
            (
                values
                for block in blocks
                for number, values in zip(block.numbers, block.columns, strict=True)
                if number == self._event_start
            ),
            [],
        )
        starts = [start for start in column if start is not None]
        return times.span(starts) if starts else (None, None)


def _keeps(clip: Clip, start: datetime | None) -> bool:
    if start is None or start not in clip.bundle:
        return clip.strays
    return start in clip.keep
