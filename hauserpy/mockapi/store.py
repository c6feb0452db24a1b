"""What the mock has to offer: bundles in order of their windows, each a source of records."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from hauserpy.errors import ConfigError
from hauserpy.mockapi import files
from hauserpy.mockapi.content import Content, json_array
from hauserpy.model import Bundle, Window

Batches = Callable[[], Iterator[list[bytes]]]
"""Starts the records of a bundle anew: lists of JSON texts, in order."""

PAGE = 20
"""How many bundles the list shows at most."""

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """One bundle: its records, or one literal body that is served as it is."""

    window: Window
    batches: Batches
    about_bytes: int
    """Roughly how long the JSON text is."""
    literal: bytes | None = None

    @property
    def id(self) -> int:
        """Beyond 32 bits, as real ones are: the start in seconds, then the length in half hours."""
        halves = round((self.window.stop - self.window.start) / timedelta(minutes=30))
        return int(self.window.start.timestamp()) * 100 + min(halves, 99)

    @property
    def bundle(self) -> Bundle:
        return Bundle(str(self.id), self.window)

    def text(self) -> Content:
        """The JSON text of the whole bundle."""
        if self.literal is not None:
            return Content.of(self.literal)
        return json_array(self.batches)

    @property
    def has_records(self) -> bool:
        """The records can be read, which a literal body need not allow."""
        try:
            for _ in self.batches():
                pass
        except ConfigError:
            return False
        return True

    @property
    def is_packed(self) -> bool:
        """The literal body is gzip, or begins like it."""
        return self.literal is not None and self.literal.startswith(_GZIP_MAGIC)


class Store:
    """The bundles, oldest first. Bundles can be added while it is served."""

    def __init__(self, bundles: Iterable[StoredBundle], delay: timedelta) -> None:
        self._lock = threading.Lock()
        self._bundles = sorted(bundles, key=lambda b: b.window)
        self._delay = delay

    def all(self) -> list[StoredBundle]:
        with self._lock:
            return list(self._bundles)

    def add(self, bundle: StoredBundle) -> None:
        """One more, in its place; it replaces one of the same id."""
        with self._lock:
            self._bundles = [b for b in self._bundles if b.id != bundle.id]
            bisect.insort(self._bundles, bundle, key=lambda b: b.window)

    def offered(self, now: datetime) -> list[StoredBundle]:
        """Those that are available: ``delay`` after their end."""
        return [b for b in self.all() if b.window.stop + self._delay <= now]

    def page(self, start: float, now: datetime) -> list[StoredBundle]:
        """The first of those offered whose end is after ``start``, in Unix seconds."""
        later = [b for b in self.offered(now) if b.window.stop.timestamp() > start]
        return later[:PAGE]

    def find(self, id: str, now: datetime) -> tuple[int, StoredBundle] | None:
        """The bundle of that id and its number, from 1."""
        for number, bundle in enumerate(self.offered(now), 1):
            if str(bundle.id) == id:
                return number, bundle
        return None


def literal_bundle(window: Window, body: bytes) -> StoredBundle:
    """A bundle with the given body: JSON text, or anything that starts as gzip does."""
    return StoredBundle(window, lambda: files.batches_of(body), len(body), body)
