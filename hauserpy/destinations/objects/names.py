"""Names of data objects, and what their endings tell readers."""

from __future__ import annotations

import re
from collections.abc import Collection

_TYPES = {
    ".csv": "text/csv",
    ".jsonl": "application/jsonl",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".gz": "application/gzip",
}


_START = re.compile(r"[0-9-]+(?:\.[0-9]{6})?")
_LATER = re.compile(r"-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[a-z.]+")


def content_type(name: str) -> str:
    """By the last extension. A gzip file is one, and not an encoding of its content: stores would
    gunzip it for some readers (Cloud Storage, "Transcoding of gzip-compressed files")."""
    _, dot, ending = name.rpartition(".")
    return _TYPES.get(dot + ending, "text/plain")


def stem(plain: str, prefix: str) -> str:
    """``<prefix><start>`` of ``<prefix><start>.csv``, with which all names of its window begin."""
    start = _START.match(plain.removeprefix(prefix))
    return prefix + (start[0] if start is not None else "")


def with_load(plain: str, prefix: str, load: str) -> str:
    """``<prefix><start>-<load>.csv`` for ``<prefix><start>.csv``: the name of a later load."""
    begin = stem(plain, prefix)
    return f"{begin}-{load}{plain.removeprefix(begin)}"


def is_later(name: str, stem: str) -> bool:
    """Whether it is the name of a later load of the window whose names begin with ``stem``."""
    return _LATER.fullmatch(name.removeprefix(stem)) is not None and name.startswith(stem)


def shared_prefix(names: Collection[str]) -> str:
    """The longest text with which all of ``names`` begin."""
    first, last = min(names), max(names)
    for n, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:n]
    return first
