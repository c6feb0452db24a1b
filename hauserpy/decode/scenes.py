"""Records cut in two: what happened, and the scene in which it did.

An export says of every event all that is known of its page, session and person, over and over, in
the same bytes, more than half of its text. Cut off, the text of each scene is worked on once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hauserpy.decode.form import Form, Slot

STOP = b"{"
"""Stands where something was cut off, and must be matched there: so what is before it are whole
members. A value that a cut left open is not closed by it, and has no brace where it would be flat.
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """Of records: ``events`` and ``scenes`` are texts of as many lines as there are events and
    scenes, and ``which`` tells of every event which scene it has. Of a record that was not cut,
    nothing is in either."""

    events: bytes
    scenes: bytes
    which: Sequence[int]


class Cutter:
    """Cuts records ``opening event body rest`` (see `hauserpy.decode.form.Form`), lines as
    `hauserpy.decode.lines.lined` gives them, into scenes ``opening body`` and events ``event rest``.

    They are cut before the first members of event, body and rest, or before what looks like these
    inside of a value: then STOP stands inside of it, and the part is not of the form. A record
    without them is not cut. Where a form has no scenes, its records are events as they are.
    """

    def __init__(self, form: Form) -> None:
        self._event = _begins(form.event) if form.opening else b""
        self._body = _begins(form.body)
        self._rest = _begins(form.rest)

    def cut(self, lines: Sequence[bytes]) -> Cut:
        if not self._body:
            return Cut(b"".join(lines)[:-1], b"", [0] * len(lines))
        return self._in_the_middle(lines) if self._rest else self._at_the_end(lines)

    def _at_the_end(self, lines: Sequence[bytes]) -> Cut:
        events: list[bytes] = []
        which: list[int] = []
        scenes: dict[bytes, int] = {}
        # The body that a page's last event had, which mostly the next one has too. If it has not the
        # first of what looks like a body but a later one, its event is not of the form.
        bodies: dict[bytes, tuple[bytes, int]] = {}
        event_begins, body_begins = self._event, self._body
        for line in lines:
            # Where it is not found, nor is what is looked for from there: -1 is the last byte.
            begin = line.find(event_begins)
            opening = line[:begin]
            body, scene = bodies.get(opening, _NONE)
            if not line.endswith(body):
                at = line.find(body_begins, begin)
                if at < 0:
                    events.append(b"")
                    which.append(scenes.setdefault(b"\n", len(scenes)))
                    continue
                body = line[at:]
                scene = scenes.setdefault(opening + STOP + body, len(scenes))
                bodies[opening] = body, scene
            events.append(line[begin : -len(body)])
            which.append(scene)
        return Cut(_STOPPED.join(events) + STOP, b"".join(scenes)[:-1], which)

    def _in_the_middle(self, lines: Sequence[bytes]) -> Cut:
        events: list[bytes] = []
        which: list[int] = []
        scenes: dict[bytes, int] = {}
        # Each with what the rest begins with, so that none passes for a longer one.
        bodies: dict[bytes, tuple[bytes, int]] = {}
        event_begins, body_begins, rest_begins = self._event, self._body, self._rest
        for line in lines:
            begin = line.find(event_begins)
            opening = line[:begin]
            at = line.find(body_begins, begin)
            body, scene = bodies.get(opening, _NONE)
            if not line.startswith(body, at):
                end = line.find(rest_begins, at)
                if at < 0 or end < 0:
                    events.append(b"")
                    which.append(scenes.setdefault(b"", len(scenes)))
                    continue
                body = line[at : end + len(rest_begins)]
                scene = scenes.setdefault(opening + STOP + line[at:end], len(scenes))
                bodies[opening] = body, scene
            rest = at + len(body) - len(rest_begins)
            events.append(line[begin:at] + STOP + line[rest:-1])
            which.append(scene)
        return Cut(b"\n".join(events), _STOPPED.join(scenes) + STOP, which)


_STOPPED = STOP + b"\n"
_NONE = STOP, 0
"""No line ends with it, and no body begins with it."""


def _begins(part: Sequence[Slot]) -> bytes:
    return b',"%b":' % part[0].field.encode() if part else b""
