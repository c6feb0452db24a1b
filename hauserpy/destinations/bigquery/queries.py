"""SQL beside the transaction: reading what is loaded, making the lock, looking for leftovers. Pure."""

from __future__ import annotations

from hauserpy.destinations import sql
from hauserpy.destinations.bigquery.schema import LOCK_COLUMNS, TYPES, Export, Names, quoted
from hauserpy.fields import BUNDLE_START, EVENT_START

STATE = "state"
"""No kind of an entry; see `read_state`."""


def read_state(names: Names, *, ledger: bool, lock: bool, sync: bool) -> str:
    """One SELECT, hence one snapshot, of what the tables that exist hold.

    The columns are the ledger's. One more row, whose Kind is `STATE`, has SyncTable's greatest
    BundleEndTime as StartTime, the lock's Checkpoint as StopTime, its Scope as Reason, and how many
    rows the lock table has as Records.
    """
    table = quoted(names.lock)
    told = {
        "StartTime": f"(SELECT MAX(BundleEndTime) FROM {quoted(names.sync)})" if sync else None,
        "StopTime": f"(SELECT MAX(Checkpoint) FROM {table})" if lock else None,
        "Kind": f"'{STATE}'",
        "Records": f"(SELECT COUNT(*) FROM {table})" if lock else None,
        "Reason": f"(SELECT MAX(Scope) FROM {table})" if lock else None,
    }
    values = [
        f"{told.get(name) or f'CAST(NULL AS {TYPES[kind]})'} AS {name}"
        for name, kind in sql.LEDGER_COLUMNS.items()
    ]
    state = f"SELECT {', '.join(values)}"
    if not ledger:
        return state
    columns = ", ".join(sql.LEDGER_COLUMNS)
    return f"{state} UNION ALL SELECT {columns} FROM {quoted(names.ledger)}"


def create_lock(name: str) -> str:
    """Makes the lock table with its one row in one statement, so that two first runs at once
    cannot make two rows."""
    columns = ", ".join(f"{n} {TYPES[kind]}" for n, kind in LOCK_COLUMNS.items())
    values = ", ".join(f"CAST(NULL AS {TYPES[kind]}) AS {n}" for n, kind in LOCK_COLUMNS.items())
    return f"CREATE TABLE IF NOT EXISTS {quoted(name)} ({columns}) AS SELECT {values}"


def any_window(name: str, start: str, partition: str) -> str:
    """A row that was loaded for a window, by the column ``start``, if there is one; ``partition``
    is the column by which the table may demand a filter."""
    return (
        f"SELECT 1 AS Found FROM {quoted(name)} WHERE {quoted(start)} IS NOT NULL"
        f" AND ({partition} IS NULL OR {partition} IS NOT NULL) LIMIT 1"
    )


def leftover_reach(name: str, export: Export) -> str:
    """The latest EventStart past ``@after`` of rows without a window, which a crash of hauser left.

    It is asked from the checkpoint on, so that of a partitioned table next to nothing is read.
    """
    start, event = export.name_of(BUNDLE_START), export.name_of(EVENT_START)
    return (
        f"SELECT MAX({event}) AS Reach FROM {quoted(name)}"
        f" WHERE {start} IS NULL AND {event} >= @after"
        + (" AND _PARTITIONTIME >= @partition" if export.ingestion else "")
    )
