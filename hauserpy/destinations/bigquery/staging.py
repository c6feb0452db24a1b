"""A bundle's rows on their way: a staging table of this load, filled by load jobs."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from hauserpy.config import Settings
from hauserpy.destinations import gcp
from hauserpy.destinations.bigquery.bucket import Bucket
from hauserpy.destinations.bigquery.client import Connection
from hauserpy.destinations.bigquery.jobs import JobFailed, Jobs, label, labels
from hauserpy.destinations.bigquery.schema import TYPES
from hauserpy.destinations.bigquery.tables import Tables
from hauserpy.entries import LedgerEntry
from hauserpy.errors import DestinationRefused, DestinationUnavailable, HauserpyError
from hauserpy.layout import Column
from hauserpy.model import Part
from hauserpy.owner import Owner, host_name

_log = logging.getLogger(__name__)

KEPT = timedelta(hours=48)
"""After so long BigQuery drops a staging table by itself."""

PREFIX = "hauserpy_staging_"

_MULTIPART_BELOW = 5 * 1024 * 1024
"""Google's client sends what is smaller in one request, without chunks to resume."""

_UPLOAD_TIMEOUT_SECONDS = (10.0, 600.0)
_CHUNK_RETRIES = 6
_ATTEMPTS = 5
_PAGE = 1000
"""Tables in one answer of a listing: the most that there can be."""
_DETAILS = 3


