"""BigQuery as a destination: what a load is, from parts on disk to the commit."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hauserpy.config import Settings
from hauserpy.destinations import scope, sql
from hauserpy.destinations.base import refuse_miscounted
from hauserpy.destinations.bigquery import checks, plans, state
from hauserpy.destinations.bigquery.client import Connection
from hauserpy.destinations.bigquery.jobs import JobFailed, Jobs, OutcomeUnknown, labels
from hauserpy.destinations.bigquery.plans import Plan, looks_for_lost
from hauserpy.destinations.bigquery.schema import Export, quoted
from hauserpy.destinations.bigquery.script import INSERTED, transaction
from hauserpy.destinations.bigquery.staging import Staging, safe
from hauserpy.destinations.bigquery.tables import Tables
from hauserpy.destinations.bigquery.tries import Tries
from hauserpy.entries import LedgerEntry
from hauserpy.errors import DestinationRefused, Interrupted, LedgerMoved
from hauserpy.fields import Field, as_exported
from hauserpy.layout import Compression, CustomVarsKind, Layout, StageFormat, TimeStyle
from hauserpy.ledger import Ledger
from hauserpy.model import Check, Part, rfc3339

_log = logging.getLogger(__name__)

PART_BYTES = 256 * 1024 * 1024
"""Of gzip: a file may have 4 GB and is read by one worker, since gzip cannot be split (page
"Loading JSON data"), so a large bundle is several files."""


class BigQuery:
    """See `hauserpy.destinations.base.Destination`.

    A load uploads its parts into a staging table of its own, and then runs one script on the
    server: a transaction that locks, asserts that the ledger is what this client has seen, deletes
    what is replaced, inserts the rows, and writes ledger and checkpoint. When the script's answer
    is lost, its job is asked for by its id; when the job failed, for whatever reason, the ledger is
    read before anything else is done. The ledger is read once a run, and again when an assertion
    says that it has moved.
    """

    replaces_baseline = True

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """``sleep`` passes the time between two attempts, and may raise to end the run; ``wait``
        that in which a job is at work, which is the load in hand."""
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._connection = Connection(settings, sleep=sleep)
        self._jobs = Jobs(self._connection, clock=clock, wait=wait)
        self._tables = Tables(self._connection, settings)
        self._staging = Staging(
            self._connection, self._jobs, self._tables, settings, clock=clock, sleep=sleep
        )
        self._scope = scope.scope_of(settings, "ExportTable", settings.bigquery.export_table)
        self._export: Export | None = None
        self._stored: sql.Stored | None = None
        self._tried: set[str] = set()
        self._strays_until: datetime | None = None

    @property
    def name(self) -> str:
        bq = self._settings.bigquery
        return f"bigquery {bq.project}.{bq.dataset}.{bq.export_table}"

    def prepare(self, fields: Sequence[Field]) -> Layout:
        found = self._tables.state()
        self._stored = state.read_existing(self._connection, self._tables, found)
        ledger = self._trusted(self._stored)
        state.refuse_other_rows(self._connection, self._tables, self._stored)
        self._tables.ensure_state(found, self._define)
        export = self._export = self._tables.ensure_export(fields)
        self._staging.sweep()
        self._strays_until = None
        if ledger.baseline() and ledger.checkpoint is not None:
            self._strays_until = state.leftover_reach(
                self._connection, self._tables.names, export, ledger.checkpoint
            )
        return Layout(
            columns=as_exported(export.columns),
            format=StageFormat.JSONL,
            compression=Compression.GZIP,
            header=False,
            time_style=TimeStyle.RFC3339,
            custom_vars=CustomVarsKind.TYPED if export.json else CustomVarsKind.TEXT,
            in_characters=True,
            int64_as_text=True,
            part_bytes=PART_BYTES,
        )

    def ledger(self) -> Ledger:
        stored = self._read()
        ledger = self._trusted(stored)
        if self._export is None:
            state.refuse_other_rows(self._connection, self._tables, stored)
        return ledger

    def load(
        self,
        entry: LedgerEntry,
        parts: Sequence[Part],
        *,
        expected: frozenset[str],
        checkpoint: datetime | None,
    ) -> LedgerEntry:
        refuse_miscounted(entry, parts)
        entry = replace(entry, loaded_at=self._clock(), files=())
        stored = self._seen(entry.load)
        if (already := _own(stored, entry.load)) is not None:
            return already
        if (export := self._export) is None:
            raise RuntimeError("prepare() comes before load()")

        def plan(seen: sql.Stored) -> Plan:
            return plans.to_load(
                seen, self._trusted(seen), entry, expected, checkpoint, self._strays_until,
                scope=scope.encode(self._scope), look=looks_for_lost(export, entry.kind),
            )  # fmt: skip

        # What speaks against it is told before anything is uploaded.
        first = self._fresh(stored, plan)
        self._warn_of_expiry(entry, export)
        filled = [part for part in parts if part.records]
        if not filled:
            return self._commit(entry, first, plan)
        staging = self._staging.fill(entry, export.columns, filled)
        try:
            made = self._commit(entry, first, plan, staging)
        except (OutcomeUnknown, Interrupted):
            # The script may still be running on the server, and reading from it.
            _log.warning("staging table %s is left to the next run, or its expiration", staging)
            raise
        except Exception:
            # Whatever it was, nothing was committed: nobody will read the staging table.
            self._staging.drop(staging)
            raise
        self._staging.drop(staging)
        return made

    def advance(self, checkpoint: datetime, *, expected: frozenset[str]) -> None:
        load = f"advance-{uuid.uuid4()}"
        tries = self._tries("the checkpoint")
        while True:
            stored = self._stored if not tries.failures and self._stored else self._read()
            ledger = self._trusted(stored)
            if ledger.checkpoint is not None and ledger.checkpoint >= checkpoint:
                return
            plan = self._fresh(stored, lambda s: plans.to_advance(
                s, self._trusted(s), load, checkpoint, expected,
                scope=scope.encode(self._scope)))  # fmt: skip
            try:
                self._run(plan, tries.failures)
            except JobFailed as failed:
                tries.after(failed)
            else:
                self._stored = plans.stored_after(self._stored or stored, plan)
                return

    def checks(self) -> Iterator[Check]:
        return checks.run(self._settings, self._connection, self._tables, self._staging.bucket)

    def close(self) -> None:
        self._connection.close()

    def _define(self, statement: str) -> None:
        try:
            self._jobs.query(f"hauserpy_define_{uuid.uuid4().hex}", statement, labels=labels())
        except JobFailed as failed:
            # Two first runs at once: the other one has made the table.
            if failed.reason != "duplicate" and not failed.says("Already Exists"):
                raise DestinationRefused(
                    f"a table cannot be created: {failed}.",
                    "Look at the roles that the README names.",
                ) from failed

    def _read(self) -> sql.Stored:
        if self._export is None:
            found = self._tables.state()
            self._stored = state.read_existing(self._connection, self._tables, found)
        else:
            self._stored = state.read(self._connection, self._tables.names)
        return self._stored

    def _seen(self, load: str) -> sql.Stored:
        """What was read last; read anew when this load was tried before, for it may be there."""
        stored = self._stored
        if stored is None or load in self._tried:
            stored = self._read()
            self._trusted(stored)
        self._tried.add(load)
        return stored

    def _trusted(self, stored: sql.Stored) -> Ledger:
        names = self._tables.names
        forget = f"UPDATE {quoted(names.lock)} SET Scope = NULL WHERE TRUE"
        sql.refuse_other_scope(stored, self._scope, names.ledger, forget)
        ledger = stored.ledger(names.sync)
        ledger.refuse_future(self._clock(), self.name)
        return ledger

    def _fresh(self, stored: sql.Stored, plan: Callable[[sql.Stored], Plan]) -> Plan:
        """A plan from what was read last; when that speaks against it, from what is there now."""
        try:
            return plan(stored)
        except LedgerMoved:
            return plan(self._read())

    def _commit(
        self,
        entry: LedgerEntry,
        plan: Plan,
        again: Callable[[sql.Stored], Plan],
        staging: str | None = None,
    ) -> LedgerEntry:
        """Carry out ``plan``, or what is planned ``again`` when the ledger has moved."""
        what = f"bundle {entry.bundle}"
        tries = self._tries(what)
        while True:
            try:
                self._run(plan, tries.failures, entry.bundle, staging)
            except JobFailed as failed:
                stored = self._read()
                if (already := _own(stored, entry.load)) is not None:
                    return already
                if failed.says(INSERTED):
                    raise DestinationRefused(
                        f"{what}: {entry.records} rows were staged, and BigQuery counted a"
                        " different number; nothing was loaded.",
                        "Run again; if it stays so, please report it with the bundle's id.",
                    ) from failed
                tries.after(failed)
                plan = self._fresh(self._stored or stored, again)
            else:
                self._stored = plans.stored_after(self._stored or sql.Stored(), plan)
                return entry

    def _run(self, plan: Plan, attempt: int, bundle: str = "", staging: str | None = None) -> None:
        """One transaction, as one job. Its id carries the load and a token of this call, so that
        a job of an earlier call is never mistaken for this one; that it does not load what that one
        has loaded is asserted inside."""
        made = transaction(self._tables.names, plan, self._export, staging)
        token = uuid.uuid4().hex[:8]
        self._jobs.query(
            f"hauserpy_{safe(plan.load)}_{token}_commit_{attempt}",
            made.text,
            made.parameters,
            labels(bundle),
        )

    def _tries(self, what: str) -> Tries:
        return Tries(what, self._tables.names.lock, self._sleep)

    def _warn_of_expiry(self, entry: LedgerEntry, export: Export) -> None:
        kept = export.expiration
        if kept and entry.window.stop < self._clock() - kept:
            _log.warning(
                "bundle %s ends at %s, which is longer ago than the table's PartitionExpiration:"
                " BigQuery will delete its rows soon",
                entry.bundle,
                rfc3339(entry.window.stop),
            )


def _own(stored: sql.Stored, load: str) -> LedgerEntry | None:
    return next((e for e in stored.entries if e.load == load), None)
