"""Many small texts of JSON, each the inside of one object, parsed together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import orjson

from hauserpy.decode.digits import OF_INT64, has_wide_number
from hauserpy.decode.records import has_nul

_MARK = os.urandom(8).hex()
"""Stands between objects. Whoever wrote them cannot have known it, so that where it comes back as an
element, it is ours."""
_BETWEEN = b'},"%b",{' % _MARK.encode()


def objects(insides: Sequence[bytes], *, exact: bool = True) -> list[dict[str, Any]] | None:
    """The object of each text; None when one of them is anything else, or when one of them may not
    be plain (see `hauserpy.decode.records.Records`; ``exact`` as in `parse` there).

    A text that is not the whole inside of an object leaves something open or closes too much. Then
    either nothing parses, or a mark is swallowed, or something else comes between two of them.
    """
    if not insides:
        return []
    joined = b"[{%b}]" % _BETWEEN.join(insides)
    if (exact and has_wide_number(joined, OF_INT64 + 1)) or has_nul(joined):
        return None
    try:
        values = orjson.loads(joined)
    except orjson.JSONDecodeError:
        return None
    if len(values) != 2 * len(insides) - 1 or values[1::2].count(_MARK) != len(insides) - 1:
        return None
    found: list[dict[str, Any]] = values[::2]
    return found if set(map(type, found)) == {dict} else None
