"""The entries of a ledger, each a window that was loaded, and their JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from hauserpy.errors import LedgerUnreadable
from hauserpy.model import A_TIME, Changes, Window, read_rfc3339, rfc3339, shown


class EntryKind(StrEnum):
    SYNC = "sync"
    BACKFILL = "backfill"
    SKIP = "skip"
    """Given up, with a reason; no rows."""
    HAUSER = "hauser"
    """The baseline: what the Go hauser loaded before we came."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A data file or object that holds an entry's rows. ``digest`` is ``crc32:…`` (eight
    hexadecimal digits), ``crc32c:…`` or ``etag:…``."""

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

    @property
    def key(self) -> tuple[str, Window]:
        """No two entries of a ledger have the same; parts of a baseline have one load."""
        return self.load, self.window

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


def not_among(entries: Iterable[LedgerEntry], others: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Those that others are not. (Comparing each with each takes minutes for the hours of a year.)"""
    known = {entry.key for entry in others}
    return [entry for entry in entries if entry.key not in known]
