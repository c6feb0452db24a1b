"""The text of one JSON array as batches that end between two records.

A border is looked for, not parsed for: a ``}`` behind which ``, {`` follows. Inside a string or a
nested value such a place is not a border; then the batch does not parse (`hauserpy.decode.records`)
and is joined with the next one. So the search may be wrong, and the result cannot be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hauserpy.errors import CorruptBundle

BATCH_BYTES = 1 << 20
"""About how much text a batch holds: enough to make a message between processes cheap, little
enough that the objects it parses to (some ten times its size) stay small."""

_SPACE = b" \t\n\r"
_BETWEEN = _SPACE + b",]"
_BOM = b"\xef\xbb\xbf"
_BORDER = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)")
_LEAD = re.compile(rb'\{[ \t\n\r]*"[^"\\]{1,200}"[ \t\n\r]*:')
_NEAR = 1 << 16


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

    def joined(self, following: Batch) -> Batch:
        """Both as one: what to parse when the border between them was not real."""
        return Batch(
            b"".join((self.text, self.separator, following.text)),
            self.offset,
            following.last,
            following.separator,
        )


def split(
    chunks: Iterable[bytes], *, batch_bytes: int = BATCH_BYTES, most_bytes: int = 1 << 24
) -> Iterator[Batch]:
    """Cut the array into batches of about ``batch_bytes``; an empty array gives none.

    Holds at most a batch and what ``most_bytes`` (the bound of one record) adds to it. Raises
    CorruptBundle when the text is no array (an HTML page, an object, null), is cut short, has
    something behind its end, or holds a record beyond ``most_bytes``; the offset is in the text.
    """
    cutter = _Cutter(batch_bytes, most_bytes)
    for chunk in chunks:
        yield from cutter.feed(chunk)
    yield from cutter.finish()


class _Cutter:
    def __init__(self, batch_bytes: int, most_bytes: int) -> None:
        self._batch_bytes = min(batch_bytes, most_bytes)
        self._most_bytes = most_bytes
        self._pieces: list[bytes] = []
        self._held = 0
        self._wanted = 1
        self._offset = 0
        self._begun = False
        self._lead: bytes | None = None

    def feed(self, chunk: bytes) -> Iterator[Batch]:
        self._pieces.append(chunk)
        self._held += len(chunk)
        if self._held < self._wanted:
            return
        text = b"".join(self._pieces)
        if not self._begun:
            text = self._begin(text)
        while len(text) >= self._batch_bytes:
            border = self._border(text)
            if border is None:
                self._bound(text)
                break
            end, start = border
            yield Batch(text[:end], self._offset, last=False, separator=text[end:start])
            self._offset += start
            text = text[start:]
            if len(text) < self._batch_bytes:
                break
        self._pieces = [text]
        self._held = len(text)
        # Searching again in the same text for each small chunk would be quadratic.
        soon = max(self._most_bytes, len(text)) + self._batch_bytes
        self._wanted = min(max(self._batch_bytes, len(text) * 2), soon) if self._begun else 1

    def finish(self) -> Iterator[Batch]:
        text = b"".join(self._pieces)
        if not self._begun:
            text = self._begin(text, at_end=True)
        body = text.rstrip(_SPACE)
        if not body.endswith(b"]"):
            if body:
                # Whatever else is wrong with it comes before its end, and is reported first.
                yield Batch(body, self._offset, last=False)
            raise CorruptBundle("the array is cut short", offset=self._offset + len(body))
        records = body[:-1].rstrip(_SPACE)
        if records:
            yield Batch(records, self._offset, last=True, separator=body[len(records) : -1])

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
            if not at_end and len(rest) < len(b"null") and not self._held > self._most_bytes:
                return text
            raise CorruptBundle(f"{_kind(rest)} stands where the array should", offset=lead)
        self._begun = True
        self._offset = lead + 1
        return rest[1:]

    def _border(self, text: bytes) -> tuple[int, int] | None:
        """Where the last record of a batch ends and the next one starts, near ``batch_bytes``."""
        if self._lead is None:
            found = _LEAD.match(text.lstrip(_SPACE)[:300])
            self._lead = found[0] if found else b""
        limit = min(len(text), max(self._batch_bytes, 1))
        if self._lead:
            # Records made by one program begin alike, and nested objects and strings do not.
            start = text.rfind(self._lead, 0, limit + len(self._lead))
            if start > 0:
                before = text[max(0, start - _NEAR) : start].rstrip(_SPACE)
                if before.endswith(b","):
                    before = before[:-1].rstrip(_SPACE)
                    if before.endswith(b"}"):
                        end = start - (min(start, _NEAR) - len(before))
                        return end, start
        for near in (max(0, limit - _NEAR), 0):
            borders = list(_BORDER.finditer(text, near, limit + 1))
            if borders:
                return borders[-1].start() + 1, borders[-1].end()
        found = _BORDER.search(text)
        return (found.start() + 1, found.end()) if found else None

    def _bound(self, text: bytes) -> None:
        """One record is at most `most_bytes`: more without a border is none, but for the space
        around it."""
        if len(text) <= self._most_bytes:
            return
        record = text.lstrip(_SPACE)
        offset = self._offset + len(text) - len(record)
        if len(record.rstrip(_BETWEEN)) > self._most_bytes:
            if not record.startswith(b"{"):
                raise CorruptBundle(f"{_kind(record)} stands where a record should", offset=offset)
            raise CorruptBundle(
                f"a record is larger than MaxRecordBytes ({self._most_bytes} bytes)", offset=offset
            )
        if len(text) > 2 * self._most_bytes + self._batch_bytes:
            raise CorruptBundle("there is no end to the white space", offset=self._offset)


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
