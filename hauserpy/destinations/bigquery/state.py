"""Reading what is loaded: ledger, lock and SyncTable in one query."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hauserpy.destinations import gcp, sql
from hauserpy.destinations.bigquery import script
from hauserpy.destinations.bigquery.client import Connection
from hauserpy.destinations.bigquery.jobs import api_parameter, labels
from hauserpy.destinations.bigquery.script import Export, Names, Parameter
from hauserpy.destinations.bigquery.tables import Tables
from hauserpy.destinations.sql import Stored
from hauserpy.fields import BUNDLE_START


def read(connection: Connection, names: Names) -> Stored:
    """All three tables must exist."""
    return _read(connection, script.read_state(names, ledger=True, lock=True, sync=True))


def read_existing(connection: Connection, tables: Tables) -> Stored:
    """Of the tables that exist; those that do not count as empty."""
    names = tables.names
    there = {n: tables.find(n) is not None for n in (names.ledger, names.lock, names.sync)}
    if not any(there.values()):
        return Stored()
    text = script.read_state(
        names, ledger=there[names.ledger], lock=there[names.lock], sync=there[names.sync]
    )
    return _read(connection, text)


def leftover_reach(
    connection: Connection, names: Names, export: Export, after: datetime
) -> datetime | None:
    """See `hauserpy.destinations.bigquery.script.leftover_reach`."""
    if BUNDLE_START not in {c.field for c in export.columns}:
        return None
    parameters = [Parameter("after", "TIMESTAMP", after)]
    if export.ingestion:
        low = script.hauser_partition(after, export.ingestion)
        parameters.append(Parameter("partition", "TIMESTAMP", low))
    rows = _rows(connection, script.leftover_reach(names.export, export), parameters)
    found: datetime | None = rows[0]["Reach"]
    return found


def _read(connection: Connection, text: str) -> Stored:
    rows = _rows(connection, text)
    state = next(r for r in rows if r["Kind"] is None)
    return sql.stored(
        (r for r in rows if r["Kind"] is not None), state["StopTime"], state["StartTime"]
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
