"""Where the records of a bundle are cut in two, learned from a batch of them.

A record is a row of cells, each a field that every record has with what follows it up to the next
such field. The scene is the run of cells that saves most work: long, and seldom changed from one
event of a page to the next; and with it goes what opens the record, mostly the ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from hauserpy.decode.split import Batch
from hauserpy.fields import EVENT_START

_SPACE = b" \t\n\r"
_SAME_PAGE = ("PageId", "SessionId")
"""Records that agree in the first of these that all have are compared."""
_SAMPLE = 512
"""Records: learning from so many takes about as long as converting a batch."""
_FEWEST_PAIRS = 16
"""Events that follow another of their page, below which what they have in common is chance."""
_WORTH = 150
"""Bytes that a cut must save of a record, on the average: a rough estimate of what two short parses
and a lookup cost more than one long parse."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A record is ``opening event… scene… rest…``: its scene is the opening and what begins with
    ``scene``; its event is what begins with ``event`` and what begins with ``rest``.

    These three are keys as they are served, comma and colon included; ``event`` is empty where
    there is no opening, ``rest`` where nothing follows. The object of a scene begins with
    ``scene_keys``. ``separator`` stands between two records. ``fields`` are all known fields,
    ``event_fields`` those seen in events.
    """

    separator: bytes
    event: bytes
    scene: bytes
    rest: bytes
    scene_keys: tuple[str, ...]
    fields: frozenset[str]
    event_fields: frozenset[str]


def learned(batch: Batch, records: Sequence[dict[str, Any]], fields: frozenset[str]) -> Cut | None:
    """Where to cut records like those of ``batch``, which were parsed whole; None when too little
    of them repeats, or too few come from one page to tell."""
    sample = records[:_SAMPLE]
    try:
        orjson.dumps(sample)
    except orjson.JSONEncodeError:
        # Nested more deeply than what follows could walk.
        return None
    order = _order(sample, fields)
    if batch.separator.strip(_SPACE) != b"," or EVENT_START not in order:
        return None
    pairs = _pairs(sample, order)
    if len(pairs) < _FEWEST_PAIRS:
        return None
    cells = _cells(sample, order, pairs, fields)
    found = _places(cells, len(pairs), opens=all(next(iter(r)) == order[0] for r in sample))
    if found is None:
        return None
    opening, begin, end = found
    event, scene, rest = (
        _as_served(order[at], batch.text) if 0 < at < len(order) else b""
        for at in (opening, begin, end)
    )
    if event is None or scene is None or rest is None:
        return None
    in_events = set[str]().union(*(c.keys for c in (*cells[opening:begin], *cells[end:])))
    return Cut(
        separator=batch.separator,
        event=event,
        scene=scene,
        rest=rest,
        scene_keys=(*order[:opening], order[begin]),
        fields=fields,
        event_fields=fields & in_events,
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """One cell of every record: the ``keys`` seen in it, ``bare`` when all are known fields, and its
    mean ``size`` in bytes. ``changes`` has a bit for every pair of events between which it differs.
    """

    keys: frozenset[str]
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
    """The numbers of records that are one page's events, one after the other."""
    page = next((key for key in _SAME_PAGE if key in order), None)
    if page is None:
        return []
    pairs = []
    latest: dict[str, int] = {}
    for n, record in enumerate(sample):
        value = str(record[page])
        if value in latest:
            pairs.append((latest[value], n))
        latest[value] = n
    return pairs


def _cells(
    sample: Sequence[dict[str, Any]],
    order: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    fields: frozenset[str],
) -> list[_Cell]:
    rows = [_row(record, order) for record in sample]
    made = []
    for n, field in enumerate(order):
        column = [row[n] for row in rows]
        keys = frozenset[str]().union(*column)
        changed = [field == EVENT_START or column[a] != column[b] for a, b in pairs]
        made.append(
            _Cell(
                keys=keys,
                bare=keys <= fields,
                size=sum(len(orjson.dumps(cell)) for cell in column) // len(column),
                changes=sum(1 << bit for bit, differs in enumerate(changed) if differs),
            )
        )
    return made


def _row(record: dict[str, Any], order: Sequence[str]) -> list[dict[str, Any]]:
    """The record's cells; what stands before the first of ``order`` is of the first."""
    row: list[dict[str, Any]] = [{} for _ in order]
    at = 0
    for key, value in record.items():
        if at + 1 < len(order) and key == order[at + 1]:
            at += 1
        row[at][key] = value
    return row


def _places(cells: Sequence[_Cell], pairs: int, *, opens: bool) -> tuple[int, int, int] | None:
    """The cells with which the event and the scene begin, and with which the event goes on.

    The event's members come first in a row, so that no custom variable may stand in the opening,
    nor in a scene behind which the event goes on.
    """

    def saved(*several: _Cell) -> float:
        """Bytes of a record, on the average, that need not be parsed once more."""
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
    openings = [
        number
        for number in range(begin)
        if number == 0 or (opens and all(cell.bare for cell in cells[:number]))
    ]
    return max(openings, key=lambda number: saved(*cells[:number], *scene)), begin, end


def _as_served(key: str, text: bytes) -> bytes | None:
    """The key as the batch has it, with the white space that its writer puts around it."""
    found = re.search(rb',[ \t\n\r]*"%b"[ \t\n\r]*:' % re.escape(key).encode(), text)
    return found[0] if found else None
