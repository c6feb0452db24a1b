"""What both SQL destinations share: the tables' names, ledger rows, and what they mean together.

Three small tables stand beside the events: hauser's own ``SyncTable`` (``ID``, ``Processed``,
``BundleEndTime``), ``<SyncTable>_ledger`` with a row for each loaded window, and
``<SyncTable>_lock`` with exactly one row, which a load locks first. Our checkpoint stands in one of
the latter two as well, which is how a later run of the Go hauser is noticed: it knows only
``SyncTable``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hauserpy.destinations.reading import Damaged, parsed
from hauserpy.destinations.scope import Scope, decode, refuse_other
from hauserpy.entries import LedgerEntry
from hauserpy.errors import HauserHasRun, LedgerUnreadable
from hauserpy.layout import FieldType
from hauserpy.ledger import Ledger
from hauserpy.model import rfc3339, shown

SYNC_COLUMNS: Mapping[str, FieldType] = {
    "ID": FieldType.INT64,
    "Processed": FieldType.TIME,
    "BundleEndTime": FieldType.TIME,
}
"""hauser's, exactly as it writes them."""

LEDGER_COLUMNS: Mapping[str, FieldType] = {
    "StartTime": FieldType.TIME,
    "StopTime": FieldType.TIME,
    "Kind": FieldType.STRING,
    "Bundle": FieldType.STRING,
    "LoadId": FieldType.STRING,
    "Records": FieldType.INT64,
    "Bytes": FieldType.INT64,
    "Changes": FieldType.STRING,
    "FirstEvent": FieldType.TIME,
    "LastEvent": FieldType.TIME,
    "LoadedAt": FieldType.TIME,
    "Reason": FieldType.STRING,
    "Version": FieldType.INT64,
}
"""``Changes`` is JSON text: ``{"unfit": {"EventStart": 3}}``."""

_COLUMN_OF: Mapping[str, str] = {
    "start": "StartTime",
    "stop": "StopTime",
    "kind": "Kind",
    "bundle": "Bundle",
    "load": "LoadId",
    "records": "Records",
    "bytes": "Bytes",
    "changes": "Changes",
    "first_event": "FirstEvent",
    "last_event": "LastEvent",
    "loaded_at": "LoadedAt",
    "reason": "Reason",
    "version": "Version",
}
"""By key of `LedgerEntry.to_json`. A table of rows has no files."""

_BIGGEST = 2**63 - 1


def ledger_table(sync_table: str) -> str:
    return f"{sync_table}_ledger"


def lock_table(sync_table: str) -> str:
    return f"{sync_table}_lock"


def row_of(entry: LedgerEntry) -> dict[str, Any]:
    """The entry's values by column of the ledger table, times as aware datetimes."""
    return {
        "StartTime": entry.window.start,
        "StopTime": entry.window.stop,
        "Kind": entry.kind.value,
        "Bundle": entry.bundle,
        "LoadId": entry.load,
        "Records": entry.records,
        "Bytes": entry.bytes,
        "Changes": json.dumps(entry.changes.to_json(), separators=(",", ":")),
        "FirstEvent": entry.first_event,
        "LastEvent": entry.last_event,
        "LoadedAt": entry.loaded_at,
        "Reason": entry.reason,
        "Version": entry.version,
    }


def entry_of(row: Mapping[str, Any], table: str) -> LedgerEntry:
    """The inverse of `row_of`; times without a zone are taken for UTC, NULL texts for empty ones.

    Raises LedgerUnreadable, naming ``table``, when the row is none that we wrote.
    """
    data = {key: _plain(row.get(column)) for key, column in _COLUMN_OF.items()}
    for key in ("bundle", "reason"):
        data[key] = data[key] or ""
    data["changes"] = _changes(data["changes"])
    data["files"] = ()
    return LedgerEntry.from_json(
        data, f"the row with LoadId {shown(data['load'])} in {table}", _COLUMN_OF
    )


def _changes(text: Any) -> Any:
    """What the text holds; itself when it is not JSON, and so no changes either."""
    try:
        return parsed(text or "{}")
    except (Damaged, TypeError):
        return text


