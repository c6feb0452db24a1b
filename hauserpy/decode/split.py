"""The text of one JSON array as batches that end between two records.

A border is looked for, not parsed for: a ``}`` behind which ``, {`` follows. Inside a string or a
nested value such a place is not a border; then the batch does not parse (`hauserpy.decode.records`)
and is joined with the next one. So the search may be wrong, and the result cannot be.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hauserpy.errors import CorruptBundle, RecordTooLarge

BATCH_BYTES = 1 << 20
"""About how much text a batch holds: enough to make a message between processes cheap, little
enough that the objects it parses to (some ten times its size) stay small."""

MOST_BYTES = 1 << 24
"""The bound of one record where nobody says another."""

_SPACE = b" \t\n\r"
_BETWEEN = _SPACE + b",]"
_BOM = b"\xef\xbb\xbf"
_BORDER = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)")
_LEAD = re.compile(rb'\{[ \t\n\r]*"[^"\\]{1,200}"[ \t\n\r]*:')
_NEAR = 1 << 16
_SMALL = 1 << 12
"""A piece below this is copied behind the one before it: kept apart, a byte costs two hundred."""
_FEW = 1 << 8
"""Bytes in which all of a usual separator is."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Text of whole records with commas between them, if its borders are real.

    ``offset`` is where it begins in the bundle's text. ``last``: nothing but the array's end
    follows. ``separator`` is what stands behind it: a comma and white space, or what white space
    there is before the array's end.
    """

    text: bytes
    offset: int
    last: bool
    separator: bytes = b""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A batch's text where it came to lie: in pieces that nobody has joined, ``size`` bytes in all.

    A pool copies them one behind the other to where a worker reads them, and that is all the
    copying there is.
    """

    pieces: tuple[bytes | memoryview, ...]
    size: int
    offset: int
    last: bool
    separator: bytes = b""

    def batch(self) -> Batch:
        return Batch(b"".join(self.pieces), self.offset, self.last, self.separator)

    def divided(self, batch_bytes: int, *, most_bytes: int) -> Iterator[Stretch]:
        """The same in smaller ones; for a stretch that is proved to be whole records."""
        for part in stretches((b"[", *map(bytes, self.pieces), b"]"), batch_bytes=batch_bytes,
                              most_bytes=most_bytes):  # fmt: skip
            offset = self.offset + part.offset - len(b"[")
            if part.last:
                yield replace(part, offset=offset, last=self.last, separator=self.separator)
            else:
                yield replace(part, offset=offset)

    def cut(self, at: int) -> tuple[Stretch, Stretch] | None:
        """What is before a record that begins at ``at``, and the rest; None when nothing is."""
        text = b"".join(self.pieces)
        before = text[:at].rstrip(_SPACE).removesuffix(b",").rstrip(_SPACE)
        if not before:
            return None
        head = Stretch(
            (before,), len(before), self.offset, last=False, separator=text[len(before) : at]
        )
        rest = text[at:]
        return head, replace(self, pieces=(rest,), size=len(rest), offset=self.offset + at)

    def joined(self, following: Stretch) -> Stretch:
        """Both as one: what to parse when the border between them was not real."""
        return Stretch(
            (*self.pieces, self.separator, *following.pieces),
            self.size + len(self.separator) + following.size,
            self.offset,
            following.last,
            following.separator,
        )


def split(
    chunks: Iterable[bytes], *, batch_bytes: int = BATCH_BYTES, most_bytes: int = MOST_BYTES
) -> Iterator[Batch]:
    """The batches of `stretches`, each one's text in one piece."""
    for stretch in stretches(chunks, batch_bytes=batch_bytes, most_bytes=most_bytes):
        yield stretch.batch()


def stretches(
    chunks: Iterable[bytes], *, batch_bytes: int = BATCH_BYTES, most_bytes: int = MOST_BYTES
) -> Iterator[Stretch]:
    """Cut the array into batches of about ``batch_bytes``; an empty array gives none.

    Holds at most a batch and what ``most_bytes`` (the bound of one record) adds to it. Raises
    CorruptBundle when the text is no array (an HTML page, an object, null), is cut short, has
    something behind its end, or holds a record beyond ``most_bytes``; the offset is in the text.
    """
    cutter = _Cutter(batch_bytes, most_bytes)
    for chunk in chunks:
        yield from cutter.feed(chunk)
    yield from cutter.finish()


