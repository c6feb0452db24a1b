"""Ledger and checkpoint as rows: reading them, and writing what a load changed.

Our checkpoint is a row of the ledger table (kind ``checkpoint``), not of the lock table: LOCK shuts
readers out ("LOCK" in the Database Developer Guide: always ACCESS EXCLUSIVE), and `status` must not
wait for a COPY. So is what the ledger is of (kind ``scope``, see `hauserpy.destinations.scope`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hauserpy.destinations import sql
from hauserpy.destinations.redshift.connection import Link
from hauserpy.destinations.redshift.tables import (
    Place,
    catalog,
    missing_columns,
    quoted,
    refuse_strange,
)
from hauserpy.destinations.scope import Scope, encode
from hauserpy.entries import LedgerEntry, not_among
from hauserpy.errors import LedgerUnreadable
from hauserpy.fields import BUNDLE_START
from hauserpy.ledger import Ledger
from hauserpy.model import BEGINNING

_CHECKPOINT = "checkpoint"
_SCOPE = "scope"
_COLUMNS = tuple(sql.LEDGER_COLUMNS)
_LISTED = ", ".join(quoted(c.lower()) for c in _COLUMNS)


def read(link: Link, place: Place) -> sql.Stored:
    """What is stored. Outside a transaction SyncTable must be read first, as it is here: the
    checkpoint that is read after it can only be further, so that a load in between does not look
    like a run of the Go hauser."""
    ((synced,),) = link.execute(f"SELECT max(bundleendtime) FROM {place.sync}")
    rows = link.execute(f"SELECT {_LISTED} FROM {place.ledger}")
    return _stored(rows, synced, place)


def read_existing(link: Link, place: Place) -> sql.Stored:
    """`read` before the tables were made: those that are missing count as empty."""
    refuse_torn(link, place)
    there = catalog(link, place, (place.names.sync, place.names.ledger))
    synced = None
    if place.names.sync in there:
        ((synced,),) = link.execute(f"SELECT max(bundleendtime) FROM {place.sync}")
    rows = []
    if place.names.ledger in there:
        rows = link.execute(f"SELECT {_LISTED} FROM {place.ledger}")
    return _stored(rows, synced, place)


def refuse_torn(link: Link, place: Place) -> None:
    """Raise LedgerUnreadable when the ledger has gone and the lock has not (the ledger is made first,
    so that nothing of ours leaves them so), or when one of its columns has; DestinationRefused when
    SyncTable is no table of checkpoints."""
    names = place.names
    there = catalog(link, place, (names.ledger, names.lock, names.sync))
    refuse_strange(place, there)
    lost = missing_columns(there.get(names.ledger), sql.LEDGER_COLUMNS)
    if lost:
        raise LedgerUnreadable(
            f"the table {place.ledger} has lost the columns {', '.join(lost)}.",
            "Restore it: it says what is loaded.",
        )
    if place.names.lock in there and place.names.ledger not in there:
        raise LedgerUnreadable(
            f"the table {place.ledger} is gone, which says what is loaded.",
            "It is never taken for an empty one: restore it. To load everything anew, drop"
            f" {place.lock} and the rows of the export table as well.",
        )


def _stored(rows: Sequence[tuple[Any, ...]], synced: datetime | None, place: Place) -> sql.Stored:
    named = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    marks = [row["StopTime"] for row in named if row["Kind"] == _CHECKPOINT]
    scopes = [row["Reason"] or "" for row in named if row["Kind"] == _SCOPE]
    entries = [row for row in named if row["Kind"] not in (_CHECKPOINT, _SCOPE)]
    checkpoint, scope = max(marks, default=None), max(scopes, default=None)
    return sql.stored(entries, checkpoint, synced, scope, place.ledger)


def refuse_other_scope(stored: sql.Stored, scope: Scope, place: Place) -> None:
    """See `hauserpy.destinations.sql`."""
    forget = f"DELETE FROM {place.ledger} WHERE kind = '{_SCOPE}'"
    sql.refuse_other_scope(stored, scope, place.ledger, forget)


def refuse_other_rows(link: Link, place: Place, stored: sql.Stored) -> None:
    """Raise LedgerUnreadable when a new ledger would begin over rows that another one knows, or one
    would go on whose rows are gone."""
    if not stored.is_new and not stored.has_rows:
        return
    columns = catalog(link, place, [place.names.export]).get(place.names.export)
    if stored.has_rows:
        if columns is None:
            raise sql.lost_rows(place.export, (place.sync, place.ledger, place.lock))
        return
    start = BUNDLE_START.lower()
    if start not in {c.name for c in columns or ()}:
        return
    look = f"SELECT 1 FROM {place.export} WHERE {quoted(start)} IS NOT NULL LIMIT 1"
    # Another first run may have loaded them while we looked.
    if link.execute(look) and read_existing(link, place).is_new:
        raise sql.foreign_rows(place.export, place.ledger)


def lock(link: Link, place: Place) -> None:
    """Wait until no other load is under way; before anything else in the transaction."""
    link.execute(f"LOCK TABLE {place.lock}")


def write(
    link: Link,
    place: Place,
    before: sql.Stored,
    after: Ledger,
    *,
    scope: Scope,
    sync_id: int,
    now: datetime,
) -> None:
    """Make the tables say ``after`` where they said ``before``."""
    gone = not_among(before.entries, after.entries)
    come = not_among(after.entries, before.entries)
    if gone:
        # Windows are disjoint, so that a start names one entry.
        starts = ", ".join(["%s"] * len(gone))
        link.execute(
            f"DELETE FROM {place.ledger} WHERE kind NOT IN ('{_CHECKPOINT}', '{_SCOPE}')"
            f" AND starttime IN ({starts})",
            [_naive(e.window.start) for e in gone],
        )
    rows = [_values(e) for e in come]
    if before.scope is None:
        rows.append(_mark(_SCOPE, BEGINNING, now, encode(scope)))
    if after.checkpoint is not None and after.checkpoint != before.checkpoint:
        if before.checkpoint is not None:
            link.execute(f"DELETE FROM {place.ledger} WHERE kind = '{_CHECKPOINT}'")
        rows.append(_mark(_CHECKPOINT, after.checkpoint, now))
        if before.synced is None or after.checkpoint > before.synced:
            link.execute(
                f"INSERT INTO {place.sync} (id, processed, bundleendtime) VALUES (%s, %s, %s)",
                (sync_id, _naive(now.replace(microsecond=0)), _naive(after.checkpoint)),
            )
    # One statement a row: in a list of VALUES a column that begins with NULLs would be text.
    marks = ", ".join(["%s"] * len(_COLUMNS))
    for row in rows:
        link.execute(f"INSERT INTO {place.ledger} ({_LISTED}) VALUES ({marks})", row)


def _values(entry: LedgerEntry) -> list[object]:
    row = sql.row_of(entry)
    return [_plain(row[column]) for column in _COLUMNS]


def _mark(kind: str, moment: datetime, now: datetime, reason: str | None = None) -> list[object]:
    """A row that is no entry."""
    row: dict[str, object] = {
        "StartTime": BEGINNING,
        "StopTime": moment,
        "Kind": kind,
        "LoadedAt": now,
        "Reason": reason,
        "Version": 1,
    }
    return [_plain(row.get(column)) for column in _COLUMNS]


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return _naive(value)
    # A text cannot hold NUL on the wire.
    return value.replace("\0", "") if isinstance(value, str) else value


def _naive(moment: datetime) -> datetime:
    """In UTC without a zone, as a TIMESTAMP column has it."""
    return moment.astimezone(UTC).replace(tzinfo=None)