def safe(text: str) -> str:
    """``text`` as part of a job's id or a table's name."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


class Staging:
    """Makes, fills and drops staging tables.

    Their names and those of their jobs carry the ``load`` and a token of the attempt: a repeated
    request meets its own table and job, a second attempt never those of the first.
    """

    def __init__(
        self,
        connection: Connection,
        jobs: Jobs,
        tables: Tables,
        settings: Settings,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._jobs = jobs
        self._tables = tables
        self._clock = clock
        self._sleep = sleep
        self.bucket = Bucket.of(connection, clock=clock)

    def fill(self, entry: LedgerEntry, columns: Sequence[Column], parts: Sequence[Part]) -> str:
        """The full name of a new staging table that holds the rows of ``parts``.

        Raises DestinationRefused, which names the bundle, when BigQuery does not take the rows.
        """
        token = f"{safe(entry.load)}_{uuid.uuid4().hex[:8]}"
        name = f"{self._connection.dataset}.{PREFIX}{token}"
        self._tables.create(self._table(name, columns))
        try:
            if self.bucket is None:
                self._load_files(name, token, entry, parts)
            else:
                with self.bucket.uploaded(entry.load, parts) as uris:
                    self._run(name, token, entry, lambda job_id: self._from_uris(
                        name, job_id, entry, uris))  # fmt: skip
        except BaseException:
            self.drop(name)
            raise
        return name

    def drop(self, name: str) -> None:
        """Never fails: what stays is swept by a later run, or dropped at its expiration."""
        try:
            self._tables.drop(name)
        except HauserpyError as error:
            _log.warning("staging table %s stays behind: %s", name, error.reason)

    def sweep(self) -> None:
        """Drop what dead runs on this host left. Never fails: a run that may not list can load."""
        try:
            dead = list(self._connection.call("tables cannot be listed", self._dead))
        except HauserpyError as error:
            _log.warning("left-over staging tables were not looked for: %s", error.reason)
        else:
            for name in dead:
                self.drop(name)
        if self.bucket is not None:
            self.bucket.sweep()

    def _dead(self) -> list[str]:
        listed = self._connection.client.list_tables(
            self._connection.dataset,
            page_size=_PAGE,
            retry=None,
            timeout=gcp.TIMEOUT_SECONDS,
        )
        return [
            f"{t.project}.{t.dataset_id}.{t.table_id}"
            for t in listed
            if t.table_id.startswith(PREFIX) and _known_dead(t.labels)
        ]

    def _table(self, name: str, columns: Sequence[Column]) -> Any:
        from google.cloud import bigquery

        made = bigquery.Table(
            name, schema=[bigquery.SchemaField(c.name, TYPES[c.type]) for c in columns]
        )
        made.expires = self._clock() + KEPT
        owner = Owner.of_this_process("")
        made.labels = {
            **labels(), "host": label(owner.host), "pid": str(owner.pid), "space": owner.space
        }  # fmt: skip
        return made

    def _load_files(self, name: str, token: str, entry: LedgerEntry, parts: Sequence[Part]) -> None:
        """A job a part, as an upload carries one file; each loads while the next is uploaded."""
        begun = [
            (part, job_id, self._jobs.begin(job_id, self._upload(name, job_id, entry, part)))
            for n, part in enumerate(parts)
            for job_id in [_job_id(token, n, 0)]
        ]
        for n, (part, _, job) in enumerate(begun):
            try:
                self._jobs.wait(job)
            except JobFailed as failed:
                self._tolerate(failed, entry)
                self._run(name, token, entry, self._begin_part(name, entry, part), part=n, first=1)

    def _begin_part(self, name: str, entry: LedgerEntry, part: Part) -> Callable[[str], Any]:
        return lambda job_id: self._upload(name, job_id, entry, part)()

    def _run(
        self,
        name: str,
        token: str,
        entry: LedgerEntry,
        request: Callable[[str], Any],
        *,
        part: int = 0,
        first: int = 0,
    ) -> None:
        """Begin and wait, with another id when a job failed for a reason that passes. A load job
        that failed has loaded nothing (page "Batch loading data": jobs are atomic)."""
        for attempt in range(first, _ATTEMPTS):
            job_id = _job_id(token, part, attempt)
            try:
                self._jobs.wait(self._jobs.begin(job_id, _bound(request, job_id)))
            except JobFailed as failed:
                self._tolerate(failed, entry)
                self._sleep(2.0**attempt)
            else:
                return
        raise DestinationUnavailable(
            f"bundle {entry.bundle}: load jobs into {name} keep failing.",
            "Run again later; if it stays so, look at the status of BigQuery.",
        )

    def _tolerate(self, failed: JobFailed, entry: LedgerEntry) -> None:
        if failed.passing:
            _log.warning("bundle %s: %s; trying again", entry.bundle, failed)
            return
        told = " ".join(failed.errors[:_DETAILS])
        if failed.quota:
            raise DestinationUnavailable(
                f"bundle {entry.bundle}: its rows are not taken: {told}", gcp.FOR_QUOTA
            ) from failed
        raise DestinationRefused(
            f"bundle {entry.bundle}: BigQuery does not take its rows: {told}",
            f"Look at job {failed.job_id} in the Google console.",
        ) from failed

    def _config(self, entry: LedgerEntry) -> Any:
        """JSON Lines, every row and every field of it or none; the schema is the table's own."""
        from google.cloud import bigquery

        return bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            labels=labels(entry.bundle),
        )

    def _upload(self, name: str, job_id: str, entry: LedgerEntry, part: Part) -> Callable[[], Any]:
        resumable = part.size >= _MULTIPART_BELOW

        def request() -> Any:
            with part.path.open("rb") as body:
                return self._connection.client.load_table_from_file(
                    body,
                    name,
                    size=part.size,
                    num_retries=_CHUNK_RETRIES if resumable else 0,
                    job_id=job_id,
                    location=self._connection.location,
                    job_config=self._config(entry),
                    timeout=_UPLOAD_TIMEOUT_SECONDS,
                )

        return request

    def _from_uris(self, name: str, job_id: str, entry: LedgerEntry, uris: Sequence[str]) -> Any:
        return self._connection.client.load_table_from_uri(
            list(uris),
            name,
            job_id=job_id,
            location=self._connection.location,
            job_config=self._config(entry),
            retry=None,
            timeout=gcp.TIMEOUT_SECONDS,
        )


def _bound(request: Callable[[str], Any], job_id: str) -> Callable[[], Any]:
    return lambda: request(job_id)


def _job_id(token: str, part: int, attempt: int) -> str:
    return f"hauserpy_{token}_load_{part}_{attempt}"


def _known_dead(found: dict[str, str]) -> bool:
    host, pid = found.get("host"), found.get("pid", "")
    if host != label(host_name()) or not pid.isdigit():
        return False
    return Owner(host_name(), int(pid), "", found.get("space", "")).known_dead()