class _Held:
    """Text that was fed and not yet cut, in the pieces that it came in."""

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self._small = bytearray()
        """What comes behind all the pieces, until it is one worth keeping apart."""
        self.size = 0

    def append(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._small or len(piece) < _SMALL:
            self._small += piece
            if len(self._small) >= _SMALL:
                self._settle()
        else:
            self._pieces.append(memoryview(piece))

    def take(self, size: int) -> tuple[memoryview, ...]:
        """The first ``size`` bytes, which are held no longer."""
        self._settle()
        taken = []
        self.size -= size
        while size:
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(piece[size:])
                piece = piece[:size]
            taken.append(piece)
            size -= len(piece)
        return tuple(taken)

    def between(self, start: int, stop: int) -> bytes:
        """A copy of the text from ``start`` to ``stop``."""
        self._settle()
        found = []
        for piece in self._pieces:
            if stop <= 0:
                break
            if start < len(piece):
                found.append(piece[max(start, 0) : stop])
            start -= len(piece)
            stop -= len(piece)
        return b"".join(found)

    def take_all(self) -> bytes:
        self._settle()
        text = b"".join(self._pieces)
        self._pieces.clear()
        self.size = 0
        return text

    def _settle(self) -> None:
        if self._small:
            self._pieces.append(memoryview(self._small))
            self._small = bytearray()


class _Cutter:
    def __init__(self, batch_bytes: int, most_bytes: int) -> None:
        self._batch_bytes = max(min(batch_bytes, most_bytes), 1)
        self._most_bytes = most_bytes
        self._held = _Held()
        self._wanted = 1
        self._offset = 0
        self._begun = False
        self._lead: bytes | None = None

    def feed(self, chunk: bytes) -> Iterator[Stretch]:
        held = self._held
        held.append(chunk)
        if held.size < self._wanted:
            return
        if not self._begun:
            held.append(self._begin(held.take_all()))
        while held.size >= self._batch_bytes and (border := self._border()) is not None:
            end, start = border
            text = held.take(end)
            separator = b"".join(held.take(start - end))
            yield Stretch(text, end, self._offset, last=False, separator=separator)
            self._offset += start
        if held.size >= self._batch_bytes:
            self._bound()
        # Searching again in the same text for each small chunk would be quadratic.
        soon = max(self._most_bytes, held.size) + self._batch_bytes
        self._wanted = min(max(self._batch_bytes, held.size * 2), soon) if self._begun else 1

    def finish(self) -> Iterator[Stretch]:
        text = self._held.take_all()
        if not self._begun:
            text = self._begin(text, at_end=True)
        body = text.rstrip(_SPACE)
        if not body.endswith(b"]"):
            if body:
                # Whatever else is wrong with it comes before its end, and is reported first.
                yield Stretch((body,), len(body), self._offset, last=False)
            raise CorruptBundle("the array is cut short", offset=self._offset + len(body))
        records = body[:-1].rstrip(_SPACE)
        if records:
            separator = body[len(records) : -1]
            yield Stretch((records,), len(records), self._offset, last=True, separator=separator)

    def _begin(self, text: bytes, *, at_end: bool = False) -> bytes:
        """Drop the BOM, white space and the opening bracket; too little text is kept as it is."""
        lead = len(text) - len(text.removeprefix(_BOM).lstrip(_SPACE))
        rest = text[lead:]
        if not rest:
            if at_end:
                raise CorruptBundle("it is empty where a JSON array should be", offset=0)
            if lead > self._most_bytes:
                raise CorruptBundle("it is nothing but white space", offset=0)
            return text
        if not rest.startswith(b"["):
            if not at_end and len(rest) < len(b"null") and not len(text) > self._most_bytes:
                return text
            raise CorruptBundle(f"{_kind(rest)} stands where the array should", offset=lead)
        self._begun = True
        self._offset = lead + 1
        return rest[1:]

    def _border(self) -> tuple[int, int] | None:
        """Where the last record of a batch ends and the next one starts, near ``batch_bytes``."""
        held, limit = self._held, self._batch_bytes
        lead = self._lead
        if lead is None:
            found = _LEAD.match(held.between(0, _NEAR).lstrip(_SPACE)[:300])
            lead = self._lead = found[0] if found else b""
        near = max(0, limit - _NEAR)
        # Records made by one program begin alike, and nested objects and strings do not.
        for start in (near, 0) if lead else ():
            if border := _before_lead(held.between(start, limit + len(lead)), lead):
                return start + border[0], start + border[1]
        # The record that it was taken from was another kind than those of this batch.
        self._lead = None
        for start in (near, 0):
            borders = list(_BORDER.finditer(held.between(start, limit + 1)))
            if borders:
                return start + borders[-1].start() + 1, start + borders[-1].end()
        first = _BORDER.search(held.between(0, held.size))
        return (first.start() + 1, first.end()) if first else None

    def _bound(self) -> None:
        """One record is at most `most_bytes`: more without a border is none, but for the space
        around it."""
        if self._held.size <= self._most_bytes:
            return
        text = self._held.between(0, self._held.size)
        record = text.lstrip(_SPACE)
        offset = self._offset + len(text) - len(record)
        if len(record.rstrip(_BETWEEN)) > self._most_bytes:
            if not record.startswith(b"{"):
                raise CorruptBundle(f"{_kind(record)} stands where a record should", offset=offset)
            raise RecordTooLarge.than(self._most_bytes, offset=offset)
        if len(text) > 2 * self._most_bytes + self._batch_bytes:
            raise CorruptBundle("there is no end to the white space", offset=self._offset)


def _before_lead(text: bytes, lead: bytes) -> tuple[int, int] | None:
    """The border before the last ``lead`` in ``text``, if there is one right before it."""
    start = text.rfind(lead)
    end = max(0, start - _FEW)
    space = text[end:start].rstrip(_SPACE)
    if start <= 0 or not space.endswith(b","):
        return None
    record = space[:-1].rstrip(_SPACE)
    return (end + len(record), start) if record.endswith(b"}") else None


def _kind(text: bytes) -> str:
    first = text[:1]
    if first == b"<":
        return "an HTML or XML page"
    if first == b"{":
        return "an object"
    if text.startswith(b"null"):
        return "null"
    if first == b'"':
        return "a string"
    if first in b"-0123456789":
        return "a number"
    return f"{text[:20]!r}"
