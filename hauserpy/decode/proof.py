"""Records proved to be such, but for their EventStart unseen: for those who copy them to the letter.

A parser makes Python objects of all that it reads, which takes most of its time. msgspec, told to
decode one field, checks the rest as JSON and makes nothing of it.
"""

from __future__ import annotations

from io import BytesIO

import msgspec

from hauserpy.decode.records import MOST_DEPTH, Records
from hauserpy.decode.split import Batch
from hauserpy.fields import EVENT_START

_BREAK = b"\n"
_BETWEEN = b"," + _BREAK
_NEITHER_BRACKET_NOR_BREAK = bytes(set(range(256)) - set(b"[{" + _BREAK))


class _Record(msgspec.Struct, gc=False):
    start: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name=EVENT_START)


_decoded = msgspec.json.Decoder(_Record).decode


def starts_of(batch: Batch) -> Records | None:
    """The records of a batch with nothing in them but their EventStart; None when it must be parsed.

    They are given where each is in a line of its own, as exports have them, and tells its EventStart
    under this name in this case, as text. The borders are then proved, as `parse` proves them, and
    none is nested too deeply. How large each of them is remains to be seen.
    """
    starts = []
    try:
        for line in BytesIO(batch.text + _BETWEEN):
            if not line.endswith(_BETWEEN):
                return None
            # msgspec takes a text of which it makes nothing as it comes, UTF-8 or not.
            line.decode()
            start = _decoded(line[: -len(_BETWEEN)]).start
            if start is msgspec.UNSET:
                return None
            starts.append(start)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None
    # A record has a bracket for each level at least; those in its texts only add to them. (Last of
    # all: where there are more line breaks than records, each would be made an object here.)
    brackets = batch.text.translate(None, _NEITHER_BRACKET_NOR_BREAK).split(_BREAK)
    if max(map(len, brackets)) > MOST_DEPTH:
        return None
    return Records([{EVENT_START: start} for start in starts], plain="\0" not in "".join(starts))
