"""What may stand as a name in someone else's system: tables, schemas, header names, prefixes.

Each check returns the text or raises Unfit, whose message says what is wrong with it.
"""

from __future__ import annotations

import re
import unicodedata

REDSHIFT_NAME = "letters, digits, _ and $, not beginning with a digit or $, at most {limit} bytes"
BIGQUERY_TABLE = "letters, digits, _, - and spaces, at most {limit} bytes"
LONGEST_SUFFIX = len("_ledger")
"""SyncTable is the stem of two more tables, so that it must leave room for their endings."""

_PLACEHOLDER = re.compile(r"<[^<>]*>")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Unfit(ValueError):
    """A value that its key cannot take; the message is the reason, without the value."""


def is_placeholder(text: str) -> bool:
    """Whether an example's ``<your bucket>`` was left in place."""
    return _PLACEHOLDER.search(text) is not None


def printable(text: str) -> str:
    """Text of one line: no NUL, no line break, nothing that a terminal would obey."""
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise Unfit(f"it holds a control character (U+{ord(character):04X})")
    return text


def redshift_name(text: str, *, limit: int = 127) -> str:
    """An identifier that needs no quotes, and holds nothing that could end one.

    Limits from Redshift's manual, "Names and identifiers".
    """
    for character in text:
        if not (character.isalpha() or character.isdecimal() or character in "_$"):
            raise Unfit(f"{_shown(character)} cannot stand in a name")
    if text and (text[0].isdecimal() or text[0] == "$"):
        raise Unfit(f"it begins with {_shown(text[0])}")
    return _sized(text, limit)


def bigquery_table(text: str, *, limit: int = 1024) -> str:
    """A table's name without its project and dataset, and without a ``$`` decorator.

    Unicode letters, marks, numbers, connectors, dashes and spaces, as BigQuery's manual has it
    under "Table naming".
    """
    for character in text:
        if unicodedata.category(character)[0] not in "LMN" and unicodedata.category(
            character
        ) not in {"Pc", "Pd", "Zs"}:
            raise Unfit(f"{_shown(character)} cannot stand in a table's name")
    return _sized(text, limit)


def file_prefix(text: str) -> str:
    """What file and object names begin with. It may name folders below ``SaveDir``, as hauser's
    may, and may not lead out of it."""
    printable(text)
    if text.startswith("/"):
        raise Unfit("it begins with a slash")
    if "\\" in text:
        raise Unfit("it holds a backslash")
    if ".." in text.split("/") or text.endswith(".."):
        raise Unfit("its .. leads out of the folder")
    if "." in text.split("/")[:-1] or "//" in text:
        raise Unfit("it names a folder without a name")
    if text.startswith(".hauserpy/"):
        raise Unfit(".hauserpy is where the ledger lives")
    if len(text.encode("utf-8", "surrogatepass")) > 512:
        raise Unfit("it is longer than 512 bytes")
    return text


def place(text: str) -> str:
    """A cloud's region. It ends up in the text of a COPY."""
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", text):
        raise Unfit("it is not the name of a region")
    return text


def header_name(text: str) -> str:
    """A header's name (RFC 9110's token), other than those that the client itself must set."""
    if not _HEADER_NAME.fullmatch(text):
        raise Unfit("a Key is not the name of a header")
    if text.lower() in {"authorization", "content-length", "transfer-encoding", "host"}:
        raise Unfit(f"the header {text} is hauserpy's own to set")
    return text


def header_value(text: str) -> str:
    """Without line breaks, which would begin another header."""
    if any(ord(c) < 0x20 and c != "\t" for c in text) or "\x7f" in text:
        raise Unfit("a Value holds a control character")
    if not text.isascii():
        raise Unfit("a Value holds a character that is not ASCII")
    return text


def _sized(text: str, limit: int) -> str:
    if not text:
        raise Unfit("it is empty")
    if len(text.encode("utf-8", "surrogatepass")) > limit:
        raise Unfit(f"it is longer than {limit} bytes")
    return text


def _shown(character: str) -> str:
    return f'"{character}"' if character.isprintable() else f"U+{ord(character):04X}"
