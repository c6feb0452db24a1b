"""The form of a bundle's records, learned from some of them: which members come, in what order, and
which of them all events of a page share.

A record is a row of cells, each a field that every record has with what follows it up to the next
such field. The scene is the run of cells that saves most work when its text is worked on once: long,
and seldom changed from one event of a page to the next; with it goes what opens the record, mostly
the ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any

import orjson

from hauserpy.decode.order import ANYWHERE, ordered
from hauserpy.fields import EVENT_START, PAGE_AGENT, PAGE_USER_AGENT

SAMPLE = 512
"""Records: learning from so many takes some three times as long as copying a batch."""

_SPACE = b" \t\n\r"
_TOGETHER = ("PageId", "SessionId", "UserId", "IndvId")
"""Records that agree in the first of these in which enough do are compared."""
_FEWEST_PAIRS = 16
"""Events that follow another of their page, below which what they have in common is chance."""
_WORTH = 150
"""Bytes that a scene must save of a record, on the average, to be worth looking it up."""
_MOST_SLOTS = 192
"""Records whose members come in any order have no form that is worth trying."""
_MOST_GAPS = 8
"""Places of custom variables: a long value that no pattern matches is looked at in each of them."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the order of members: of ``field``, or, where that is empty, of any number of
    custom variables. Of the sample, ``always``: every record had it; ``joined``: just those that had
    the one before it; ``nullable``: it was null in some; ``plain``: none of its texts was empty or
    had a quote in it."""

    field: str
    always: bool = False
    joined: bool = False
    nullable: bool = False
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """A record is ``opening event body rest``, each a row of slots; its scene is the opening with the
    body, its event what is between and behind. Without a scene all of it is ``event``.

    A field has several slots where it comes now before and now behind another one, never in both the
    event and the scene. ``separator`` stands between two records. ``fields`` are all known fields.
    """

    separator: bytes
    opening: tuple[Slot, ...]
    event: tuple[Slot, ...]
    body: tuple[Slot, ...]
    rest: tuple[Slot, ...]
    fields: frozenset[str]

    @property
    def parts(self) -> tuple[tuple[Slot, ...], ...]:
        return self.opening, self.event, self.body, self.rest

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Fields of one slot each, the second's right behind the first's, that are plain and never
        null. (Of several slots, some may be filled in one place and some in the other.)"""
        often = Counter(slot.field for part in self.parts for slot in part)

        def fits(slot: Slot) -> bool:
            return often[slot.field] == 1 and slot.plain and not slot.nullable

        pairs = chain.from_iterable(map(pairwise, self.parts))
        return frozenset((a.field, b.field) for a, b in pairs if fits(a) and fits(b))


def learned(
    records: Sequence[dict[str, Any]], separator: bytes, fields: frozenset[str]
) -> Form | None:
    """The form of records like these, which were parsed whole; None when they have none."""
    sample = records[:SAMPLE]
    try:
        orjson.dumps(sample)
    except orjson.JSONEncodeError:
        # Nested more deeply than what follows could walk.
        return None
    order = _order(sample, fields)
    if separator.strip(_SPACE) != b"," or EVENT_START not in order:
        return None
    if not all(next(iter(record)) == order[0] for record in sample):
        return None
    rows = [_row(record, order) for record in sample]
    pairs = _pairs(sample, order)
    places = None
    if pairs:
        places = _places(_cells(rows, order, pairs, fields), len(pairs))
    event, scene, rest = places or (0, len(order), len(order))

    def slots(begin: int, end: int, left_out: Iterable[str] = ()) -> tuple[Slot, ...]:
        return _slots([_symbols(row[begin:end], fields, left_out) for row in rows], order)

    # Where there is no scene, nothing opens the record: all of it is told of the event.
    of_event, of_rest = slots(event, scene), slots(rest, len(order))
    elsewhere = {slot.field for slot in (*of_event, *of_rest) if slot.field}
    form = Form(
        separator=separator,
        opening=slots(0, event, elsewhere),
        event=of_event,
        body=slots(scene, rest, elsewhere),
        rest=of_rest,
        fields=fields,
    )
    members = [slot.field for part in form.parts for slot in part]
    if len(members) > _MOST_SLOTS or members.count(ANYWHERE) > _MOST_GAPS:
        return None
    return _told(form, {f: [record[f] for record in sample if f in record] for f in fields})


@dataclass(frozen=True, slots=True)
class _Cell:
    """One cell of every record: ``bare`` when all keys in it are known fields, and its mean ``size``
    in bytes. ``changes`` has a bit for every pair of events between which it differs."""

    bare: bool
    size: int
    changes: int


def _order(sample: Sequence[dict[str, Any]], fields: frozenset[str]) -> list[str]:
    """The known fields that every record has, in the order in which all have them; else none."""
    if not sample:
        return []
    common = fields.intersection(*sample)
    order = [key for key in sample[0] if key in common]
    same = all([key for key in record if key in common] == order for record in sample)
    return order if same else []


