"""Events and scenes swept apart, each over its own columns."""

from __future__ import annotations

from hauserpy.decode.cut import Cut
from hauserpy.decode.scenes import Scenes
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
        self._of_events = sorted(events | custom)
        self._of_scenes = sorted(set(range(len(columns))) - events | custom)
        self._events = Columnar(self._layout, self._window_start, self._of_events)
        self._scenes = Columnar(self._layout, self._window_start, self._of_scenes)

    def blocks(self, scenes: Scenes) -> tuple[list[Block], set[int]]:
        """(the events' block and the scenes', numbers of the records that need care)

        Of a record that needs care, the values have no meaning.
        """
        events, told = self._events.columns(scenes.events), self._scenes.columns(scenes.scenes)
        which = scenes.which
        care = events.care.union(scenes.uncut)
        if told.care:
            care.update(n for n, scene in enumerate(which) if scene in told.care)
        if not events.custom.isdisjoint(told.custom):
            care.update(
                n
                for n, (event, scene) in enumerate(zip(scenes.events.values, which, strict=True))
                if not event.keys().isdisjoint(scenes.scenes.values[scene])
            )
        blocks = [
            Block(self._of_events, events.columns, None, events.integers),
            Block(self._of_scenes, told.columns, list(which), told.integers),
        ]
        care.update(self._too_long(blocks))
        if events.strangers:
            self._event_fields |= events.strangers
            self._deal()
        return blocks, care

    def _too_long(self, blocks: list[Block]) -> list[int]:
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
        which = blocks[1].which
        assert which is not None
        return [
            n
            for event, scene in zip(of_events, of_scenes, strict=True)
            for n, (length, entry) in enumerate(zip(event, which, strict=True))
            if length + scene[entry] > most
        ]
