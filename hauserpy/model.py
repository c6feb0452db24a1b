"""The values that pass between the rooms: windows, bundles, ledger entries, layouts, parts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from hauserpy.errors import LedgerUnreadable

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


class EntryKind(StrEnum):
    SYNC = "sync"
    BACKFILL = "backfill"
    SKIP = "skip"
    """Given up, with a reason; no rows."""
    HAUSER = "hauser"
    """The baseline: what the Go hauser loaded before we came."""


class ChangeKind(StrEnum):
    """The ways in which hauserpy alters data; each is counted by column (design 3)."""

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

    def by_kind(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        for (kind, _), times in sorted(self.items()):
            totals[kind.value] = totals.get(kind.value, 0) + times
        return totals

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
class StoredFile:
    """A data file or object that holds an entry's rows. ``digest`` is ``sha256:…`` or ``etag:…``."""

    name: str
    size: int
    digest: str


ENTRY_VERSION = 1


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One loaded window. ``load`` is a uuid made for each attempt; the ledger compares by it."""

    window: Window
    kind: EntryKind
    bundle: str
    load: str
    records: int = 0
    bytes: int = 0
    """Of the gunzipped bundle."""
    changes: Changes = field(default_factory=Changes)
    first_event: datetime | None = None
    last_event: datetime | None = None
    """Least and greatest EventStart of the rows; None when no row has one."""
    loaded_at: datetime | None = None
    reason: str = ""
    """Why it was given up (kind ``skip``)."""
    files: tuple[StoredFile, ...] = ()
    version: int = ENTRY_VERSION

    def with_files(self, files: Iterable[StoredFile]) -> LedgerEntry:
        return replace(self, files=tuple(files))

    def to_json(self) -> dict[str, Any]:
        """A JSON object with times as RFC 3339; `from_json` is its inverse."""
        return {
            "start": rfc3339(self.window.start),
            "stop": rfc3339(self.window.stop),
            "kind": self.kind.value,
            "bundle": self.bundle,
            "load": self.load,
            "records": self.records,
            "bytes": self.bytes,
            "changes": self.changes.to_json(),
            "first_event": _text(self.first_event),
            "last_event": _text(self.last_event),
            "loaded_at": _text(self.loaded_at),
            "reason": self.reason,
            "files": [{"name": f.name, "size": f.size, "digest": f.digest} for f in self.files],
            "version": self.version,
        }

    @classmethod
    def from_json(
        cls,
        data: Mapping[str, Any],
        place: str = "an entry of the ledger",
        names: Mapping[str, str] | None = None,
    ) -> LedgerEntry:
        """Raises LedgerUnreadable when a key is missing, wrong, or of a newer version.

        ``place`` is what a message calls the entry; ``names``, by key, what it calls the keys there.
        """
        key = ""

        def wrong(problem: str) -> LedgerUnreadable:
            name = names[key] if names else f'"{key}"'
            return LedgerUnreadable(
                f"{place} cannot be read: {name} {problem}.",
                "Restore the ledger from a backup; hauserpy never takes it for an empty one.",
            )

        values: dict[str, Any] = {}
        try:
            for key, (read, _) in _READERS.items():
                values[key] = read(data[key])
                if key == "version" and values[key] > ENTRY_VERSION:
                    raise LedgerUnreadable(
                        f"{place} is of version {values[key]}; this hauserpy reads up to"
                        f" {ENTRY_VERSION}.",
                        "Upgrade hauserpy; nothing was changed.",
                    )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if key not in data:
                raise wrong("is missing") from error
            raise wrong(f"is {shown(data[key])}, and must be {_READERS[key][1]}") from error
        start, stop = values.pop("start"), values.pop("stop")
        if stop < start:
            key = "stop"
            raise wrong(f"is {shown(data[key])}, before the window starts")
        return cls(window=Window(start, stop), **values)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _load_id(value: Any) -> str:
    # Two entries without one would pass for each other where loads are compared.
    if not isinstance(value, str) or not value:
        raise ValueError("there is none")
    return value


def _optional(text: str | None) -> datetime | None:
    return None if text is None else read_rfc3339(text)


def _files(listed: Any) -> tuple[StoredFile, ...]:
    return tuple(StoredFile(str(f["name"]), int(f["size"]), str(f["digest"])) for f in listed)


_READERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "version": (int, "a whole number"),
    "start": (read_rfc3339, A_TIME),
    "stop": (read_rfc3339, A_TIME),
    "kind": (EntryKind, f"one of {', '.join(EntryKind)}"),
    "bundle": (str, "text"),
    "load": (_load_id, "the id of a load"),
    "records": (int, "a whole number"),
    "bytes": (int, "a whole number"),
    "changes": (Changes.from_json, "counts by kind and column"),
    "first_event": (_optional, A_TIME),
    "last_event": (_optional, A_TIME),
    "loaded_at": (_optional, A_TIME),
    "reason": (str, "text"),
    "files": (_files, "a list of files, each with name, size and digest"),
}
"""How an entry's values are read, the version first, and what each must be."""


