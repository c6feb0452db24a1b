"""A Redshift stand-in, a bucket, and bundles staged by the real pipeline, for the tests beside."""

from __future__ import annotations

import functools
import gzip
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.loaders
import psycopg2
import pytest

from hauserpy.config import Provider, RedshiftSettings, S3Settings, Settings
from hauserpy.config.secret import Secret
from hauserpy.destinations.redshift import Redshift
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.fields import catalogue
from hauserpy.layout import Layout
from hauserpy.ledger import Ledger
from hauserpy.model import Clip, Staged, Window
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Spool
from hauserpy.pipeline.stage import stage
from tests.standins.redshift import ROLE, RedshiftStandin
from tests.standins.s3 import CREDENTIALS, S3Standin

DAY = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 12, 30, 15, 250000, tzinfo=UTC)
PASSWORD = "correct horse"


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


@dataclass
class World:
    """Everything that a test of the destination needs, and short ways to look at it."""

    standin: RedshiftStandin
    s3: S3Standin
    bucket: str
    folder: Path
    clock: Callable[[], datetime] = lambda: NOW
    slept: list[float] = field(default_factory=list)
    opened: list[Redshift] = field(default_factory=list)

    def settings(self, s3: dict[str, Any] | None = None, **redshift: Any) -> Settings:
        given: dict[str, Any] = {
            "host": self.standin.host,
            "port": self.standin.port,
            "db": self.standin.database,
            "user": "hauser",
            "password": Secret(PASSWORD),
            "iam_role": ROLE,
            "ssl_mode": "disable",
            **redshift,
        }
        place: dict[str, Any] = {
            "bucket": f"{self.bucket}/in here",
            "region": "us-east-1",
            "endpoint": self.s3.endpoint,
            **(s3 or {}),
        }
        return Settings(
            provider=Provider.AWS, s3=S3Settings(**place), redshift=RedshiftSettings(**given)
        )

    def destination(self, settings: Settings | None = None, **options: Any) -> Redshift:
        given = {"clock": self.clock, "sleep": self.slept.append, **options}
        made = Redshift(settings or self.settings(), **given)
        self.opened.append(made)
        return made

    def ready(self, settings: Settings | None = None, **options: Any) -> tuple[Redshift, Layout]:
        made = self.destination(settings, **options)
        return made, made.prepare(catalogue())

    def staged(
        self,
        layout: Layout,
        where: Window,
        records: Sequence[Any],
        clip: Clip | None = None,
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
        destination: Redshift,
        layout: Layout,
        number: int,
        records: Sequence[Any] | None = None,
        *,
        where: Window | None = None,
        kind: EntryKind = EntryKind.SYNC,
        expected: frozenset[str] | None = None,
    ) -> LedgerEntry:
        """What the engine does for one bundle; ``expected`` is what the ledger holds, unless given."""
        where = where or window(number)
        staged = self.staged(layout, where, events(number) if records is None else records)
        if expected is None:
            expected = destination.ledger().loads_in(where)
        return destination.load(
            self.entry(where, staged, kind),
            staged.parts,
            expected=expected,
            checkpoint=where.stop if kind is EntryKind.SYNC else None,
        )

    def texts(self, table: str = "fsexport") -> list[str]:
        """EventTargetText of all rows, sorted: which rows are there, and how often."""
        return sorted(r[0] for r in self.standin.sql(f"SELECT eventtargettext FROM {table}"))

    def as_user(self, query: str) -> list[tuple[Any, ...]]:
        """What the user of the tables gets, by Redshift's rules."""
        connection = psycopg2.connect(
            host=self.standin.host,
            port=self.standin.port,
            dbname=self.standin.database,
            user="hauser",
            password=PASSWORD,
            sslmode="disable",
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def sync_rows(self) -> list[tuple[Any, ...]]:
        return self.standin.sql("SELECT id, bundleendtime FROM fssync ORDER BY bundleendtime")

    def objects(self) -> list[str]:
        return self.s3.keys(self.bucket)

    def ledger(self) -> Ledger:
        return self.destination().ledger()


def expected_texts(*numbers: int, count: int = 3, tag: str = "") -> list[str]:
    return sorted(f"{number}/{n}{tag}" for number in numbers for n in range(count))


_read_once = functools.cache(botocore.loaders.JSONFileLoader().load_file)


@pytest.fixture
def world(
    redshift: Callable[..., RedshiftStandin],
    s3_standin: S3Standin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    for key, value in {**CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(key, value)
    for key in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    # Each destination makes a session of its own, which would read megabytes of botocore's JSON.
    monkeypatch.setattr(
        botocore.loaders.JSONFileLoader, "load_file", lambda _, file_path: _read_once(file_path)
    )
    made = World(redshift(), s3_standin, s3_standin.bucket(), tmp_path)
    yield made
    for destination in made.opened:
        destination.close()


@pytest.fixture
def together() -> Callable[[list[Callable[[], object]]], list[object]]:
    """Runs functions in threads that start at one moment; raises what the first of them raised."""

    def run(functions: list[Callable[[], object]]) -> list[object]:
        barrier = threading.Barrier(len(functions))

        def one(function: Callable[[], object]) -> object:
            barrier.wait(30)
            return function()

        with ThreadPoolExecutor(len(functions)) as pool:
            return [f.result(60) for f in [pool.submit(one, f) for f in functions]]

    return run