def _plain(value: Any) -> Any:
    return _text(value) if isinstance(value, datetime) else value


def _text(moment: datetime) -> str:
    return rfc3339(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Stored:
    """What the three tables hold, read in one snapshot.

    ``checkpoint`` is our own, ``synced`` the greatest BundleEndTime of SyncTable, ``scope``
    what the ledger says that it is of, as text. A table that does not exist yet counts as empty.
    """

    entries: tuple[LedgerEntry, ...] = ()
    checkpoint: datetime | None = None
    synced: datetime | None = None
    scope: str | None = None

    @property
    def is_new(self) -> bool:
        """Whether no ledger of ours was ever written."""
        return not self.entries and self.checkpoint is None and self.scope is None

    @property
    def has_rows(self) -> bool:
        """Whether we have loaded rows."""
        return any(entry.records for entry in self.entries)

    @property
    def first_contact(self) -> bool:
        """Whether the Go hauser's checkpoint is still to be taken over as the baseline."""
        return not self.entries and self.checkpoint is None and self.synced is not None

    def ledger(self, sync_table: str) -> Ledger:
        """The ledger, with the Go hauser's baseline at first contact.

        Raises HauserHasRun when SyncTable is ahead of our checkpoint, LedgerUnreadable when
        windows overlap.
        """
        if self.synced is not None:
            if self.first_contact:
                return Ledger().with_baseline(self.synced)
            if self.checkpoint is None or self.synced > self.checkpoint:
                ours = "none" if self.checkpoint is None else rfc3339(self.checkpoint)
                raise HauserHasRun(
                    f"{sync_table} says that data is loaded up to {rfc3339(self.synced)}, but"
                    f" hauserpy's own checkpoint is {ours}: the Go hauser has run since.",
                    "Stop it for good. Then delete its later rows from"
                    f" {sync_table} (and from the export table those whose BundleStartTime is NULL"
                    " and whose EventStart is not before hauserpy's checkpoint), and run again.",
                )
        return Ledger.of(self.entries, self.checkpoint, ledger_table(sync_table))


def stored(
    rows: Iterable[Mapping[str, Any]],
    checkpoint: datetime | None,
    synced: datetime | None,
    scope: str | None,
    table: str,
) -> Stored:
    """`Stored` from rows of the ledger table, which is ``table`` in messages."""
    return Stored(tuple(entry_of(r, table) for r in rows), _utc(checkpoint), _utc(synced), scope)


def refuse_other_scope(stored: Stored, scope: Scope, ledger: str, forget: str) -> None:
    """Raise ConfigError when the table ``ledger`` is of another scope; one that names none is taken
    for ours. ``forget`` is the statement that makes it name none."""
    if stored.scope is None:
        return
    refuse_other(
        decode(stored.scope, ledger),
        scope,
        ledger,
        "Give each configuration a SyncTable and an ExportTable of its own. If it is meant to go on"
        f" with the other one, as when a table was renamed: {forget};",
    )


def foreign_rows(export: str, ledger: str) -> LedgerUnreadable:
    """What is wrong with a new ledger over a table that has rows of windows."""
    return LedgerUnreadable(
        f"{export} has rows that were loaded with a ledger, and in {ledger} there is none.",
        "Restore it, or set SyncTable to the one that they were loaded with, since an ExportTable has"
        " one SyncTable and that one no other. To load everything anew, delete the rows first; to"
        " have them count as the Go hauser's, set their BundleStartTime to NULL.",
    )


def lost_rows(export: str, tables: Sequence[str]) -> LedgerUnreadable:
    """What is wrong with a ledger whose ``export`` table is gone; ``tables`` are its own."""
    return LedgerUnreadable(
        f"{export} is gone, and the ledger knows of rows in it.",
        f"Restore it. To load everything anew, drop {', '.join(tables)} as well.",
    )


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def sync_id(entry: LedgerEntry) -> int:
    """``ID`` of a row of SyncTable: the API's bundle id where it is a number, as in generation 1,
    else -1, as the Go hauser writes it in generation 2."""
    if entry.bundle.isascii() and entry.bundle.isdigit() and int(entry.bundle) <= _BIGGEST:
        return int(entry.bundle)
    return -1