def _pairs(sample: Sequence[dict[str, Any]], order: Sequence[str]) -> list[tuple[int, int]]:
    """The numbers of records that are one page's events, one after the other; where events share no
    pages, one session's or one person's. None where they share nothing."""
    for key in _TOGETHER:
        if key in order:
            pairs = _successive([str(record[key]) for record in sample])
            if len(pairs) >= _FEWEST_PAIRS:
                return pairs
    return []


def _successive(values: Iterable[str]) -> list[tuple[int, int]]:
    """The places of each value and of its next occurrence."""
    pairs = []
    latest: dict[str, int] = {}
    for n, value in enumerate(values):
        if value in latest:
            pairs.append((latest[value], n))
        latest[value] = n
    return pairs


def _cells(
    rows: Sequence[Sequence[dict[str, Any]]],
    order: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    fields: frozenset[str],
) -> list[_Cell]:
    made = []
    for n, field in enumerate(order):
        column = [row[n] for row in rows]
        changed = [field == EVENT_START or column[a] != column[b] for a, b in pairs]
        made.append(
            _Cell(
                bare=set[str]().union(*column) <= fields,
                size=len(orjson.dumps(column)) // len(column),
                changes=sum(1 << bit for bit, differs in enumerate(changed) if differs),
            )
        )
    return made


def _row(record: dict[str, Any], order: Sequence[str]) -> list[dict[str, Any]]:
    """The record's cells, for a record that begins with the first of ``order``."""
    row: list[dict[str, Any]] = []
    cells = iter(order)
    begins = next(cells, None)
    for key, value in record.items():
        if key == begins:
            row.append(cell := {})
            begins = next(cells, None)
        cell[key] = value
    return row


def _places(cells: Sequence[_Cell], pairs: int) -> tuple[int, int, int] | None:
    """The cells with which the event and the scene begin, and with which the event goes on.

    The event's members come first in a row, so that no custom variable may stand in the opening,
    nor in a scene behind which the event goes on.
    """

    def saved(*several: _Cell) -> float:
        """Bytes of a record, on the average, that need not be worked on once more."""
        changes = 0
        for cell in several:
            changes |= cell.changes
        return sum(cell.size for cell in several) * (1 - changes.bit_count() / pairs)

    runs = [
        (begin, end)
        for begin in range(1, len(cells))
        for end in range(begin + 1, len(cells) + 1)
        if end == len(cells) or all(cell.bare for cell in cells[begin:end])
    ]
    begin, end = max(runs, key=lambda run: saved(*cells[slice(*run)]), default=(0, 0))
    scene = cells[begin:end]
    if saved(*scene) < _WORTH:
        return None
    openings = [number for number in range(begin) if all(cell.bare for cell in cells[:number])]
    return max(openings, key=lambda number: saved(*cells[:number], *scene)), begin, end


_Symbols = tuple[str, ...]
"""A record's fields in their order; ANYWHERE stands for custom variables side by side."""


def _symbols(
    cells: Iterable[dict[str, Any]], fields: frozenset[str], left_out: Iterable[str]
) -> _Symbols:
    symbols: list[str] = []
    for key in chain.from_iterable(cells):
        symbol = key if key in fields else ANYWHERE
        if symbol not in left_out and (symbol or not symbols or symbols[-1]):
            symbols.append(symbol)
    return tuple(symbols)


def _are_plain(values: Iterable[Any]) -> bool:
    texts = [value for value in values if isinstance(value, str)]
    return "" not in texts and '"' not in "".join(texts)


def _slots(several: Sequence[_Symbols], common: Sequence[str]) -> tuple[Slot, ...]:
    """Slots in which each of the sequences fits, the usual ones above all."""
    often = Counter(several)
    fields = ordered(often, _MOST_SLOTS)
    counts = Counter(fields)
    single = {f for f in fields if f and counts[f] == 1}
    had_by = {f: frozenset(n for n, one in enumerate(often) if f in one) for f in single}
    return tuple(
        Slot(
            field,
            always=field in single and field in common,
            joined=field in single and last in single and had_by[field] == had_by[last],
        )
        for last, field in pairwise([ANYWHERE, *fields])
    )


def _told(form: Form, values: Mapping[str, Sequence[Any]]) -> Form:
    """The form, its slots told what their fields' ``values`` were."""
    slots = Counter(slot.field for part in form.parts for slot in part)
    both = {PAGE_AGENT, PAGE_USER_AGENT}
    # A null leaves no trace, which it must where it may stand beside another value of its column.
    alone = {f for f in slots if slots[f] == 1 and not (f in both and both <= slots.keys())}

    def told(part: Iterable[Slot]) -> tuple[Slot, ...]:
        return tuple(
            replace(
                slot,
                nullable=slot.field in alone and None in values[slot.field],
                plain=_are_plain(values[slot.field]),
            )
            if slot.field
            else slot
            for slot in part
        )

    return replace(
        form,
        opening=told(form.opening),
        event=told(form.event),
        body=told(form.body),
        rest=told(form.rest),
    )
