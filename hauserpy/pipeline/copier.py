"""Lines of the staged format, put together from copies of what JSON says, without parsing it.

An export writes most values as the staged format would. So where the form of records is known
(`hauserpy.decode.form`), a line is a match of its pattern and what is copied from that, once a batch
for each scene that many events have (`hauserpy.decode.scenes`). Of what does not match, nobody says
that it is wrong: it is left to be parsed. Whether a line comes about this way or the other, it is
the same to the byte.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from itertools import chain, groupby, islice, repeat
from typing import Any

from hauserpy.decode import pattern
from hauserpy.decode.form import Form, Slot
from hauserpy.decode.lines import insides, lined
from hauserpy.decode.members import objects
from hauserpy.decode.pattern import Pattern
from hauserpy.decode.scenes import Cutter
from hauserpy.decode.split import Batch
from hauserpy.fields import EVENT_START, PAGE_AGENT, PAGE_USER_AGENT
from hauserpy.layout import FieldType, Layout
from hauserpy.model import Window
from hauserpy.staging import Encoder
from hauserpy.staging.copies import BACKSLASH
from hauserpy.transform import fields_of, times
from hauserpy.transform.folding import Folder

MOST_AT_ONCE = 4096
"""Records: what is made of more of them would take much memory."""
_MOST_LEFT = 1 / 4
"""The part of a batch's records that are not of the form, from which on another is learned."""
_NO_VARIABLES = b"{}"


@dataclass(frozen=True, slots=True)
class Copied:
    """``lines`` has a line for every record; those with a number in ``left`` have no meaning: of
    these records it has the inside of the braces, to be parsed. The events are those of the others.
    """

    lines: list[bytes]
    left: dict[int, bytes]
    first_event: datetime | None
    last_event: datetime | None


@dataclass(frozen=True, slots=True)
class _Part:
    """How events or scenes are read: for each of the layout's columns, by number, the groups of
    ``pattern`` that are of its ``keys``. ``gaps`` are the groups of custom variables, ``others`` of
    fields whose columns are not read here. Where the group ``first`` is empty, the pattern does not
    match, or all is as if it did not."""

    pattern: Pattern
    first: int
    places: dict[int, list[int]]
    keys: dict[int, str]
    gaps: list[int]
    others: list[int]


@dataclass(frozen=True, slots=True)
class _Read:
    """The events or scenes of a batch: their ``columns`` as they are written, by number, and of those
    that have custom variables these and their JSON. ``care`` has the numbers of those for which all
    this has no meaning."""

    columns: dict[int, Sequence[bytes]]
    customs: dict[int, tuple[dict[str, Any], bytes]]
    care: set[int]
    starts: Sequence[bytes | None]


class _Kind(Enum):
    """Of a column: what its entries come from."""

    EVENT = auto()
    SHARED = auto()
    """A scene, or what is the same in every row."""
    CUSTOM_VARS = auto()


