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
from hauserpy.decode.records import WIDE, Records, has_nul, longest_integer
from hauserpy.decode.split import Batch

_MOST_UNCUT = 1 / 8
_MARK = secrets.token_hex(8)
"""Stands between parts that are parsed together. Whoever wrote them cannot have known it, so that
where it comes back as an element, it is ours."""
_BETWEEN = b'},"%b",{' % _MARK.encode()


@dataclass(frozen=True, slots=True)
class Scenes:
    """Record ``n`` is event ``n`` and scene ``which[n]``, its custom variables in their order.

    ``uncut`` holds the records, by number, that could not be cut; both parts of these are empty.
    All are plain. The inside of record ``n`` stands at ``spans[n]`` of ``text``.
    """

    events: Records
    scenes: Records
    which: list[int]
    uncut: dict[int, dict[str, Any]]
    text: bytes
    spans: list[tuple[int, int]]
    cut: Cut

    def whole(self, number: int) -> dict[str, Any]:
        """The record as it is served, its keys in their order."""
        if number in self.uncut:
            return self.uncut[number]
        start, stop = self.spans[number]
        record: dict[str, Any] = orjson.loads(self.text[start - 1 : stop + 1])
        return record


def cut_apart(batch: Batch, cut: Cut, *, most_bytes: int) -> Scenes | None:
    """The batch's records in two parts; None when it must be parsed whole.

    Success proves the batch's borders, as `hauserpy.decode.records.parse` does.
    """
    text = batch.text
    if len(text) > most_bytes:
        return None
    spans = _spans(text, cut.separator)
    if not spans:
        return None
    events, scenes, uncut = _parts(text, spans, cut)
    if len(uncut) > len(spans) * _MOST_UNCUT:
        return None
    parsed_uncut = _parse([text[start:stop] for start, stop in map(spans.__getitem__, uncut)])
    numbers = {scene: number for number, scene in enumerate(dict.fromkeys(scenes))}
    parsed_scenes = _parse([_one(*scene) for scene in numbers])
    parsed_events = _parse(events)
    if parsed_events is None or parsed_scenes is None or parsed_uncut is None:
        return None
    if not all(_in_order(scene, cut) for scene in parsed_scenes.values if scene):
        return None
    return Scenes(
        parsed_events,
        parsed_scenes,
        list(map(numbers.__getitem__, scenes)),
        dict(zip(uncut, parsed_uncut.values, strict=True)),
        text,
        spans,
        cut,
    )


def _spans(text: bytes, separator: bytes) -> list[tuple[int, int]]:
    """Where the inside of each record starts and stops; none when something else than
    ``separator`` stands between two of them."""
    border = b"}%b{" % separator
    # A line break is found at ten times the speed of anything longer.
    sought = b"\n" if b"\n" in separator else border
    lead = border.index(sought)
    places = []
    at = text.find(sought)
    while at >= 0:
        places.append(at - lead)
        at = text.find(sought, at + 1)
    found = {text[place : place + len(border)] for place in places}
    if not (found <= {border} and text.startswith(b"{") and text.endswith(b"}")):
        return []
    starts = [1, *(place + len(border) for place in places)]
    return list(zip(starts, [*places, len(text) - 1], strict=True))


def _parts(
    text: bytes, spans: Sequence[tuple[int, int]], cut: Cut
) -> tuple[list[bytes], list[tuple[bytes, bytes]], list[int]]:
    """(events, scenes in their two parts, numbers of the records that cannot be cut, whose parts
    are empty)"""
    find = text.find
    if cut.event:
        opened = [find(cut.event, start, stop) for start, stop in spans]
        # Of two parts that become one, the second brings its comma, the first none.
        begun = [place + 1 for place in opened]
    else:
        opened = begun = [start for start, _ in spans]
    told = [find(cut.scene, at, stop) for at, (_, stop) in zip(opened, spans, strict=True)]
    ends = [stop for _, stop in spans]
    places = [opened, told]
    events = [text[at:place] for at, place in zip(begun, told, strict=True)]
    if cut.rest:
        rests = [find(cut.rest, at, stop) for at, stop in zip(told, ends, strict=True)]
        behind = [text[at:stop] for at, stop in zip(rests, ends, strict=True)]
        events = list(map(bytes.__add__, events, behind))
        ends = rests
        places.append(rests)
    openings = [text[start:at] for (start, _), at in zip(spans, opened, strict=True)]
    scenes = list(
        zip(openings, [text[at:end] for at, end in zip(told, ends, strict=True)], strict=True)
    )
    uncut = [number for number, lowest in enumerate(map(min, *places)) if lowest < 0]
    for number in uncut:
        events[number], scenes[number] = b"", (b"", b"")
    return events, scenes, uncut


def _one(opening: bytes, scene: bytes) -> bytes:
    return opening + scene if opening else scene[1:]


def _parse(texts: Sequence[bytes]) -> Records | None:
    """Each text as the members of one object; None when one of them is anything else, or when
    they are not plain.

    A text that is not the whole inside of an object leaves something open or closes too much. Then
    either nothing parses, or a mark is swallowed, or something else comes between two of them.
    """
    if not texts:
        return Records([], plain=True, short=True)
    joined = b"[{%b}]" % _BETWEEN.join(texts)
    longest = longest_integer(joined)
    if longest >= WIDE or has_nul(joined):
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
    return Records(objects, plain=True, short=not longest)


def _in_order(scene: dict[str, Any], cut: Cut) -> bool:
    """Whether the record's custom variables keep their order when its event's come first: none
    stands in the scene's opening, nor in front of the event's rest."""
    if tuple(islice(scene, len(cut.scene_keys))) != cut.scene_keys:
        return False
    return not cut.rest or scene.keys() <= cut.fields
