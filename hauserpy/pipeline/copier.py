"""Lines of the staged format, put together from copies of what JSON says, without parsing it.

An export writes most values as the staged format would. So where the form of records is known
(`hauserpy.decode.form`), a line is a match of its pattern and what is copied from that, once a batch
for each scene that many events have (`hauserpy.decode.scenes`). Of what does not match, nobody says
that it is wrong: it is left to be parsed. Whether a line comes about this way or the other, it is
the same to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress, islice, repeat

from hauserpy.decode.form import Form
from hauserpy.decode.lines import insides, lined
from hauserpy.decode.scenes import Cutter
from hauserpy.decode.split import Batch
from hauserpy.fields import EVENT_START
from hauserpy.layout import FieldType, Layout
from hauserpy.model import Window
from hauserpy.pipeline.plan import Kind, Part, planned
from hauserpy.pipeline.variables import Folding, Variables
from hauserpy.staging import Encoder
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
class _Read:
    """The events or scenes of a batch: their ``columns`` as they are written, by number, and the
    custom ``variables`` of those that have some. ``care`` has the numbers of those for which all this
    has no meaning."""

    columns: dict[int, Sequence[bytes]]
    variables: dict[int, Variables]
    care: set[int]
    starts: Sequence[bytes | None]


class Copier:
    """Copies the records of batches, which are mostly of ``form``, to lines of ``encoder``."""

    def __init__(self, form: Form, layout: Layout, window: Window, encoder: Encoder) -> None:
        self.form = form
        self._encoder = encoder
        self._columns = layout.columns
        self._plan = planned(form, layout, window, encoder)
        self._cutter = Cutter(form)
        self._clock = times.Clock(layout.time_style)
        self._folding = Folding(Folder(layout, fields_of(layout.columns)), encoder)

    def copied(self, batch: Batch) -> Copied | None:
        """None when the batch must be parsed whole; else its borders are proved, if the records that
        are left turn out to be objects."""
        lines = lined(batch.text, self.form.separator, MOST_AT_ONCE)
        if lines is None:
            return None
        cut = self._cutter.cut(lines)
        events = self._read(self._plan.events, cut.events, len(lines))
        if events is None or len(events.care) > len(lines) * _MOST_LEFT:
            return None
        scenes: _Read | None = _NO_SCENES
        if self._plan.scenes is not None:
            scenes = self._read(self._plan.scenes, cut.scenes, max(cut.which) + 1)
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

    def _read(self, part: Part, text: bytes, count: int) -> _Read | None:
        """None when a match goes over the end of its line: something in it is open."""
        groups = part.pattern.columns(text)
        if len(groups[0]) != count:
            return None
        # With the first group's member each of them begins; where it is empty, none matched.
        first = groups[0]
        care = set() if all(first) else {n for n, value in enumerate(first) if not value}
        for other in part.others:
            care.update(_filled(groups[other]))
        columns: dict[int, Sequence[bytes]] = {}
        starts: Sequence[bytes | None] = ()
        for number, places in part.places.items():
            values = _one_of([groups[place] for place in places], care)
            key, *more = part.keys[number]
            if key == self._plan.braced:
                values = [value.replace(b"{", b",", 1) for value in values]
            if more:
                columns[number] = self._encoder.copied_together(values, care)
            elif self._columns[number].type is FieldType.TIME:
                written = self._clock.copied(values, care, repeat=key != EVENT_START)
                columns[number] = self._encoder.instants(number, written)
                if key == EVENT_START:
                    starts = written
            else:
                columns[number] = self._encoder.copied(number, key, values, care)
        return _Read(columns, self._variables(part, groups, care), care, starts)

    def _variables(
        self, part: Part, groups: Sequence[Sequence[bytes]], care: set[int]
    ) -> dict[int, Variables]:
        """By number, of those that have custom variables."""
        made: dict[int, Variables] = {}
        for gap in part.gaps:
            column = groups[gap]
            numbers = [n for n in _filled(column) if n not in care]
            found = self._folding.of([column[n] for n in numbers])
            for n, own in zip(numbers, found, strict=True):
                before = made.get(n)
                if own is None or (before is not None and not self._folding.fit(before, own)):
                    care.add(n)
                else:
                    made[n] = own if before is None else before.then(own)
        return made

    def _lines(
        self, events: _Read, scenes: _Read, which: Sequence[int], care: set[int]
    ) -> list[bytes]:
        """The lines of all events, each with the scene that ``which`` names. What has no meaning
        goes into ``care``."""
        fields: list[Iterable[bytes]] = []
        for kind, numbers in self._plan.runs:
            if kind is Kind.EVENT:
                fields += [events.columns[number] for number in numbers]
            elif kind is Kind.SHARED:
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
            return repeat(glue.join(self._plan.constants[number] for number in numbers))
        columns = [scenes.columns.get(n) or repeat(self._plan.constants[n]) for n in numbers]
        entries = list(map(glue.join, zip(*columns, strict=False)))
        return map(entries.__getitem__, which)

    def _folded(
        self, events: _Read, scenes: _Read, which: Sequence[int], care: set[int]
    ) -> tuple[list[bytes], list[int]]:
        """CustomVars as they stand in entries, and which of them each row has: those of its scene,
        unless its event has variables as well, which come first."""
        texts = [_NO_VARIABLES] * (max(which) + 1)
        for scene, one in scenes.variables.items():
            texts[scene] = b"{%b}" % one.inside
        places = list(which)
        fit = self._folding.fit
        for n, own in events.variables.items():
            more = scenes.variables.get(which[n])
            if more is not None and not fit(own, more):
                care.add(n)
                continue
            places[n] = len(texts)
            if more is None:
                texts.append(b"{%b}" % own.inside)
            else:
                texts.append(b"{%b,%b}" % (own.inside, more.inside))
        return texts, places


_NO_SCENES = _Read({}, {}, set(), ())


def _filled(column: Sequence[bytes]) -> Iterable[int]:
    """The places at which there is something."""
    return compress(range(len(column)), column)


def _one_of(columns: Sequence[Sequence[bytes]], care: set[int]) -> Sequence[bytes]:
    """A field's column from those of all its slots; a record with two of them needs care."""
    if len(columns) == 1:
        return columns[0]
    fullest, *others = sorted(columns, key=lambda column: column.count(b""))
    made = list(fullest)
    for other in others:
        for n in _filled(other):
            if made[n]:
                care.add(n)
            made[n] = other[n]
    return made