class Copier:
    """Copies the records of batches, which are mostly of ``form``, to lines of ``encoder``."""

    def __init__(self, form: Form, layout: Layout, window: Window, encoder: Encoder) -> None:
        self.form = form
        self._encoder = encoder
        self._columns = layout.columns
        self._number = {column.field: n for n, column in enumerate(layout.columns)}
        if PAGE_USER_AGENT in self._number:
            self._number[PAGE_AGENT] = self._number[PAGE_USER_AGENT]
        # Where a member is copied as it stands, that with which records begin has no comma.
        begins = (*form.opening, *form.event)[0]
        self._braced = begins.field if self._member(begins).startswith(b"(") else None
        self._events = self._part(pattern.of_events(form, self._member), form.event[0].field)
        self._cutter = Cutter(form)
        self._scenes: _Part | None = None
        if form.body:
            first = (*form.opening, *form.body)[0].field
            of_scenes = pattern.of_scenes(form, self._member)
            self._scenes = self._part(of_scenes, first, self._events.places)
        start = times.write(window.start, layout.time_style)
        self._constants = {
            n: encoder.instants(n, [start])[0]
            if column.type is FieldType.WINDOW_START
            else encoder.null(n)
            for n, column in enumerate(layout.columns)
        }
        kinds = groupby(range(len(layout.columns)), self._kind)
        self._runs = [(kind, tuple(numbers)) for kind, numbers in kinds]
        self._clock = times.Clock(layout.time_style)
        self._folder = Folder(layout, fields_of(layout.columns))

    def _member(self, slot: Slot) -> bytes:
        return self._encoder.member(self._number[slot.field], slot.field, plain=slot.plain)

    def _part(self, found: Pattern, first: str, elsewhere: Container[int] = ()) -> _Part:
        places: dict[int, list[int]] = defaultdict(list)
        keys: dict[int, str] = {}
        gaps: list[int] = []
        others: list[int] = []
        for group, field in enumerate(found.groups):
            if not field:
                gaps.append(group)
            elif (number := self._number.get(field)) is not None:
                # A field and its alias are one column; records may have both, and in both parts.
                one = number not in elsewhere and keys.setdefault(number, field) == field
                (places[number] if one else others).append(group)
        return _Part(found, found.groups.index(first), dict(places), keys, gaps, others)

    def _kind(self, number: int) -> _Kind:
        if self._columns[number].type is FieldType.CUSTOM_VARS:
            return _Kind.CUSTOM_VARS
        return _Kind.EVENT if number in self._events.places else _Kind.SHARED

    def copied(self, batch: Batch) -> Copied | None:
        """None when the batch must be parsed whole; else its borders are proved, if the records that
        are left turn out to be objects."""
        lines = lined(batch.text, self.form.separator, MOST_AT_ONCE)
        if lines is None:
            return None
        cut = self._cutter.cut(lines)
        events = self._read(self._events, cut.events, len(lines))
        if events is None or len(events.care) > len(lines) * _MOST_LEFT:
            return None
        scenes: _Read | None = _NO_SCENES
        if self._scenes is not None:
            scenes = self._read(self._scenes, cut.scenes, max(cut.which) + 1)
        if scenes is None:
            return None
        care = set(events.care)
        if scenes.care:
            care.update(n for n, scene in enumerate(cut.which) if scene in scenes.care)
        made = self._lines(events, scenes, cut.which, care)
        if len(care) > len(lines) * _MOST_LEFT:
            return None
        if not care:
            return Copied(made, {}, *times.span(events.starts))
        numbers = sorted(care)
        left = insides([lines[n] for n in numbers])
        if left is None:
            return None
        starts = [start for n, start in enumerate(events.starts) if n not in care]
        return Copied(made, dict(zip(numbers, left, strict=True)), *times.span(starts))

    def _read(self, part: _Part, text: bytes, count: int) -> _Read | None:
        """None when a match goes over the end of its line: something in it is open."""
        groups = part.pattern.columns(text)
        if len(groups[0]) != count:
            return None
        care = {n for n, value in enumerate(groups[part.first]) if not value}
        for other in part.others:
            care.update(n for n, value in enumerate(groups[other]) if value)
        columns: dict[int, Sequence[bytes]] = {}
        starts: Sequence[bytes | None] = ()
        for number, places in part.places.items():
            values = _one_of([groups[place] for place in places], care)
            key = part.keys[number]
            if key == self._braced:
                values = [value.replace(b"{", b",", 1) for value in values]
            if self._columns[number].type is FieldType.TIME:
                written = self._clock.copied(values, care, repeat=key != EVENT_START)
                columns[number] = self._encoder.instants(number, written)
                if key == EVENT_START:
                    starts = written
            else:
                columns[number] = self._encoder.copied(number, key, values, care)
        return _Read(columns, self._customs(part, groups, care), care, starts)

    def _customs(
        self, part: _Part, groups: Sequence[Sequence[bytes]], care: set[int]
    ) -> dict[int, tuple[dict[str, Any], bytes]]:
        """By number, of those that have custom variables."""
        columns = [groups[gap] for gap in part.gaps]
        if not columns:
            return {}
        texts: Sequence[bytes] = columns[0]
        if len(columns) > 1:
            several = list(zip(*columns, strict=True))
            texts = list(map(b"".join, several))
            # Behind an escape, what is open in one may be closed by another, and by no parser's rules.
            care.update(
                n
                for n, text in enumerate(texts)
                if BACKSLASH in text and len(list(filter(None, several[n]))) > 1
            )
        numbers = [n for n, text in enumerate(texts) if text and n not in care]
        insides = [texts[n][1:] for n in numbers]
        found = objects(insides)
        if found is None:
            # One of them is odd, or some are.
            alone = [objects([inside]) for inside in insides]
            care.update(n for n, one in zip(numbers, alone, strict=True) if one is None)
            numbers = [n for n, one in zip(numbers, alone, strict=True) if one is not None]
            found = list(chain.from_iterable(one for one in alone if one is not None))
        odd = self._folder.fields_among(set(chain.from_iterable(found)))
        long: set[int] = set()
        written = self._folder.texts(found, long)
        if odd or long:
            care.update(
                n
                for place, (n, one) in enumerate(zip(numbers, found, strict=True))
                if place in long or not odd.isdisjoint(one)
            )
        return dict(zip(numbers, zip(found, written, strict=True), strict=True))

    def _lines(
        self, events: _Read, scenes: _Read, which: Sequence[int], care: set[int]
    ) -> list[bytes]:
        """The lines of all events, each with the scene that ``which`` names. What has no meaning
        goes into ``care``."""
        fields: list[Iterable[bytes]] = []
        for kind, numbers in self._runs:
            if kind is _Kind.EVENT:
                fields += [events.columns[number] for number in numbers]
            elif kind is _Kind.SHARED:
                fields.append(self._shared(numbers, scenes, which))
            else:
                texts, places = self._folded(events, scenes, which, care)
                for number in numbers:
                    entries = self._encoder.objects(number, texts)
                    fields.append(map(entries.__getitem__, places))
        glue, lead = self._encoder.glue, self._encoder.lead
        # What is the same in all rows repeats for ever.
        if not lead:
            return list(map(glue.join, zip(*fields, strict=False)))
        # It is taken from the first entries, which are shorter than lines, unless these are empty.
        first = [entry.removeprefix(lead) for entry in islice(fields[0], len(which))]
        lines = list(map(glue.join, zip(first, *fields[1:], strict=False)))
        return lines if all(first) else [line.removeprefix(lead) for line in lines]

    def _shared(
        self, numbers: Sequence[int], scenes: _Read, which: Sequence[int]
    ) -> Iterable[bytes]:
        glue = self._encoder.glue
        if scenes.columns.keys().isdisjoint(numbers):
            return repeat(glue.join(self._constants[number] for number in numbers))
        columns = [scenes.columns.get(n) or repeat(self._constants[n]) for n in numbers]
        entries = list(map(glue.join, zip(*columns, strict=False)))
        return map(entries.__getitem__, which)

    def _folded(
        self, events: _Read, scenes: _Read, which: Sequence[int], care: set[int]
    ) -> tuple[list[bytes], list[int]]:
        """JSON texts of CustomVars, and which of them each row has: that of its scene, unless its
        event has variables as well, which come first."""
        texts = [_NO_VARIABLES] * (max(which) + 1)
        for scene, (_, text) in scenes.customs.items():
            texts[scene] = text
        places = list(which)
        most = self._folder.most
        for n, (own, text) in events.customs.items():
            places[n] = len(texts)
            if (more := scenes.customs.get(which[n])) is None:
                texts.append(text)
                continue
            others, behind = more
            if not own.keys().isdisjoint(others) or (
                most is not None and len(text) + len(behind) > most
            ):
                care.add(n)
            texts.append(b"%b,%b" % (text[:-1], behind[1:]))
        return texts, places


_NO_SCENES = _Read({}, {}, set(), ())


def _one_of(columns: Sequence[Sequence[bytes]], care: set[int]) -> Sequence[bytes]:
    """A field's column from those of all its slots; a record with two of them needs care."""
    made, *others = columns
    for other in others:
        # Mostly there is nothing in it.
        if any(other):
            merged = list(made)
            for n, value in enumerate(other):
                if value:
                    if merged[n]:
                        care.add(n)
                    merged[n] = value
            made = merged
    return made
