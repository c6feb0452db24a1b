"""Datasets and tables: their metadata as the REST API has it, over tables of one DuckDB."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb

from tests.standins.bigquery.errors import Refused, exists, not_found
from tests.standins.bigquery.types import canonical, duck_type

PARTITION_TIME = "_PARTITIONTIME"
"""The pseudo-column of ingestion-time partitioned tables: here a real one, hidden from ``*``."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}\Z")
_TABLE_NAME = re.compile(r"[\w -]{1,1024}\Z")
_RESERVED = ("_PARTITION", "_TABLE_", "_FILE_", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER")
_PATCHABLE = ("schema", "labels", "expirationTime", "description", "timePartitioning")

Field = dict[str, str]
"""With name, type and mode, and of a STRING(n) also maxLength: n in decimal."""


@dataclass
class Table:
    """``physical`` is its name in DuckDB; ``fields`` have name, type (canonical) and mode."""

    project: str
    dataset: str
    name: str
    physical: str
    fields: list[Field]
    resource: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    created: float = 0.0

    @property
    def full_name(self) -> str:
        return f"{self.project}:{self.dataset}.{self.name}"

    @property
    def etag(self) -> str:
        return f"etag-{self.physical}-{self.version}"

    @property
    def partitioning(self) -> dict[str, Any] | None:
        return self.resource.get("timePartitioning")

    @property
    def by_ingestion(self) -> bool:
        return self.partitioning is not None and "field" not in self.partitioning

    @property
    def partition_column(self) -> str | None:
        if self.partitioning is None:
            return None
        return self.partitioning.get("field", PARTITION_TIME)

    def field(self, name: str) -> Field | None:
        """The field of that name, which is matched in any case."""
        return next((f for f in self.fields if f["name"].lower() == name.lower()), None)

    @property
    def expires(self) -> float | None:
        text = self.resource.get("expirationTime")
        return None if text is None else int(text) / 1000


@dataclass
class Dataset:
    project: str
    name: str
    location: str
    tables: dict[str, Table] = field(default_factory=dict)
    table_expiration: float | None = None
    """Seconds after which new tables are gone, unless they come with an expiration of their own."""


class Catalog:
    """All datasets of the stand-in. Methods may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.db = duckdb.connect(":memory:")
        self.db.execute("SET TimeZone = 'UTC'; SET immediate_transaction_mode = true")
        self.clock = clock
        self.guard = threading.RLock()
        self._datasets: dict[tuple[str, str], Dataset] = {}
        self._count = 0

    def cursor(self) -> duckdb.DuckDBPyConnection:
        with self.guard:
            made = self.db.cursor()
        made.execute("SET TimeZone = 'UTC'")
        return made

    def close(self) -> None:
        self.db.close()

    def create_dataset(self, project: str, name: str, location: str) -> Dataset:
        with self.guard:
            if (project, name) in self._datasets:
                raise exists("Dataset", f"{project}:{name}")
            made = self._datasets[project, name] = Dataset(project, name, location)
            return made

    def dataset(self, project: str, name: str) -> Dataset:
        with self.guard:
            try:
                return self._datasets[project, name]
            except KeyError:
                raise not_found("Dataset", f"{project}:{name}") from None

    def table(self, project: str, dataset: str, name: str) -> Table:
        """Raises notFound; a table past its expiration is gone."""
        with self.guard:
            found = self.dataset(project, dataset).tables.get(name)
            if found is not None and found.expires is not None and found.expires <= self.clock():
                self._drop(found)
                found = None
            if found is None:
                raise not_found("Table", f"{project}:{dataset}.{name}")
            return found

    def tables(self, project: str, dataset: str) -> Iterator[Table]:
        for name in sorted(self.dataset(project, dataset).tables):
            try:
                yield self.table(project, dataset, name)
            except Refused:
                continue

    def create_table(self, project: str, dataset: str, body: dict[str, Any]) -> Table:
        name = body["tableReference"]["tableId"]
        with self.guard:
            home = self.dataset(project, dataset)
            try:
                self.table(project, dataset, name)
            except Refused:
                pass
            else:
                raise exists("Table", f"{project}:{dataset}.{name}")
            if not _TABLE_NAME.match(name):
                raise Refused("invalid", f'Invalid table ID "{name}".')
            if "expirationTime" in body and int(body["expirationTime"]) / 1000 <= self.clock():
                raise Refused("invalid", "Expiration time must be in the future.")
            fields = [_field(f) for f in body.get("schema", {}).get("fields", [])]
            _check_names(fields)
            self._count += 1
            made = Table(
                project, dataset, name, f"t{self._count}", fields,
                {k: v for k, v in body.items() if k not in ("schema", "tableReference")},
                created=self.clock(),
            )  # fmt: skip
            if home.table_expiration is not None:
                gone = self.clock() + home.table_expiration
                made.resource.setdefault("expirationTime", str(int(gone * 1000)))
            _check_partitioning(made)
            columns = [
                f'"{f["name"]}" {duck_type(f["type"])}'
                + (" NOT NULL" if f["mode"] == "REQUIRED" else "")
                + (
                    f' CHECK (length("{f["name"]}") <= {f["maxLength"]})'
                    if "maxLength" in f
                    else ""
                )
                for f in fields
            ]
            if made.by_ingestion:
                columns.append(f'"{PARTITION_TIME}" TIMESTAMP')
            self.cursor().execute(
                f'CREATE TABLE "{made.physical}" ({", ".join(columns) or "_none INT"})'
            )
            home.tables[name] = made
            return made

    def patch_table(self, table: Table, body: dict[str, Any], if_match: str | None) -> None:
        """Metadata and columns; 412 when ``if_match`` is not the table's etag.

        Columns can be added (not REQUIRED) and relaxed, nothing else: page "Modifying table
        schemas".
        """
        with self.guard:
            if if_match is not None and if_match != table.etag:
                raise Refused("conditionNotMet", "Precondition check failed.")
            for key, value in body.items():
                if key in _PATCHABLE and key != "schema":
                    if value is None:
                        table.resource.pop(key, None)
                    else:
                        table.resource[key] = value
            if "schema" in body:
                self._patch_schema(table, [_field(f) for f in body["schema"]["fields"]])
            table.version += 1

    def _patch_schema(self, table: Table, wanted: list[Field]) -> None:
        _check_names(wanted)
        changes: list[str] = []
        by_name = {f["name"].lower(): f for f in wanted}
        for old in table.fields:
            new = by_name.get(old["name"].lower())
            prefix = f"Provided Schema does not match Table {table.full_name}. "
            if new is None:
                raise Refused("invalid", f"{prefix}Field {old['name']} is missing in new schema")
            if new["type"] != old["type"]:
                raise Refused(
                    "invalid",
                    f"{prefix}Field {old['name']} has changed type from {old['type']}"
                    f" to {new['type']}",
                )
            if new["mode"] != old["mode"]:
                if (old["mode"], new["mode"]) != ("REQUIRED", "NULLABLE"):
                    raise Refused(
                        "invalid",
                        f"{prefix}Field {old['name']} has changed mode from {old['mode']}"
                        f" to {new['mode']}",
                    )
                changes.append(f'ALTER COLUMN "{old["name"]}" DROP NOT NULL')
            if new.get("maxLength") != old.get("maxLength"):
                raise Refused("invalid", "A change of maxLength is not modelled by this stand-in")
        known = {f["name"].lower() for f in table.fields}
        for new in wanted:
            if new["name"].lower() not in known:
                if new["mode"] == "REQUIRED":
                    raise Refused(
                        "invalid",
                        f"Provided Schema does not match Table {table.full_name}. Cannot add"
                        f" required fields to an existing schema. (field: {new['name']})",
                    )
                if "maxLength" in new:
                    raise Refused("invalid", "A new STRING(n) is not modelled by this stand-in")
                changes.append(f'ADD COLUMN "{new["name"]}" {duck_type(new["type"])}')
        cursor = self.cursor()
        for change in changes:
            cursor.execute(f'ALTER TABLE "{table.physical}" {change}')
        table.fields = wanted

    def drop_table(self, project: str, dataset: str, name: str) -> None:
        with self.guard:
            self._drop(self.table(project, dataset, name))

    def _drop(self, table: Table) -> None:
        del self.dataset(table.project, table.dataset).tables[table.name]
        self.cursor().execute(f'DROP TABLE "{table.physical}"')

    def describe(self, table: Table) -> dict[str, Any]:
        """The table as ``tables.get`` answers."""
        with self.guard:
            (rows,) = self.cursor().execute(f'SELECT count(*) FROM "{table.physical}"').fetchall()
            return {
                **table.resource,
                "kind": "bigquery#table",
                "etag": table.etag,
                "id": table.full_name,
                "tableReference": {
                    "projectId": table.project, "datasetId": table.dataset, "tableId": table.name,
                },
                "schema": {"fields": [dict(f) for f in table.fields]},
                "type": "TABLE",
                "location": self.dataset(table.project, table.dataset).location,
                "numRows": str(rows[0]),
                "numBytes": "0",
                "creationTime": str(int(table.created * 1000)),
                "lastModifiedTime": str(int(table.created * 1000)),
            }  # fmt: skip


def _field(given: dict[str, Any]) -> Field:
    made = {
        "name": given["name"],
        "type": canonical(given["type"]),
        "mode": given.get("mode", "NULLABLE").upper(),
    }
    if (length := given.get("maxLength")) is not None:
        if made["type"] != "STRING" or int(length) < 1:
            raise Refused("invalid", f"maxLength {length} does not fit field {made['name']}.")
        made["maxLength"] = str(length)
    return made


def _check_names(fields: list[Field]) -> None:
    seen: set[str] = set()
    for one in fields:
        name = one["name"]
        if not _NAME.match(name) or name.upper().startswith(_RESERVED):
            raise Refused("invalid", f'Invalid field name "{name}".')
        if name.lower() in seen:
            raise Refused("invalid", f"Duplicate field name: {name}")
        if one["mode"] not in ("NULLABLE", "REQUIRED"):
            raise Refused("invalid", f"Mode {one['mode']} is not modelled by this stand-in")
        seen.add(name.lower())


def _check_partitioning(table: Table) -> None:
    if table.partitioning is not None and not table.by_ingestion:
        found = table.field(table.partitioning["field"])
        if found is None or found["type"] not in ("TIMESTAMP", "DATE"):
            raise Refused(
                "invalid",
                "The field specified for partitioning cannot be found in the schema, or is not"
                " of type TIMESTAMP or DATE",
            )
    clustered = table.resource.get("clustering", {}).get("fields", [])
    if len(clustered) > 4:
        raise Refused("invalid", "Too many clustering fields; the maximum is 4.")
    for name in clustered:
        if table.field(name) is None:
            raise Refused("invalid", f"The field specified for clustering is missing: {name}")
