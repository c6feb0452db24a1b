"""Events and their scenes swept apart, each over its own columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hauserpy.decode.cut import Cut
from hauserpy.decode.scenes import CutRecords
from hauserpy.fields import PAGE_AGENT, PAGE_USER_AGENT
from hauserpy.model import FieldType, Layout
from hauserpy.transform.blocks import Block
from hauserpy.transform.columns import Columnar


class Weaver:
    """Deals the layout's columns out between events and scenes, for records that are cut alike.

    A column is the events' when its field was ever seen in one. A record that has a field on the
    wrong side, or a custom variable on both, needs care.
    """

    def __init__(self, layout: Layout, window_start: str, cut: Cut) -> None:
        self.cut = cut
        self._layout = layout
        self._window_start = window_start
        self._event_fields = set(cut.event_fields)
        bounds = [c.max_bytes for c in layout.columns if c.type is FieldType.CUSTOM_VARS]
        self._most_custom = min((b for b in bounds if b is not None), default=None)
        self._deal()

    def _deal(self) -> None:
        columns = self._layout.columns
        if self._event_fields & {PAGE_AGENT, PAGE_USER_AGENT}:
            # One column, and one side.
            self._event_fields |= {PAGE_AGENT, PAGE_USER_AGENT}
        custom = {n for n, c in enumerate(columns) if c.type is FieldType.CUSTOM_VARS}
        events = {n for n, c in enumerate(columns) if c.field in self._event_fields}
        self._event_numbers = sorted(events | custom)
        self._scene_numbers = sorted(set(range(len(columns))) - events | custom)
        self._of_events = Columnar(self._layout, self._window_start, self._event_numbers)
        self._of_scenes = Columnar(self._layout, self._window_start, self._scene_numbers)

    def blocks(self, records: CutRecords) -> tuple[list[Block], set[int]]:
        """(the events' block and the scenes', numbers of the records that need care)

        Of a record that needs care, the values have no meaning.
        """
        of_events, of_scenes = records.events.values, records.scenes.values
        events, scenes = self._of_events.sweep(of_events), self._of_scenes.sweep(of_scenes)
        which = records.which
        care = events.care.union(records.uncut)
        if scenes.care:
            care.update(n for n, scene in enumerate(which) if scene in scenes.care)
        if not events.custom.isdisjoint(scenes.custom):
            care.update(
                n
                for n, (event, scene) in enumerate(zip(of_events, which, strict=True))
                if not event.keys().isdisjoint(of_scenes[scene])
            )
        blocks = [
            Block(self._event_numbers, events.columns, None, events.integers),
            Block(self._scene_numbers, scenes.columns, list(which), scenes.integers),
        ]
        care.update(self._too_long(blocks, which))
        if events.strangers:
            self._event_fields |= events.strangers
            self._deal()
        return blocks, care

    def _too_long(self, blocks: Iterable[Block], which: Sequence[int]) -> list[int]:
        """The rows whose CustomVars, each part short enough, are too long together."""
        most = self._most_custom
        if most is None:
            return []
        of_events, of_scenes = (
            [
                list(map(len, column))
                for number, column in zip(block.numbers, block.columns, strict=True)
                if self._layout.columns[number].type is FieldType.CUSTOM_VARS
            ]
            for block in blocks
        )
        return [
            n
            for event, scene in zip(of_events, of_scenes, strict=True)
            for n, (length, entry) in enumerate(zip(event, which, strict=True))
            if length + scene[entry] > most
        ]
