"""The values that pass between the rooms: times, windows, bundles, counts of changes, staged parts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Where time begins for the ledger: the export API counts in Unix seconds."""


def rfc3339(moment: datetime) -> str:
    """``2026-11-23T04:00:00Z``; a fraction only when there is one, at most microseconds."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="auto")
    return (text.rstrip("0") if "." in text else text) + "Z"


A_TIME = "a time such as 2026-11-23T04:00:00Z"
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def read_rfc3339(text: Any) -> datetime:
    """The inverse of `rfc3339`, of any zone but never without one. ValueError for all else."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("it is not a time")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such time") from error


_LONGEST_SHOWN = 80


def shown(value: Any) -> str:
    """``value`` as a message quotes it: JSON, short, and nothing that a terminal would obey."""
    text = value[:_LONGEST_SHOWN] if isinstance(value, str) else value
    quoted = json.dumps(text, default=str)
    return quoted if len(quoted) <= _LONGEST_SHOWN else f"{quoted[:_LONGEST_SHOWN]}…"


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span of time, ``start <= t < stop``, both aware and in UTC."""

    start: datetime
    stop: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.stop.tzinfo is None:
            raise ValueError("a window needs aware datetimes")
        if self.stop < self.start:
            raise ValueError(f"a window cannot stop ({self.stop}) before it starts ({self.start})")

    def __str__(self) -> str:
        return f"{rfc3339(self.start)} – {rfc3339(self.stop)}"

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.stop

    def overlaps(self, other: Window) -> bool:
        return self.start < other.stop and other.start < self.stop

    def covers(self, other: Window) -> bool:
        return self.start <= other.start and other.stop <= self.stop


@dataclass(frozen=True, slots=True)
class Bundle:
    """One download that the API offers: ``id`` is the API's (generation 1) or made from the window."""

    id: str
    window: Window

    def __str__(self) -> str:
        return f"{self.id} ({self.window})"


class ChangeKind(StrEnum):
    """The ways in which hauserpy alters data; each is counted by column."""

    UNFIT = "unfit"
    """The value does not fit its column: NULL there, kept in CustomVars under its own key."""
    NUL_REMOVED = "nul_removed"
    SURROGATE_REPLACED = "surrogate_replaced"
    TIME_CUT = "time_cut"
    """Digits past the microsecond, other than zeros, were dropped."""
    TEXT_CUT = "text_cut"
    """Text beyond the column's length was cut on a character boundary."""
    CUSTOM_VARS_CUT = "custom_vars_cut"
    """Values inside CustomVars were shortened so that it fits and stays valid JSON."""
    NUMBER_AS_TEXT = "number_as_text"
    """A number that the JSON column's type cannot hold exactly became a string."""
    CLIPPED = "clipped"
    """Rows left out because their part of the window was loaded before."""


class Changes(dict[tuple[ChangeKind, str], int]):
    """How often each kind of change was made, by column: ``{(kind, column): count}``."""

    def count(self, kind: ChangeKind, column: str, times: int = 1) -> None:
        if times:
            self[kind, column] = self.get((kind, column), 0) + times

    def merge(self, other: Mapping[tuple[ChangeKind, str], int]) -> None:
        for (kind, column), times in other.items():
            self.count(kind, column, times)

    def to_json(self) -> dict[str, dict[str, int]]:
        """``{"unfit": {"EventStart": 3}}``, sorted."""
        found: dict[str, dict[str, int]] = {}
        for (kind, column), times in sorted(self.items()):
            found.setdefault(kind.value, {})[column] = times
        return found

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping[str, int]]) -> Self:
        made = cls()
        for kind, columns in data.items():
            for column, times in columns.items():
                made.count(ChangeKind(kind), column, int(times))
        return made

    @classmethod
    def total(cls, several: Iterable[Mapping[tuple[ChangeKind, str], int]]) -> Self:
        made = cls()
        for one in several:
            made.merge(one)
        return made


@dataclass(frozen=True, slots=True)
class Part:
    """A whole staged file; fsynced where the layout is durable."""

    path: Path
    size: int
    records: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Clip:
    """Which rows of a bundle to keep when parts of its window are loaded already.

    Rows whose EventStart lies in ``keep`` stay; those elsewhere inside ``bundle`` go, and are
    counted where they lie in ``loaded``: others come with other parts of the bundle. Rows with no
    EventStart, or one outside the bundle's window, stay with ``strays``.
    """

    keep: Window
    bundle: Window
    strays: bool
    loaded: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Staged:
    """A bundle on disk, ready to load: its parts, and what they hold."""

    parts: tuple[Part, ...]
    records: int
    bytes: int
    changes: Changes
    first_event: datetime | None
    last_event: datetime | None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that `hauserpy check` tried: what came of it, and what to do when it failed.

    When one that is ``vital`` fails, what depends on it need not be tried.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    vital: bool = False
