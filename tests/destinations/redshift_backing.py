"""Redshift under contract: the stand-in, in both of its isolation levels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hauserpy.destinations.redshift import Redshift
from hauserpy.fields import PAGE_AGENT, PAGE_USER_AGENT, catalogue
from hauserpy.model import Window, rfc3339
from hauserpy.owner import Owner
from tests.destinations.redshift_world import World
from tests.destinations.test_redshift_tables import HAUSER


class RedshiftBacking:
    """See `tests.destinations.makers.Backing`."""

    def __init__(self, world: World, **redshift: Any) -> None:
        self.world = world
        self.settings = world.settings(**redshift)

    def open(self) -> Redshift:
        return self.world.destination(self.settings)

    def rows(self) -> list[dict[str, str | None]]:
        names = {f.name.lower(): f.name for f in catalogue(mobile=True)}
        names[PAGE_AGENT.lower()] = PAGE_USER_AGENT
        if not self._there("fsexport"):
            return []
        columns = [
            c
            for (c,) in self.world.standin.sql(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'fsexport'::regclass"
                " AND attnum > 0"
            )
        ]
        found = self.world.standin.sql("SELECT * FROM fsexport")
        return [
            {names[c]: _text(v) for c, v in zip(columns, row, strict=True) if c in names}
            for row in found
        ]

    def leftovers(self) -> list[str]:
        tables = self.world.standin.sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN"
            " ('fsexport', 'fssync', 'fssync_ledger', 'fssync_lock')"
        )
        return [*self.world.objects(), *(t for (t,) in tables)]

    def plant_leftover(self, owner: Owner) -> None:
        self.world.s3.client().put_object(
            Bucket=self.world.bucket, Key=f"in here/{owner.name}/part-0001.csv.gz", Body=b"half"
        )

    def spoil_ledger(self) -> None:
        self.world.standin.sql("UPDATE fssync_ledger SET starttime = NULL")

    def hauser_loads(self, window: Window, records: Sequence[dict[str, Any]]) -> None:
        sql = self.world.standin.sql
        sql("SET ROLE hauser")
        sql(f"CREATE TABLE IF NOT EXISTS fsexport ({HAUSER})")
        sql("CREATE TABLE IF NOT EXISTS fssync (id bigint, processed timestamp,"
            " bundleendtime timestamp)")  # fmt: skip
        known = {line.split()[0] for line in HAUSER.strip().split(",")}
        for record in records:
            row: dict[str, Any] = {k.lower(): v for k, v in record.items() if k.lower() in known}
            folded = {k: v for k, v in record.items() if k.lower() not in known}
            row["customvars"] = json.dumps(folded)
            marks = ", ".join(["%s"] * len(row))
            sql(f"INSERT INTO fsexport ({', '.join(row)}) VALUES ({marks})", *row.values())
        sql("INSERT INTO fssync VALUES (-1, now(), %s)", window.stop.replace(tzinfo=None))
        sql("RESET ROLE")

    def hauser_checkpoint(self) -> datetime | None:
        if not self._there("fssync"):
            return None
        ((found,),) = self.world.standin.sql("SELECT max(bundleendtime) FROM fssync")
        return None if found is None else found.replace(tzinfo=UTC)

    def close(self) -> None:
        """The fixtures of the stand-in close it, and what was opened on it."""

    def _there(self, table: str) -> bool:
        return bool(self.world.standin.sql("SELECT 1 FROM pg_tables WHERE tablename = %s", table))


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return rfc3339(value.replace(tzinfo=UTC))
    return json.dumps(value) if isinstance(value, dict) else repr(value)


def snapshot(request: pytest.FixtureRequest, folder: Path) -> RedshiftBacking:
    return RedshiftBacking(request.getfixturevalue("world"))


def serializable(request: pytest.FixtureRequest, folder: Path) -> RedshiftBacking:
    world: World = request.getfixturevalue("world")
    world.standin = request.getfixturevalue("redshift")(isolation="serializable")
    return RedshiftBacking(world)
