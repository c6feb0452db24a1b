"""How records of a form become lines of a layout: which group of a pattern is of which column.

A column's entries come from events, or are the same for all that have a scene. Fields whose members
stand side by side in records as in lines, and are written as they stand, are copied as one text.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby, pairwise

from hauserpy.decode import pattern
from hauserpy.decode.form import Form, Slot
from hauserpy.decode.pattern import Member, Pattern
from hauserpy.fields import PAGE_AGENT, PAGE_USER_AGENT
from hauserpy.layout import FieldType, Layout
from hauserpy.model import Window
from hauserpy.staging import Encoder
from hauserpy.transform import times


class Kind(Enum):
    """Of a column: what its entries come from."""

    EVENT = auto()
    SHARED = auto()
    """A scene, or what is the same in every row."""
    CUSTOM_VARS = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """How events or scenes are read: for each of the layout's columns, by number, the groups of
    ``pattern`` that are of its ``keys``; several columns that are copied as one count as the first of
    them, and have a key each. ``gaps`` are the groups of custom variables, ``others`` of fields whose
    columns are not read here."""

    pattern: Pattern
    places: dict[int, list[int]]
    keys: dict[int, tuple[str, ...]]
    gaps: list[int]
    others: list[int]


@dataclass(frozen=True, slots=True)
class Plan:
    """``scenes`` is None where the form has none. ``runs`` are columns side by side of one kind, those
    left out that are copied with the one before them. ``constants`` are the entries of columns, by
    number, of which no record tells anything. Copies of the member ``braced`` begin with a brace."""

    events: Part
    scenes: Part | None
    runs: Sequence[tuple[Kind, Sequence[int]]]
    constants: dict[int, bytes]
    braced: str | None


def planned(form: Form, layout: Layout, window: Window, encoder: Encoder) -> Plan:
    """How records of the form, loaded for the window, become the encoder's lines."""
    start = times.write(window.start, layout.time_style)
    constants = {
        n: encoder.instants(n, [start])[0]
        if column.type is FieldType.WINDOW_START
        else encoder.null(n)
        for n, column in enumerate(layout.columns)
    }
    objects = {n for n, c in enumerate(layout.columns) if c.type is FieldType.CUSTOM_VARS}
    written = objects | {n for n, constant in constants.items() if constant}
    reader = _Reader(form, layout, encoder, written)
    events = reader.part(pattern.of_events(form, reader.member, reader.are_one))
    scenes = None
    if form.body:
        of_scenes = pattern.of_scenes(form, reader.member, reader.are_one)
        scenes = reader.part(of_scenes, elsewhere=events.places)

    def kind(number: int) -> Kind:
        if number in objects:
            return Kind.CUSTOM_VARS
        return Kind.EVENT if number in events.places else Kind.SHARED

    behind = reader.behind(events) | (reader.behind(scenes) if scenes else set())
    assert behind.isdisjoint(events.places) and not (scenes and behind & scenes.places.keys())
    own = [n for n in range(len(layout.columns)) if n not in behind]
    return Plan(
        events,
        scenes,
        [(one, tuple(run)) for one, run in groupby(own, kind)],
        constants,
        reader.braced,
    )


class _Reader:
    """Reads one form for one layout. In each line there is something of the columns ``written``,
    whatever records tell."""

    def __init__(self, form: Form, layout: Layout, encoder: Encoder, written: set[int]) -> None:
        self._form = form
        self._columns = layout.columns
        self._encoder = encoder
        self._number = {column.field: n for n, column in enumerate(layout.columns)}
        if PAGE_USER_AGENT in self._number:
            self._number[PAGE_AGENT] = self._number[PAGE_USER_AGENT]
        fields = {slot.field for part in form.parts for slot in part if slot.field}
        self._fields_of = Counter(self._number[field] for field in fields)
        # Columns between two of these are empty, and what is empty does not part them.
        self._following = dict(pairwise(sorted({*self._fields_of, *written})))
        self._pairs = form.pairs()

    @property
    def braced(self) -> str | None:
        first = (*self._form.opening, *self._form.event)[0]
        return first.field if self.member(first).is_whole else None

    def member(self, slot: Slot) -> Member:
        return self._encoder.member(self._number[slot.field], slot.field, plain=slot.plain)

    def are_one(self, one: Slot, other: Slot) -> bool:
        """Whether both are copied as one text. For that,

        - the second always follows the first, in records and in lines, with nothing between: else
          something would be written in the wrong place;
        - none has another slot, is null, or has a quote in its text (see `Form.pairs`): else what is
          in the group might not be what is written, or not all of it;
        - both are written as they stand, without a bound, and of one field each: else each copy would
          have to be looked at for itself.
        """
        return (
            (one.field, other.field) in self._pairs
            and self._following.get(self._number[one.field]) == self._number[other.field]
            and self._stands(one)
            and self._stands(other)
        )

    def _stands(self, slot: Slot) -> bool:
        number = self._number[slot.field]
        unbounded = self._columns[number].max_bytes is None
        return unbounded and self._fields_of[number] == 1 and self.member(slot).is_whole

    def part(self, found: Pattern, elsewhere: Container[int] = ()) -> Part:
        """``elsewhere``: columns that are read of another part."""
        places: dict[int, list[int]] = defaultdict(list)
        keys: dict[int, tuple[str, ...]] = {}
        gaps: list[int] = []
        others: list[int] = []
        for group, fields in enumerate(found.groups):
            if not fields:
                gaps.append(group)
                continue
            number = self._number[fields[0]]
            # A field and its alias are one column; records may have both, and in both parts.
            one = number not in elsewhere and keys.setdefault(number, fields) == fields
            (places[number] if one else others).append(group)
        return Part(found, dict(places), keys, gaps, others)

    def behind(self, part: Part) -> set[int]:
        """Columns that are copied with the one before them."""
        return {self._number[key] for _, *more in part.keys.values() for key in more}
