"""The records of a batch as lines of text, and what is in their braces."""

from __future__ import annotations

from collections.abc import Iterable

_BORDER = b"},\n{"


def lined(text: bytes, separator: bytes) -> bytes | None:
    """The records of a batch, each in its line; None when they do not begin and end with a brace."""
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return None
    border = b"}%b{" % separator
    return text if border == _BORDER else text.replace(border, _BORDER)


def count(lines: bytes, most: int) -> int | None:
    """How many lines these are; None when they are more than ``most``, or when one of them ends or
    begins otherwise than a record does: a match that goes on beyond it might go on to the end."""
    # Many times as fast as counting the breaks, since lines are long.
    number = 1
    at = lines.find(b"\n")
    while at >= 0:
        if number == most or lines[at - 2 : at + 2] != _BORDER:
            return None
        number += 1
        at = lines.find(b"\n", at + 1)
    return number


def insides(lines: bytes, numbers: Iterable[int]) -> list[bytes]:
    """What the braces enclose in the lines with these numbers, for lines that were counted."""
    *several, last = lines.split(b"\n")
    # Only the last has no comma behind it.
    several.append(last + b",")
    return [several[n][1:-2] for n in numbers]