class FieldType(StrEnum):
    """What a column can hold; the names are SQL's, loosely."""

    INT64 = "int64"
    INT32 = "int32"
    FLOAT64 = "float64"
    STRING = "string"
    TIME = "time"
    """An instant in UTC, to the microsecond."""
    CUSTOM_VARS = "custom_vars"
    """One JSON object of every key that has no column of its own."""
    WINDOW_START = "window_start"
    """The start of the window that the row was loaded for."""


class StageFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    RAW = "raw"
    """The array as it was served, validated like the rest."""


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"


def extension(format: StageFormat, compression: Compression) -> str:
    """``csv``, ``jsonl.gz``, ``parquet``; raw is ``json``, as hauser names it."""
    name = "json" if format is StageFormat.RAW else format.value
    if compression is Compression.GZIP and format is not StageFormat.PARQUET:
        return f"{name}.gz"
    return name


class TimeStyle(StrEnum):
    RFC3339 = "rfc3339"
    """``2026-11-23T04:00:00.25Z``: trailing zeros dropped, as hauser writes it."""
    SQL = "sql"
    """``2026-11-23 04:00:00.25``: UTC without a zone, for a TIMESTAMP column."""


class CustomVarsKind(StrEnum):
    TEXT = "text"
    """JSON text in a string column."""
    OBJECT = "object"
    """An object inside the row (JSON Lines)."""
    TYPED = "typed"
    """JSON text for a JSON or SUPER column: numbers that are neither an int64 nor exactly a double
    become strings."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column that hauserpy fills.

    ``name`` is the destination's; ``field`` the catalogue's (`hauserpy.fields`). ``max_bytes``
    bounds text in UTF-8 bytes, or in what the layout measures by; None is unbounded.
    """

    name: str
    field: str
    type: FieldType
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """What `Destination.prepare` asks the pipeline for: which columns, none of the same field as
    another, and how rows are staged."""

    columns: tuple[Column, ...]
    format: StageFormat = StageFormat.CSV
    compression: Compression = Compression.NONE
    header: bool = True
    """CSV: the first line of the file names the columns."""
    null: str = ""
    """CSV: how NULL is written in a string column; elsewhere NULL is an empty field. Where this is
    not empty, an empty string is an empty field; where it is, an empty string is ``""``."""
    time_style: TimeStyle = TimeStyle.RFC3339
    custom_vars: CustomVarsKind = CustomVarsKind.TEXT
    custom_value_bytes: int | None = None
    """The most bytes that one string inside CustomVars may have (SUPER)."""
    in_characters: bool = False
    """The bounds of columns count Unicode characters (code points), as BigQuery does."""
    int64_as_text: bool = False
    """JSON Lines: int64 columns are written as strings, since readers may use doubles."""
    part_bytes: int | None = None
    """None: one file with the rows in order. Else files of about so many bytes, in any order."""


@dataclass(frozen=True, slots=True)
class Part:
    """A whole staged file on disk, fsynced."""

    path: Path
    size: int
    records: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Clip:
    """Which rows of a bundle to keep when parts of its window are loaded already.

    Rows whose EventStart lies in ``keep`` stay; those elsewhere inside ``bundle`` go and are
    counted. Rows with no EventStart, or one outside the bundle's window, stay with ``strays``.
    """

    keep: Window
    bundle: Window
    strays: bool


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
    """One thing that `hauserpy check` tried: what came of it, and what to do when it failed."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
