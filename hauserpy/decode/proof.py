"""Records proved to be such, but for their EventStart unseen: for those who copy them to the letter.

A parser makes Python objects of all that it reads, which takes most of its time. simdjson reads as
strictly, and makes objects only of what it is asked for.
"""

from __future__ import annotations

from typing import Any

import simdjson

from hauserpy.decode.records import MOST_DEPTH
from hauserpy.decode.split import BATCH_BYTES, Batch
from hauserpy.fields import EVENT_START

_AROUND = 1024 - MOST_DEPTH
"""Arrays around the records. simdjson goes 1,024 levels deep (and counts no object or array that is
empty), so that as many are left for a record as it may have."""

_MOST_BYTES = 4 * BATCH_BYTES
"""The parser keeps the memory that its largest text took, up to some 14 times as much as that."""

_parser = simdjson.Parser()
"""It can be used again as long as nothing refers to what it told of the last batch."""


def starts_of(batch: Batch) -> list[str] | None:
    """The EventStart of each record of a batch; None when it must be parsed.

    They are given where each record tells its own as text. The borders are then proved, as `parse`
    proves them, and no record is nested too deeply. How large each of them is remains to be seen. Of
    a record that bears the name twice it is the first, where the parser takes the last: looking for
    that takes longer than all the rest, and what is copied to the letter depends on neither.
    """
    if len(batch.text) > _MOST_BYTES:
        return None
    try:
        starts = [record[EVENT_START] for record in _elements(batch.text)]
    except (ValueError, RuntimeError, TypeError, LookupError, MemoryError):
        return None
    return starts if set(map(type, starts)) == {str} else None


def _elements(text: bytes) -> Any:
    """The array whose inside is ``text``. Raises ValueError or RuntimeError where it is none."""
    array: Any = _parser.parse(b"".join((b"[" * _AROUND, text, b"]" * _AROUND)))
    for _ in range(_AROUND - 1):
        # Brackets of the text's own may have ended an array of ours and begun another.
        if len(array) != 1:
            raise ValueError
        array = array[0]
    return array
