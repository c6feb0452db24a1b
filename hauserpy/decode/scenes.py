"""Records in two parts: what is told of the event, and its scene, which all events of a page share.

An export says of every event all that is known of its page, session and person, over and over, in
the same bytes; that is more than half of its text. So each text of a scene is parsed, transformed
and written once in a batch, however many records share it.

Records are cut where certain keys stand (`hauserpy.decode.cut`). These are looked for as text, and
not parsed for: inside a string or a nested value they are none. Then the parts do not parse, and
the batch is parsed whole. So the search may be wrong, and the result cannot be.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from hauserpy.decode.cut import Cut
from hauserpy.decode.digits import OF_INT64, has_run
from hauserpy.decode.records import Records, has_nul
from hauserpy.decode.split import Batch

_MOST_UNCUT = 1 / 8
_MOST_RECORDS = 4096
"""The parts of more would take much memory at once."""
_MARK = secrets.token_hex(8)
"""Stands between parts that are parsed together. Whoever wrote them cannot have known it, so that
where it comes back as an element, it is ours."""
_BETWEEN = b'},"%b",{' % _MARK.encode()
_SEAM = b',"%b":0' % _MARK.encode()
"""Stands where two parts of a record become one. That it comes back as a key of the object itself,
and not of one inside it, proves that the first part leaves nothing open for the second to close."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Where the inside of each record, which is what its braces enclose, starts and stops."""

    starts: list[int]
    stops: list[int]

    def inside(self, text: bytes, number: int) -> bytes:
        return text[self.starts[number] : self.stops[number]]


@dataclass(frozen=True, slots=True)
class CutRecords:
    """Record ``n`` is event ``n`` and scene ``which[n]``, its custom variables in their order.

    ``uncut`` holds the records, by number, that could not be cut; both parts of these are empty.
    All are plain. ``spans`` are the places of the records in ``text``.
    """

    events: Records
    scenes: Records
    which: list[int]
    uncut: dict[int, dict[str, Any]]
    text: bytes
    spans: Spans
    cut: Cut

    def whole(self, number: int) -> dict[str, Any]:
        """The record as it is served, its keys in their order."""
        if number in self.uncut:
            return self.uncut[number]
        record: dict[str, Any] = orjson.loads(b"{%b}" % self.spans.inside(self.text, number))
        return record


def cut_apart(batch: Batch, cut: Cut, *, most_bytes: int, exact: bool = True) -> CutRecords | None:
    """The batch's records in two parts; None when it must be parsed whole.

    Success proves the batch's borders, as `hauserpy.decode.records.parse` does; ``exact`` is as
    there.
    """
    text = batch.text
    if len(text) > most_bytes:
        return None
    spans = _spans(text, cut.separator)
    if spans is None or len(spans.starts) > _MOST_RECORDS:
        return None
    events, scenes, uncut = _parts(text, spans, cut)
    if len(uncut) > len(events) * _MOST_UNCUT:
        return None
    parsed_uncut = _parse([spans.inside(text, number) for number in uncut], exact)
    numbers = {scene: number for number, scene in enumerate(dict.fromkeys(scenes))}
    parsed_scenes = _parse([_one(*scene) for scene in numbers], exact)
    parsed_events = _parse(events, exact)
    if parsed_events is None or parsed_scenes is None or parsed_uncut is None:
        return None
    # An event without members would leave its scene's comma without anything before it.
    if parsed_events.values.count({}) > len(uncut):
        return None
    if cut.rest and not all(map(_unseamed_event, filter(None, parsed_events.values))):
        return None
    if not all(_unseamed_scene(scene, cut) for scene in parsed_scenes.values if scene):
        return None
    return CutRecords(
        events=parsed_events,
        scenes=parsed_scenes,
        which=list(map(numbers.__getitem__, scenes)),
        uncut=dict(zip(uncut, parsed_uncut.values, strict=True)),
        text=text,
        spans=spans,
        cut=cut,
    )


