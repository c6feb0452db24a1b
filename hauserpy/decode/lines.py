"""The records of a batch as lines of text, and what is in their braces."""

from __future__ import annotations

from collections.abc import Iterable

_BORDER = b"},\n{"


def lined(text: bytes, separator: bytes) -> bytes | None:
    """The records of a batch, each in its line; None when they do not begin and end with a brace.

    Where JSON has line breaks elsewhere, or something else stands between two records, nothing
    matches.
    """
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return None
    border = b"}%b{" % separator
    return text if border == _BORDER else text.replace(border, _BORDER)


def count(lines: bytes, most: int) -> int:
    """How many lines these are, or more than ``most``."""
    # Many times as fast as counting the breaks, since lines are long.
    number = 1
    at = lines.find(b"\n")
    while at >= 0 and number <= most:
        number += 1
        at = lines.find(b"\n", at + 1)
    return number


def insides(lines: bytes, numbers: Iterable[int]) -> list[bytes] | None:
    """What the braces enclose in the lines with these numbers; None when one is no record's."""
    *several, last = lines.split(b"\n")
    # Only the last has no comma behind it.
    several.append(last + b",")
    chosen = [several[n] for n in numbers]
    if not all(line.startswith(b"{") and line.endswith(b"},") for line in chosen):
        return None
    return [line[1:-2] for line in chosen]
