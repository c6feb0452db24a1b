"""A BigQuery stand-in, a dataset, and bundles staged by the real pipeline, for the tests beside."""

from __future__ import annotations

import gzip
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.config import BigQuerySettings, GcsSettings, Provider, Settings
from hauserpy.destinations.bigquery import BigQuery
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.fields import catalogue
from hauserpy.layout import Layout
from hauserpy.ledger import Ledger
from hauserpy.model import Clip, Staged, Window
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Spool
from hauserpy.pipeline.stage import stage
from tests.standins.bigquery import BigQueryStandIn
from tests.standins.bigquery.faults import Request
from tests.standins.bigquery.fixtures import NOW

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def window(number: int, hours: int = 1) -> Window:
    start = DAY + timedelta(hours=number)
    return Window(start, start + timedelta(hours=hours))


def events(number: int, count: int = 3, tag: str = "", hours: int = 1) -> list[dict[str, Any]]:
    """Records of one window; ``tag`` tells apart the attempts at the same window."""
    start = window(number).start
    step = timedelta(hours=hours) / max(count, 1)
    return [
        {
            "EventStart": (start + n * step).isoformat(),
            "EventType": "click",
            "UserId": 2**60 + n,
            "EventTargetText": f"{number}/{n}{tag}",
            "user_plan_str": "gold",
        }
        for n in range(count)
    ]


def expected_texts(*numbers: int, count: int = 3, tag: str = "") -> list[str]:
    return sorted(f"{number}/{n}{tag}" for number in numbers for n in range(count))


def yield_to_the_server(seconds: float) -> None:
    """The destination's pauses, without their length: the stand-in works in this process."""
    time.sleep(0.001)


