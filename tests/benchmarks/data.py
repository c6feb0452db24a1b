"""The bundles that are measured: synthetic and seeded, so that every run has the same bytes."""

from __future__ import annotations

import gzip
import itertools
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hauserpy.mockapi.synthetic import END, write_bundle
from hauserpy.model import Window

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_PAGE = re.compile(rb'"PageId":\d+')
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)b?", re.IGNORECASE)


@dataclass(frozen=True)
class Body:
    """A bundle's body: a gzip file, and how many bytes of JSON text it holds."""

    path: Path
    window: Window
    json_bytes: int

    @property
    def gzip_bytes(self) -> int:
        return self.path.stat().st_size


def windows(count: int) -> list[Window]:
    """Days that follow one another, oldest first."""
    day = timedelta(days=1)
    return [Window(END - (n + 1) * day, END - n * day) for n in reversed(range(count))]


def generate(
    folder: Path, *, count: int, json_bytes: int, seed: int, alone: bool = False
) -> list[Body]:
    """``count`` bundles of about ``json_bytes`` of JSON text each; ``alone``: every event on a page
    that no other has."""
    made = []
    for n, window in enumerate(windows(count)):
        path = folder / f"body-{n}.json.gz"
        size = write_bundle(path, window=window, seed=seed + n, bytes=json_bytes)
        if alone:
            size = _set_apart(path)
        made.append(Body(path, window, size))
    return made


def _set_apart(path: Path) -> int:
    """Give every event a page of its own; returns the bytes of the JSON text."""
    numbers = itertools.count(1 << 52)
    size = 0
    apart = path.with_suffix(".apart")
    with gzip.open(path, "rb") as lines, gzip.open(apart, "wb", compresslevel=1) as out:
        for line in lines:
            size += out.write(_PAGE.sub(lambda _: b'"PageId":%d' % next(numbers), line))
    apart.replace(path)
    return size


def size(text: str) -> int:
    """``250MB``, ``10GB``, ``200kB`` as bytes. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; write it as 250MB or 10GB")
    return int(float(match[1]) * _UNITS[match[2].lower()])
