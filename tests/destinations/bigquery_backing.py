"""BigQuery under contract: with tables of our own, and with hauser's through a bucket."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.destinations.bigquery import BigQuery
from hauserpy.destinations.bigquery.jobs import label
from hauserpy.fields import PAGE_AGENT, PAGE_USER_AGENT, catalogue
from hauserpy.model import Window, rfc3339
from hauserpy.owner import Owner
from tests.destinations.bigquery_world import World

_TABLES = ("fs_export", "fs_sync", "fs_sync_ledger", "fs_sync_lock")


class BigQueryBacking:
    """See `tests.destinations.makers.Backing`."""

    def __init__(self, world: World, **settings: Any) -> None:
        self.world = world
        self.settings = world.settings(**settings)

    def open(self) -> BigQuery:
        return self.world.destination(self.settings)

    def rows(self) -> list[dict[str, str | None]]:
        if "fs_export" not in self.world.server.tables(self.world.dataset):
            return []
        known = {f.name.lower(): f.name for f in catalogue(mobile=True)}
        known[PAGE_AGENT.lower()] = PAGE_USER_AGENT
        described = self.world.server.table(self.world.dataset, "fs_export")
        columns = [f["name"] for f in described["schema"]["fields"] if f["name"].lower() in known]
        named = ", ".join(f"`{c}`" for c in columns)
        return [
            {known[c.lower()]: _text(v) for c, v in zip(columns, row, strict=True)}
            for row in self.world.sql(f"SELECT {named} FROM fs_export")
        ]

    def leftovers(self) -> list[str]:
        found = [t for t in self.world.server.tables(self.world.dataset) if t not in _TABLES]
        if self.settings.gcs.bucket:
            found += self.world.server.service.objects.names(self._bucket)
        return found

    def plant_leftover(self, owner: Owner) -> None:
        if self.settings.gcs.bucket:
            self.world.server.service.objects.put(
                self._bucket, f"in here/{owner.name}/00000.jsonl.gz", b"half", only_new=False
            )
            return
        expires = self.world.clock() + timedelta(hours=48)
        self.world.server.create_table(
            self.world.dataset,
            "hauserpy_staging_" + re.sub(r"\W", "_", owner.load),
            schema={"fields": [{"name": "UserId", "type": "INT64"}]},
            labels={
                "tool": "hauserpy",
                "host": label(owner.host),
                "pid": str(owner.pid),
                "space": owner.space,
            },
            expirationTime=str(int(expires.timestamp() * 1000)),
        )

    @property
    def _bucket(self) -> str:
        return self.settings.gcs.bucket.partition("/")[0]

    def spoil_ledger(self) -> None:
        self.world.sql("UPDATE fs_sync_ledger SET StartTime = NULL WHERE TRUE")

    def hauser_loads(self, window: Window, records: Sequence[dict[str, Any]]) -> None:
        if "fs_export" not in self.world.server.tables(self.world.dataset):
            self.world.hauser_table()
        described = self.world.server.table(self.world.dataset, "fs_export")
        known = {f["name"] for f in described["schema"]["fields"]}
        partitioned = "field" not in described["timePartitioning"]
        for record in records:
            row = {k: v for k, v in record.items() if k in known}
            row["CustomVars"] = json.dumps({k: v for k, v in record.items() if k not in known})
            values = {k: _literal(k, v) for k, v in row.items()}
            if partitioned:
                values["_PARTITIONTIME"] = f"TIMESTAMP('{window.start:%Y-%m-%d}')"
            self.world.sql(
                f"INSERT INTO fs_export ({', '.join(values)}) VALUES ({', '.join(values.values())})"
            )
        self.world.hauser_syncs(window.stop)

    def hauser_checkpoint(self) -> datetime | None:
        if "fs_sync" not in self.world.server.tables(self.world.dataset):
            return None
        ((found,),) = self.world.sql("SELECT MAX(BundleEndTime) FROM fs_sync")
        return None if found is None else found.replace(tzinfo=UTC)

    def close(self) -> None:
        """The fixtures of the stand-in close it, and what was opened on it."""


def _literal(name: str, value: Any) -> str:
    if name == "EventStart":
        return f"TIMESTAMP('{value}')"
    if name == "CustomVars":
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return rfc3339(value.replace(tzinfo=UTC))
    return repr(value)


def direct(request: pytest.FixtureRequest, folder: Path) -> BigQueryBacking:
    return BigQueryBacking(request.getfixturevalue("bq"))


def hausers_table(request: pytest.FixtureRequest, folder: Path) -> BigQueryBacking:
    """What the Go hauser leaves: a table by ingestion time with REQUIRED columns, and a bucket."""
    world: World = request.getfixturevalue("bq")
    world.hauser_table()
    return BigQueryBacking(world, gcs={"bucket": f"{world.bucket()}/in here"})
