"""What `hauserpy check` tries on BigQuery: dry runs, which cost and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hauserpy.config import Settings
from hauserpy.destinations import gcp
from hauserpy.destinations.bigquery import state
from hauserpy.destinations.bigquery.bucket import Bucket
from hauserpy.destinations.bigquery.client import Connection
from hauserpy.destinations.bigquery.queries import create_lock
from hauserpy.destinations.bigquery.schema import quoted
from hauserpy.destinations.bigquery.staging import PREFIX
from hauserpy.destinations.bigquery.tables import Tables, ingestion
from hauserpy.errors import AccessDenied, HauserpyError
from hauserpy.fields import EVENT_START, catalogue, table_columns
from hauserpy.model import Check

_NEEDED = (
    "bigquery.tables.get",
    "bigquery.tables.getData",
    "bigquery.tables.update",
    "bigquery.tables.updateData",
)
_ROLES = (
    "Grant BigQuery Data Editor (roles/bigquery.dataEditor) on the dataset and BigQuery Job User"
    " (roles/bigquery.jobUser) on the project."
)


def run(
    settings: Settings, connection: Connection, tables: Tables, bucket: Bucket | None
) -> Iterator[Check]:
    """One Check for each thing tried, in an order in which the first that fails explains the rest;
    what cannot be tried because of it is left out."""
    probe = _Probe(settings, connection, tables)
    for name, attempt in (
        ("BigQuery credentials", probe.credentials),
        ("BigQuery dataset", probe.dataset),
    ):
        found = replace(_tried(name, attempt), vital=True)
        yield found
        if not found.ok:
            return
    yield (jobs := _tried("BigQuery jobs", probe.jobs))
    if jobs.ok:
        yield _tried("BigQuery CREATE TABLE", probe.create)
    yield _tried("BigQuery tables", probe.columns)
    yield _tried("BigQuery permissions on the tables", lambda: probe.permissions(dry=jobs.ok))
    if bucket is not None:
        yield _tried("Cloud Storage bucket writable", bucket.probe)


def _tried(name: str, attempt: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, detail=attempt(), remedy="")
    except AccessDenied as error:
        remedy = error.instruction if name.endswith("credentials") else _ROLES
        return Check(name, ok=False, detail=error.reason, remedy=remedy)
    except HauserpyError as error:
        return Check(name, ok=False, detail=error.reason, remedy=error.instruction)


class _Probe:
    def __init__(self, settings: Settings, connection: Connection, tables: Tables) -> None:
        self._settings = settings
        self._connection = connection
        self._tables = tables

    def credentials(self) -> str:
        """Makes the client; whether Google takes its credentials shows with the next request."""
        bq = self._settings.bigquery
        self._connection.open()
        whose = f"from {bq.credentials_file}" if bq.credentials_file else "as the SDK finds them"
        return f"{whose}, impersonating {bq.impersonate}" if bq.impersonate else whose

    def dataset(self) -> str:
        return f"{self._connection.dataset}, in {self._connection.location}"

    def jobs(self) -> str:
        self._dry("a query", "SELECT 1")
        return f"run in project {self._connection.project}"

    def create(self) -> str:
        self._dry("a staging table", create_lock(f"{self._connection.dataset}.{PREFIX}check"))
        return "allowed in the dataset"

    def columns(self) -> str:
        """Whether the columns fit; a table that is not there fits."""
        names = self._tables.names
        found = self._tables.find(names.export)
        stored = state.read_existing(self._connection, self._tables, self._tables.state())
        state.refuse_other_rows(self._connection, self._tables, stored)
        if found is None:
            return f"{names.export} will be created"
        wanted = table_columns(catalogue(self._settings.include_mobile_apps_fields))
        filled, missing = self._tables.reconciled(found, wanted)
        return f"{names.export} has {len(filled)} of the columns, {len(missing)} will be added"

    def permissions(self, *, dry: bool) -> str:
        """Of each call on the tables that exist: asked for, and where it can be, run dry."""
        names = self._tables.names
        tried = []
        for name in (names.export, names.sync, names.ledger, names.lock):
            found = self._tables.find(name)
            if found is None:
                continue
            granted = self._granted(found)
            missing = [p for p in _NEEDED if p not in granted]
            if missing:
                raise AccessDenied(f"{', '.join(missing)} on {name} is not granted.")
            if dry:
                self._dry(f"a change of {name}", f"DELETE FROM {quoted(name)} WHERE {_none(found)}")
            tried.append(found.table_id)
        return f"granted on {', '.join(tried)}" if tried else "no table is there yet"

    def _granted(self, table: Any) -> list[str]:
        answer = self._connection.call(
            f"permissions on {table.reference} cannot be asked for",
            lambda: self._connection.client.test_iam_permissions(
                table, list(_NEEDED), retry=None, timeout=gcp.TIMEOUT_SECONDS
            ),
        )
        return list(answer.get("permissions", ()))

    def _dry(self, what: str, text: str) -> None:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
        self._connection.call(
            f"{what} is refused",
            lambda: self._connection.client.query(
                text,
                job_config=config,
                location=self._connection.location,
                retry=None,
                job_retry=None,
                timeout=gcp.TIMEOUT_SECONDS,
            ),
        )


def _none(table: Any) -> str:
    """A condition that no row meets, with the filter that a table may demand on its partitions."""
    if ingestion(table):
        return "_PARTITIONTIME IS NULL AND FALSE"
    if any(f.name.casefold() == EVENT_START.casefold() for f in table.schema):
        return f"{EVENT_START} IS NULL AND FALSE"
    return "FALSE"
