"""Reading what is loaded: ledger, lock and SyncTable in one query."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hauserpy.destinations import gcp, sql
from hauserpy.destinations.bigquery import queries
from hauserpy.destinations.bigquery.client import Connection
from hauserpy.destinations.bigquery.jobs import api_parameter, labels
from hauserpy.destinations.bigquery.schema import Export, Names, hauser_partition, quoted
from hauserpy.destinations.bigquery.script import Parameter
from hauserpy.destinations.bigquery.tables import Tables, partition_column
from hauserpy.destinations.sql import Stored
from hauserpy.errors import LedgerUnreadable
from hauserpy.fields import BUNDLE_START


def read(connection: Connection, names: Names) -> Stored:
    """All three tables must exist."""
    return _read(connection, names, dict.fromkeys((names.ledger, names.lock, names.sync), True))


def read_existing(connection: Connection, tables: Tables, found: Mapping[str, Any]) -> Stored:
    """Of the tables that exist; those that do not count as empty.

    ``found`` is what `Tables.state` told. Raises LedgerUnreadable when tables are missing that must
    be there, since the others are.
    """
    try:
        return _read_existing(connection, tables.names, found)
    except LedgerUnreadable:
        # Another first run may have been making them while we looked.
        return _read_existing(connection, tables.names, tables.state())


def _read_existing(connection: Connection, names: Names, found: Mapping[str, Any]) -> Stored:
    there = {name: table is not None for name, table in found.items()}
    stored = _read(connection, names, there) if any(there.values()) else Stored()
    if there[names.lock] and not there[names.ledger]:
        raise _torn(f"table {names.ledger} is missing, though {names.lock} is there.")
    if stored.entries and not there[names.lock]:
        raise _torn(f"table {names.lock} is missing, though {names.ledger} has entries.")
    return stored


def refuse_other_rows(connection: Connection, tables: Tables, stored: Stored) -> None:
    """Raise LedgerUnreadable when a new ledger would begin over rows that another one knows, or one
    would go on whose rows are gone."""
    if not stored.is_new and not stored.has_rows:
        return
    names = tables.names
    found = tables.find(names.export)
    if stored.has_rows:
        if found is None:
            raise sql.lost_rows(names.export, (names.sync, names.ledger, names.lock))
        return
    if found is None or not found.num_rows:
        return
    columns = [f.name for f in found.schema if f.name.casefold() == BUNDLE_START.casefold()]
    if not columns:
        return
    partition = partition_column(found) or quoted(columns[0])
    look = queries.any_window(names.export, columns[0], partition)
    # Another first run may have loaded them while we looked.
    if _rows(connection, look) and read_existing(connection, tables, tables.state()).is_new:
        raise sql.foreign_rows(names.export, names.ledger)


def leftover_reach(
    connection: Connection, names: Names, export: Export, after: datetime
) -> datetime | None:
    """See `hauserpy.destinations.bigquery.queries.leftover_reach`."""
    if BUNDLE_START not in {c.field for c in export.columns}:
        return None
    parameters = [Parameter("after", "TIMESTAMP", after)]
    if export.ingestion:
        low = hauser_partition(after, export.ingestion)
        parameters.append(Parameter("partition", "TIMESTAMP", low))
    rows = _rows(connection, queries.leftover_reach(names.export, export), parameters)
    found: datetime | None = rows[0]["Reach"]
    return found


def _read(connection: Connection, names: Names, there: Mapping[str, bool]) -> Stored:
    text = queries.read_state(
        names, ledger=there[names.ledger], lock=there[names.lock], sync=there[names.sync]
    )
    rows = _rows(connection, text)
    states = [r for r in rows if r["Kind"] == queries.STATE]
    if len(states) != 1:
        raise _torn(f"table {names.ledger} has rows that are no entries.")
    (state,) = states
    if there[names.lock] and state["Records"] != 1:
        raise _torn(f"table {names.lock} has {state['Records']} rows, and must have one.")
    entries = (r for r in rows if r["Kind"] != queries.STATE)
    return sql.stored(entries, state["StopTime"], state["StartTime"], state["Reason"], names.ledger)


def _torn(reason: str) -> LedgerUnreadable:
    return LedgerUnreadable(
        reason,
        "Restore it (BigQuery keeps deleted tables and rows for seven days, see its time travel);"
        " hauserpy never takes it for an empty one.",
    )


def _rows(
    connection: Connection, text: str, parameters: list[Parameter] | None = None
) -> list[dict[str, Any]]:
    """A query that only reads: any number of times, without an id of its own."""
    from google.cloud import bigquery

    config = bigquery.QueryJobConfig(
        use_query_cache=False,
        labels=labels(),
        query_parameters=[api_parameter(p) for p in parameters or ()],
    )

    def read() -> list[dict[str, Any]]:
        found = connection.client.query_and_wait(
            text,
            job_config=config,
            location=connection.location,
            api_timeout=gcp.TIMEOUT_SECONDS,
            retry=None,
            job_retry=None,
        )
        return [dict(row.items()) for row in found]

    return connection.call("the ledger cannot be read", read)