def _spans(text: bytes, separator: bytes) -> Spans | None:
    """None when something else than ``separator`` stands between two records."""
    border = b"}%b{" % separator
    # A line break alone is found several times as fast as a border that holds one.
    sought = b"\n" if b"\n" in separator else border
    lead = border.index(sought)
    places = []
    at = text.find(sought)
    while at >= 0:
        places.append(at - lead)
        at = text.find(sought, at + 1)
    size = len(border)
    found = {text[place : place + size] for place in places}
    if not (found <= {border} and text.startswith(b"{") and text.endswith(b"}")):
        return None
    return Spans([1, *[place + size for place in places]], [*places, len(text) - 1])


def _parts(
    text: bytes, spans: Spans, cut: Cut
) -> tuple[list[bytes], list[tuple[bytes, bytes]], list[int]]:
    """(events, scenes in their two parts, numbers of the records that cannot be cut, whose parts
    are empty)"""
    starts, stops = spans.starts, spans.stops
    event_at = _find(text, cut.event, starts, stops) if cut.event else starts
    scene_at = _find(text, cut.scene, event_at, stops)
    rest_at = _find(text, cut.rest, scene_at, stops) if cut.rest else stops
    # Of two parts that become one, the second brings its comma, the first none.
    skip = 1 if cut.event else 0
    events = [text[event + skip : scene] for event, scene in zip(event_at, scene_at, strict=True)]
    if cut.rest:
        rests = [_SEAM + text[rest:stop] for rest, stop in zip(rest_at, stops, strict=True)]
        events = list(map(bytes.__add__, events, rests))
    scenes = [
        (text[start:event], text[scene:rest])
        for start, event, scene, rest in zip(starts, event_at, scene_at, rest_at, strict=True)
    ]
    uncut = []
    if min(map(min, (event_at, scene_at, rest_at))) < 0:
        places = zip(event_at, scene_at, rest_at, strict=True)
        uncut = [number for number, of_one in enumerate(places) if min(of_one) < 0]
    for number in uncut:
        events[number], scenes[number] = b"", (b"", b"")
    return events, scenes, uncut


def _find(text: bytes, key: bytes, starts: list[int], stops: list[int]) -> list[int]:
    find = text.find
    return [find(key, start, stop) for start, stop in zip(starts, stops, strict=True)]


def _one(opening: bytes, scene: bytes) -> bytes:
    return opening + _SEAM + scene if opening else scene[1:]


def _parse(texts: Sequence[bytes], exact: bool) -> Records | None:
    """Each text as the members of one object; None when one of them is anything else, or when
    they are not plain.

    A text that is not the whole inside of an object leaves something open or closes too much. Then
    either nothing parses, or a mark is swallowed, or something else comes between two of them.
    """
    if not texts:
        return Records([], plain=True)
    joined = b"[{%b}]" % _BETWEEN.join(texts)
    if (exact and has_run(joined, OF_INT64 + 1)) or has_nul(joined):
        return None
    try:
        values = orjson.loads(joined)
    except orjson.JSONDecodeError:
        return None
    if len(values) != 2 * len(texts) - 1 or values[1::2].count(_MARK) != len(texts) - 1:
        return None
    objects = values[::2]
    if set(map(type, objects)) != {dict}:
        return None
    return Records(objects, plain=True)


def _unseamed_event(event: dict[str, Any]) -> bool:
    """Take the seam out of an event with a rest; False when it is not where it was put."""
    return bool(event.pop(_MARK, None) == 0)


def _unseamed_scene(scene: dict[str, Any], cut: Cut) -> bool:
    """Take the seam out of the scene; False when it is not where it was put, or when the record's
    custom variables would lose their order, since its event's come first: none may stand in the
    scene's opening, nor in front of the event's rest."""
    *opening, first = cut.scene_keys
    keys = (*opening, _MARK, first) if opening else cut.scene_keys
    if tuple(islice(scene, len(keys))) != keys:
        return False
    if opening:
        del scene[_MARK]
    return not cut.rest or scene.keys() <= cut.fields
