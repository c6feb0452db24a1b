"""The tables: found, created, and extended to what a load needs, never against their owner."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from hauserpy.config import Settings
from hauserpy.destinations import gcp, sql
from hauserpy.destinations.bigquery import queries
from hauserpy.destinations.bigquery.client import Connection
from hauserpy.destinations.bigquery.schema import LOCK_COLUMNS, TYPES, Export, Names, quoted
from hauserpy.errors import DestinationRefused, DestinationUnavailable
from hauserpy.fields import EVENT_START, Field, reconcile, table_columns
from hauserpy.layout import Column, FieldType
from hauserpy.model import rfc3339

_log = logging.getLogger(__name__)

_HELD = {
    "INTEGER": FieldType.INT64,
    "INT64": FieldType.INT64,
    "FLOAT": FieldType.FLOAT64,
    "FLOAT64": FieldType.FLOAT64,
    "STRING": FieldType.STRING,
    "TIMESTAMP": FieldType.TIME,
    "JSON": FieldType.CUSTOM_VARS,
}
_CLUSTERED = ("UserId", "SessionId")
"""A session is named by both (`hauserpy.fields`)."""

_PATCH_ATTEMPTS = 5


class Tables:
    """Metadata calls, each of which may be repeated."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        bq = settings.bigquery
        self.names = Names.of(connection.dataset, bq.export_table, bq.sync_table)

    def find(self, name: str) -> Any:
        """The table as Google's client has it, or None."""
        from google.api_core.exceptions import NotFound

        def look() -> Any:
            try:
                return self._connection.client.get_table(
                    name, retry=None, timeout=gcp.TIMEOUT_SECONDS
                )
            except NotFound:
                return None

        return self._connection.call(f"table {name} cannot be read", look)

    def create(self, table: Any) -> Any:
        """The table, created unless it is there."""
        return self._connection.call(
            f"table {table.reference} cannot be created",
            lambda: self._connection.client.create_table(
                table, exists_ok=True, retry=None, timeout=gcp.TIMEOUT_SECONDS
            ),
        )

    def drop(self, name: str) -> None:
        self._connection.call(
            f"table {name} cannot be dropped",
            lambda: self._connection.client.delete_table(
                name, not_found_ok=True, retry=None, timeout=gcp.TIMEOUT_SECONDS
            ),
        )

    def ensure_export(self, fields: Sequence[Field]) -> Export:
        """The export table with every column that is to be filled; created or extended as needed.

        Raises DestinationRefused when a column has the wrong type or cannot be added.
        """
        wanted = table_columns(fields)
        for _ in range(_PATCH_ATTEMPTS):
            found = self.find(self.names.export)
            if found is None:
                self._keep(self.create(self._new_export(wanted)))
                continue
            columns, missing = self.reconciled(found, wanted)
            strict = [f.name for f in found.schema if f.mode == "REQUIRED"]
            if not missing and not strict:
                if found.expires is not None:
                    _log.warning(
                        "table %s expires at %s, and with it all its rows; ALTER TABLE … SET OPTIONS"
                        " (expiration_timestamp = NULL) keeps it",
                        self.names.export,
                        rfc3339(found.expires),
                    )
                return self._as_export(found, columns)
            self._patch(found, missing)
        raise DestinationUnavailable(
            f"table {self.names.export} keeps changing while its columns are being added.",
            "Run again when nothing else alters it.",
        )

    def reconciled(
        self, found: Any, wanted: Sequence[Column]
    ) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
        """See `hauserpy.fields.reconcile`."""
        names = {c.name.casefold() for c in wanted}
        unfit = [
            f"{f.name} is {f.mode} {f.field_type}"
            for f in found.schema
            if f.name.casefold() in names and (f.mode == "REPEATED" or f.field_type not in _HELD)
        ]
        if unfit:
            raise DestinationRefused(
                f"table {self.names.export} has columns of types that hauserpy cannot fill:"
                f" {', '.join(unfit)}.",
                "Change or rename them, or choose another ExportTable; nothing was uploaded.",
            )
        existing = [
            # Of STRING(n): so many characters.
            Column(f.name, f.name, _HELD[f.field_type], f.max_length)
            for f in found.schema
            if f.field_type in _HELD and f.mode != "REPEATED"
        ]
        return reconcile(wanted, existing, self.names.export)

    def _new_export(self, wanted: Sequence[Column]) -> Any:
        from google.cloud import bigquery

        made = bigquery.Table(self.names.export, schema=self._schema(wanted))
        expiration = self._settings.bigquery.partition_expiration
        made.time_partitioning = bigquery.TimePartitioning(
            type_=bigquery.TimePartitioningType.DAY,
            field=EVENT_START,
            expiration_ms=int(expiration.total_seconds() * 1000) or None,
        )
        made.clustering_fields = list(_CLUSTERED)
        return made

    def _schema(self, columns: Sequence[Column]) -> list[Any]:
        from google.cloud import bigquery

        custom = "JSON" if self._settings.bigquery.custom_vars_type == "json" else "STRING"
        return [
            bigquery.SchemaField(
                c.name, custom if c.type is FieldType.CUSTOM_VARS else TYPES[c.type]
            )
            for c in columns
        ]

    def _patch(self, found: Any, missing: Sequence[Column]) -> None:
        """Adds columns and relaxes REQUIRED ones, all with one patch, under the table's etag: when
        someone else has altered it meanwhile, nothing happens, and it is to be read again.

        Every REQUIRED column is relaxed, the user's own as well, since they get NULL. Both changes
        are allowed on a table with rows (page "Modifying table schemas").
        """
        from google.cloud import bigquery

        _log.info(
            "table %s: adding %s",
            self.names.export,
            ", ".join(c.name for c in missing) or "nothing",
        )
        kept = [
            bigquery.SchemaField.from_api_repr({**f.to_api_repr(), "mode": "NULLABLE"})
            if f.mode == "REQUIRED"
            else f
            for f in found.schema
        ]
        found.schema = [*kept, *self._schema(missing)]
        self._alter(found, "schema", f"the columns of table {self.names.export} cannot be extended")

    def _alter(self, table: Any, what: str, otherwise: str) -> None:
        """Nothing happens where someone else has altered it since it was read."""
        from google.api_core.exceptions import PreconditionFailed

        def patch() -> None:
            try:
                self._connection.client.update_table(
                    table, [what], retry=None, timeout=gcp.TIMEOUT_SECONDS
                )
            except PreconditionFailed:
                _log.info("table %s was altered meanwhile", table.reference)

        self._connection.call(otherwise, patch)

    def _as_export(self, found: Any, columns: tuple[Column, ...]) -> Export:
        name = next(c.name for c in columns if c.type is FieldType.CUSTOM_VARS)
        json = any(f.name == name and f.field_type == "JSON" for f in found.schema)
        partitioning = found.time_partitioning
        kept = None if partitioning is None else partitioning.expiration_ms
        expiration = None if kept is None else timedelta(milliseconds=int(kept))
        wanted = self._settings.bigquery.partition_expiration or None
        if wanted != expiration:
            # hauser would set it, and with it delete partitions; that is for the owner to decide.
            _log.warning(
                "PartitionExpiration is %s, but that of table %s is %s and stays; ALTER TABLE … SET"
                " OPTIONS (partition_expiration_days = …) changes it",
                wanted or "0s",
                self.names.export,
                expiration or "none",
            )
        event = next(c.name for c in columns if c.field == EVENT_START)
        prunes = partitioning is not None and partitioning.field in (None, event)
        return Export(columns, ingestion(found), json, expiration, prunes)

    def state(self) -> dict[str, Any]:
        """SyncTable, the ledger and the lock by name; None for those that are not there.

        Raises DestinationRefused for one that neither we nor hauser made.
        """
        found = {n: self.find(n) for n in (self.names.sync, self.names.ledger, self.names.lock)}
        for name, table in found.items():
            self._refuse_strange(name, table)
        return found

    def ensure_state(self, found: Mapping[str, Any], run: Callable[[str], None]) -> None:
        """SyncTable as hauser makes it, the ledger, and last the lock with its row; none expires.

        ``found`` is what `state` told; ``run`` runs a statement as a job.
        """
        from google.cloud import bigquery

        for name, columns, mode in (
            (self.names.sync, sql.SYNC_COLUMNS, "REQUIRED"),
            (self.names.ledger, sql.LEDGER_COLUMNS, "NULLABLE"),
        ):
            if found[name] is None:
                schema = [bigquery.SchemaField(n, TYPES[t], mode) for n, t in columns.items()]
                self._keep(self.create(bigquery.Table(name, schema=schema)))
            else:
                self._keep(found[name])
        lock = found[self.names.lock]
        if lock is None:
            run(queries.create_lock(self.names.lock))
            lock = self.find(self.names.lock)
        self._keep(lock)

    def _keep(self, table: Any) -> None:
        """Take its expiration from a table: a dataset may give one to all its new tables, and a
        ledger that vanishes after a while is taken for one that has never been (page "Managing
        tables", under default table expiration)."""
        if table is None or table.expires is None:
            return
        _log.info("table %s no longer expires", table.reference)
        table.expires = None
        self._alter(
            table, "expires", f"the expiration of table {table.reference} cannot be removed"
        )

    def _refuse_strange(self, name: str, found: Any) -> None:
        if found is None:
            return
        columns = {
            self.names.sync: sql.SYNC_COLUMNS,
            self.names.ledger: sql.LEDGER_COLUMNS,
            self.names.lock: LOCK_COLUMNS,
        }[name]
        have = {f.name.casefold(): _HELD.get(f.field_type) for f in found.schema}
        strange = [n for n, kind in columns.items() if have.get(n.casefold()) is not kind]
        if strange:
            raise DestinationRefused(
                f"table {name} is not hauserpy's: {', '.join(strange)} is missing or of another"
                " type.",
                "Choose another SyncTable, or rename that table.",
            )


def partition_column(found: Any) -> str | None:
    """By which partitions are told apart, as SQL; None where time does not tell any."""
    partitioning = found.time_partitioning
    if partitioning is None:
        return None
    return "_PARTITIONTIME" if partitioning.field is None else quoted(partitioning.field)


def ingestion(found: Any) -> str | None:
    """The size of an ingestion-time partitioned table's partitions; None for other tables."""
    partitioning = found.time_partitioning
    if partitioning is None or partitioning.field is not None:
        return None
    return str(partitioning.type_ or "DAY")
