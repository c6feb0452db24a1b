"""Ledger and checkpoint as rows: reading them, and writing what a load changed.

Our checkpoint is a row of the ledger table (kind ``checkpoint``), not of the lock table: LOCK shuts
readers out ("LOCK" in the Database Developer Guide: always ACCESS EXCLUSIVE), and `status` must not
wait for a COPY.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hauserpy.destinations import sql
from hauserpy.destinations.redshift.connection import Link
from hauserpy.destinations.redshift.tables import Place, catalog, quoted
from hauserpy.errors import LedgerUnreadable
from hauserpy.ledger import Ledger
from hauserpy.model import BEGINNING, LedgerEntry

_CHECKPOINT = "checkpoint"
_COLUMNS = tuple(sql.LEDGER_COLUMNS)
_LISTED = ", ".join(quoted(c.lower()) for c in _COLUMNS)


def read(link: Link, place: Place) -> sql.Stored:
    """What is stored. Outside a transaction SyncTable must be read first, as it is here: the
    checkpoint that is read after it can only be further, so that a load in between does not look
    like a run of the Go hauser."""
    ((synced,),) = link.execute(f"SELECT max(bundleendtime) FROM {place.sync}")
    rows = link.execute(f"SELECT {_LISTED} FROM {place.ledger}")
    return _stored(rows, synced)


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
    return _stored(rows, synced)


def refuse_torn(link: Link, place: Place) -> None:
    """Raise LedgerUnreadable when the ledger has gone and the lock has not: the ledger is made
    first, so that nothing of ours leaves them so."""
    there = catalog(link, place, (place.names.ledger, place.names.lock))
    if place.names.lock in there and place.names.ledger not in there:
        raise LedgerUnreadable(
            f"the table {place.ledger} is gone, which says what is loaded.",
            "It is never taken for an empty one: restore it. To load everything anew, drop"
            f" {place.lock} and the rows of the export table as well.",
        )


def _stored(rows: Sequence[tuple[Any, ...]], synced: datetime | None) -> sql.Stored:
    named = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    marks = [row["StopTime"] for row in named if row["Kind"] == _CHECKPOINT]
    entries = [row for row in named if row["Kind"] != _CHECKPOINT]
    return sql.stored(entries, max(marks, default=None), synced)


def lock(link: Link, place: Place) -> None:
    """Wait until no other load is under way; before anything else in the transaction."""
    link.execute(f"LOCK TABLE {place.lock}")


def write(
    link: Link,
    place: Place,
    before: sql.Stored,
    after: Ledger,
    *,
    sync_id: int,
    now: datetime,
) -> None:
    """Make the tables say ``after`` where they said ``before``."""
    gone = [e for e in before.entries if e not in after.entries]
    come = [e for e in after.entries if e not in before.entries]
    if gone:
        # Windows are disjoint, so that a start names one entry.
        starts = ", ".join(["%s"] * len(gone))
        link.execute(
            f"DELETE FROM {place.ledger} WHERE kind <> '{_CHECKPOINT}' AND starttime IN ({starts})",
            [_naive(e.window.start) for e in gone],
        )
    rows = [_values(e) for e in come]
    if after.checkpoint is not None and after.checkpoint != before.checkpoint:
        if before.checkpoint is not None:
            link.execute(f"DELETE FROM {place.ledger} WHERE kind = '{_CHECKPOINT}'")
        rows.append(_checkpoint(after.checkpoint, now))
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


def _checkpoint(moment: datetime, now: datetime) -> list[object]:
    row: dict[str, object] = {
        "StartTime": BEGINNING,
        "StopTime": moment,
        "Kind": _CHECKPOINT,
        "LoadedAt": now,
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
