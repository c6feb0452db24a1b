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
from hauserpy.decode.records import needs_exactness
from hauserpy.decode.split import Batch

_MOST_UNCUT = 1 / 8
_MARK = secrets.token_hex(8)
"""Stands between parts that are parsed together. Whoever wrote them cannot have known it, so that
where it comes back as an element, it is ours."""
_BETWEEN = b'},"%b",{' % _MARK.encode()


@dataclass(frozen=True, slots=True)
class Scenes:
    """Record ``n`` is ``events[n]`` and ``scenes[which[n]]``, its custom variables in their order.

    ``uncut`` holds the records, by number, that could not be cut; both parts of these are empty.
    No integer is wider than 64 bits, and no text holds a NUL or a surrogate.
    """

    events: list[dict[str, Any]]
    scenes: list[dict[str, Any]]
    which: list[int]
    uncut: dict[int, dict[str, Any]]
    texts: list[bytes]
    cut: Cut

    def whole(self, number: int) -> dict[str, Any]:
        """The record as it is served, its keys in their order."""
        if number in self.uncut:
            return self.uncut[number]
        record: dict[str, Any] = orjson.loads(b"{%b}" % self.texts[number])
        return record


def cut_apart(batch: Batch, cut: Cut, *, most_bytes: int) -> Scenes | None:
    """The batch's records in two parts; None when it must be parsed whole.

    Success proves the batch's borders, as `hauserpy.decode.records.parse` does.
    """
    text = batch.text
    if len(text) > most_bytes or not (text.startswith(b"{") and text.endswith(b"}")):
        return None
    texts = text[1:-1].split(b"}%b{" % cut.separator)
    events, scenes, uncut = _parts(texts, cut)
    if len(uncut) > len(texts) * _MOST_UNCUT:
        return None
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(scene, len(numbers)) for scene in scenes]
    parsed_events = _parse(events)
    parsed_scenes = _parse(list(numbers))
    parsed_uncut = _parse([texts[n] for n in uncut])
    if parsed_events is None or parsed_scenes is None or parsed_uncut is None:
        return None
    if not all(_in_order(scene, cut) for scene in parsed_scenes if scene):
        return None
    by_number = dict(zip(uncut, parsed_uncut, strict=True))
    return Scenes(parsed_events, parsed_scenes, which, by_number, texts, cut)


def _parts(texts: Sequence[bytes], cut: Cut) -> tuple[list[bytes], list[bytes], list[int]]:
    """(events, scenes, numbers of the records that cannot be cut: both parts of these are empty)"""
    # Of two parts that become one, the first brings no comma, and the second its own.
    first = 1 if cut.event else 0
    starts = [text.find(cut.event) for text in texts]
    middles = [text.find(cut.scene, s) for text, s in zip(texts, starts, strict=True)]
    places = [starts, middles]
    if cut.rest:
        ends = [text.find(cut.rest, m) for text, m in zip(texts, middles, strict=True)]
        places.append(ends)
        cuts = list(zip(texts, starts, middles, ends, strict=True))
        events = [text[s + first : m] + text[e:] for text, s, m, e in cuts]
        scenes = [text[:s] + text[m + 1 - first : e] for text, s, m, e in cuts]
    else:
        cuts_in_two = list(zip(texts, starts, middles, strict=True))
        events = [text[s + first : m] for text, s, m in cuts_in_two]
        scenes = [text[:s] + text[m + 1 - first :] for text, s, m in cuts_in_two]
    uncut = [n for n, lowest in enumerate(map(min, *places)) if lowest < 0]
    for n in uncut:
        events[n] = scenes[n] = b""
    return events, scenes, uncut


def _parse(texts: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """Each text as the members of one object; None when one of them is anything else, or when
    orjson would not be exact.

    A text that is not the whole inside of an object leaves something open or closes too much. Then
    either nothing parses, or a mark is swallowed, or something else comes between two of them.
    """
    if not texts:
        return []
    joined = b"[{%b}]" % _BETWEEN.join(texts)
    if needs_exactness(joined):
        return None
    try:
        values = orjson.loads(joined)
    except orjson.JSONDecodeError:
        return None
    if len(values) != 2 * len(texts) - 1 or values[1::2].count(_MARK) != len(texts) - 1:
        return None
    objects: list[dict[str, Any]] = values[::2]
    return objects if set(map(type, objects)) == {dict} else None


def _in_order(scene: dict[str, Any], cut: Cut) -> bool:
    """Whether the record's custom variables keep their order when its event's come first: none
    stands in the scene's opening, nor in front of the event's rest."""
    if tuple(islice(scene, len(cut.scene_keys))) != cut.scene_keys:
        return False
    return not cut.rest or scene.keys() <= cut.fields
