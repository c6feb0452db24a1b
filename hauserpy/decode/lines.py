"""The records of a batch as lines of text."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from itertools import islice

_END, _BREAK = b"},\n", b",\n"
_BORDER = _END + b"{"


def lined(text: bytes, separator: bytes, most: int) -> list[bytes] | None:
    """The records of a batch, each with a comma and a line break behind it, if each is in a line of its
    own, as exports have them: that remains to be proved of every line. None when there are more
    than ``most``, or the batch does not begin and end with a brace."""
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return None
    border = b"}%b{" % separator
    if border != _BORDER:
        text = text.replace(border, _BORDER)
    # Many times as fast as `bytes.split`, which looks at one byte after the other.
    lines = list(islice(BytesIO(text), most + 1))
    if len(lines) > most:
        return None
    lines[-1] += _BREAK
    return lines


def insides(lines: Iterable[bytes]) -> list[bytes] | None:
    """What the braces of each line enclose; None when one of them has none."""
    made = []
    for line in lines:
        if not (line.startswith(b"{") and line.endswith(_END)):
            return None
        made.append(line[1 : -len(_END)])
    return made