@dataclass
class World:
    """Everything that a test of the destination needs, and short ways to look at it."""

    server: BigQueryStandIn
    dataset: str
    folder: Path
    clock: Callable[[], datetime] = lambda: NOW
    opened: list[BigQuery] = field(default_factory=list)

    def settings(self, gcs: dict[str, Any] | None = None, **bigquery: Any) -> Settings:
        given: dict[str, Any] = {
            "project": self.server.PROJECT,
            "dataset": self.dataset,
            "endpoint": self.server.url,
            **bigquery,
        }
        place = {"endpoint": self.server.url, **gcs} if gcs else {}
        return Settings(
            provider=Provider.GCP,
            bigquery=BigQuerySettings(**given),
            gcs=GcsSettings(**place),
        )

    def destination(self, settings: Settings | None = None, **options: Any) -> BigQuery:
        pause = yield_to_the_server
        given = {"clock": self.clock, "sleep": pause, "wait": pause, **options}
        made = BigQuery(settings or self.settings(), **given)
        self.opened.append(made)
        return made

    def ready(self, settings: Settings | None = None, **options: Any) -> tuple[BigQuery, Layout]:
        made = self.destination(settings, **options)
        return made, made.prepare(catalogue())

    def staged(
        self, layout: Layout, where: Window, records: Sequence[Any], clip: Clip | None = None
    ) -> Staged:
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        spool = Spool(folder / "spool")
        spool.write(gzip.compress(json.dumps(records).encode()))
        spool.finish()
        parts = folder / "parts"
        parts.mkdir()
        pool = Pool(1)
        try:
            return stage(spool, Job(layout, where, clip, 16 * 2**20), parts, pool)
        finally:
            spool.close()
            pool.close()

    def entry(
        self, where: Window, staged: Staged | None, kind: EntryKind = EntryKind.SYNC, **given: Any
    ) -> LedgerEntry:
        made = LedgerEntry(
            window=where,
            kind=kind,
            bundle=str(int(where.start.timestamp())),
            load=str(uuid.uuid4()),
        )
        if staged is not None:
            made = replace(
                made,
                records=staged.records,
                bytes=staged.bytes,
                changes=staged.changes,
                first_event=staged.first_event,
                last_event=staged.last_event,
            )
        return replace(made, **given)

    def load(
        self,
        destination: BigQuery,
        layout: Layout,
        number: int,
        records: Sequence[Any] | None = None,
        *,
        where: Window | None = None,
        kind: EntryKind = EntryKind.SYNC,
    ) -> LedgerEntry:
        """What the engine does for one bundle, from its ledger to the load."""
        where = where or window(number)
        staged = self.staged(layout, where, events(number) if records is None else records)
        expected = destination.ledger().loads_in(where)
        return destination.load(
            self.entry(where, staged, kind),
            staged.parts,
            expected=expected,
            checkpoint=where.stop if kind is EntryKind.SYNC else None,
        )

    def bucket(self) -> str:
        """A bucket of this test's own."""
        name = f"bucket-{self.dataset}"
        self.server.service.objects.create_bucket(name)
        return name

    def objects(self) -> list[str]:
        return self.server.service.objects.names(f"bucket-{self.dataset}")

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        return self.server.sql(text, self.dataset)

    def texts(self, table: str = "fs_export") -> list[str]:
        """EventTargetText of all rows, sorted: which rows are there, and how often."""
        return sorted(r[0] for r in self.sql(f"SELECT EventTargetText FROM {table}"))

    def sync_rows(self) -> list[tuple[Any, ...]]:
        return self.sql("SELECT ID, BundleEndTime FROM fs_sync ORDER BY BundleEndTime")

    def ledger(self) -> Ledger:
        return self.destination().ledger()

    def scripts(self) -> list[str]:
        """The transactions that were run on this dataset, in order."""
        queries = [j.configuration.get("query", {}) for j in self.server.service.jobs.all]
        texts = [q.get("query", "") for q in queries]
        return [t for t in texts if t.startswith("BEGIN") and f".{self.dataset}." in t]

    def leftovers(self) -> list[str]:
        return [n for n in self.server.tables(self.dataset) if n.startswith("hauserpy_")]

    def requests(self, seen: list[Request]) -> list[str]:
        """What was asked, without what differs between runs."""
        return [f"{r.method} {_without_ids(r.path)}" for r in seen]

    def hauser_table(self, *, reach: datetime | None = None, partitioned: bool = True) -> None:
        """The tables as the Go hauser leaves them: by ingestion time, with REQUIRED columns."""
        names = {"INT64": ("IndvId", "UserId", "SessionId", "PageId"), "STRING": (
            "EventType", "EventTargetText", "PageAgent", "CustomVars")}  # fmt: skip
        fields = [{"name": "EventStart", "type": "TIMESTAMP", "mode": "REQUIRED"}]
        for kind, several in names.items():
            fields += [
                {"name": n, "type": kind, "mode": "REQUIRED" if n == "EventType" else "NULLABLE"}
                for n in several
            ]
        more = {"timePartitioning": {"type": "DAY"}} if partitioned else {}
        self.server.create_table(self.dataset, "fs_export", schema={"fields": fields}, **more)
        sync = [
            {"name": n, "type": t, "mode": "REQUIRED"}
            for n, t in (
                ("ID", "INT64"),
                ("Processed", "TIMESTAMP"),
                ("BundleEndTime", "TIMESTAMP"),
            )
        ]
        self.server.create_table(self.dataset, "fs_sync", schema={"fields": sync})
        if reach is not None:
            self.hauser_syncs(reach)

    def hauser_syncs(self, reach: datetime) -> None:
        at = f"TIMESTAMP('{reach:%Y-%m-%d %H:%M:%S}')"
        self.sql(f"INSERT INTO fs_sync (ID, Processed, BundleEndTime) VALUES (7, {at}, {at})")

    def hauser_loads(self, number: int, tag: str = "h") -> None:
        """Rows as hauser loads them, into the partition of the bundle's day."""
        for n in range(3):
            at = window(number).start + timedelta(minutes=20 * n)
            self.sql(
                "INSERT INTO fs_export (_PARTITIONTIME, EventStart, EventType, EventTargetText)"
                f" VALUES (TIMESTAMP('{at:%Y-%m-%d}'), TIMESTAMP('{at:%Y-%m-%d %H:%M:%S}'),"
                f" 'click', '{number}/{n}{tag}')"
            )


def _without_ids(path: str) -> str:
    path = re.sub(r"/projects/[^/]+(/datasets/[^/]+)?", "", path)
    path = re.sub(r"hauserpy_staging_\w+", "STAGING", path)
    path = re.sub(r"/hauserpy_[\w-]+", "/JOB", path)
    path = re.sub(r"(upload_id=)\w+", r"\1…", path)
    return path.partition("?")[0] if "upload" not in path else path


@pytest.fixture
def bq(bigquery: BigQueryStandIn, dataset: str, tmp_path: Path) -> Iterator[World]:
    made = World(bigquery, dataset, tmp_path)
    yield made
    for destination in made.opened:
        destination.close()
