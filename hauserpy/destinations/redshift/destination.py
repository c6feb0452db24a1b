"""Redshift as a destination: what a load is, from parts on disk to the commit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hauserpy.config import Settings
from hauserpy.destinations import aws, scope, sql
from hauserpy.destinations.base import refuse_miscounted
from hauserpy.destinations.redshift import checks, copy, state, tables
from hauserpy.destinations.redshift.connection import STATEMENT_TIMEOUT, Database, Link
from hauserpy.destinations.redshift.failures import LoadFailed
from hauserpy.destinations.redshift.staging import Staging
from hauserpy.destinations.redshift.tables import Names, Place
from hauserpy.entries import LedgerEntry
from hauserpy.errors import DestinationRefused
from hauserpy.fields import BUNDLE_START, EVENT_START, Field, catalogue
from hauserpy.layout import Compression, CustomVarsKind, Layout, StageFormat, TimeStyle
from hauserpy.ledger import Ledger
from hauserpy.model import Check, Part

PART_BYTES = 64 * 1024 * 1024
"""Of compressed CSV: slices load in parallel, a part each, and AWS advises 1 MB to 1 GB ("Loading
data files" in the Database Developer Guide)."""


class Redshift:
    """See `hauserpy.destinations.base.Destination`.

    A load uploads its parts and then, in one transaction: takes the lock before anything else, so
    that the snapshot is one of after it; reads the ledger; deletes what is replaced; COPY; compares
    the count; writes ledger and checkpoint; commits. When the answer to the commit is lost, the
    transaction runs again and finds its own load id.
    """

    replaces_baseline = True

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        statement_timeout: timedelta = STATEMENT_TIMEOUT,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._names = Names.of(settings)
        self._database = Database(
            settings, clock=clock, sleep=sleep, statement_timeout=statement_timeout
        )
        self._staging = Staging(settings, clock=clock)
        self._scope = scope.scope_of(settings, "ExportTable", self._names.export)
        self._found: Place | None = None
        self._state_ready = False
        self._layout: Layout | None = None

    @property
    def name(self) -> str:
        redshift, names = self._settings.redshift, self._names
        table = f"{redshift.db}.{names.schema or 'search_path'}.{names.export}"
        return f"redshift {table} at {redshift.host}:{redshift.port}"

    def prepare(self, fields: Sequence[Field]) -> Layout:
        self._ensure_state()
        place = self._place()
        stored = self._database.run(lambda link: state.read(link, place))
        self._trusted(stored, place)
        self._database.run(lambda link: state.refuse_other_rows(link, place, stored))
        columns, custom_vars = tables.ensure_export(self._database, place, fields, self._settings)
        self._staging.sweep()
        self._layout = Layout(
            columns=columns,
            format=StageFormat.CSV,
            compression=Compression.GZIP,
            header=False,
            null=copy.NULL,
            time_style=TimeStyle.SQL,
            custom_vars=custom_vars,
            custom_value_bytes=(
                tables.SUPER_STRING_BYTES if custom_vars is CustomVarsKind.TYPED else None
            ),
            part_bytes=PART_BYTES,
        )
        return self._layout

    def ledger(self) -> Ledger:
        place = self._place()
        stored = self._database.run(lambda link: state.read_existing(link, place))
        ledger = self._trusted(stored, place)
        self._database.run(lambda link: state.refuse_other_rows(link, place, stored))
        return ledger

    def load(
        self,
        entry: LedgerEntry,
        parts: Sequence[Part],
        *,
        expected: frozenset[str],
        checkpoint: datetime | None,
    ) -> LedgerEntry:
        what = f"bundle {entry.bundle}"
        refuse_miscounted(entry, parts)
        self._ensure_state()
        place = self._place()
        now = self._clock()
        entry = replace(entry, loaded_at=now, reason=_cut(entry.reason), files=())

        def load(link: Link, manifest: str | None) -> LedgerEntry:
            state.lock(link, place)
            stored = state.read(link, place)
            for other in stored.entries:
                if other.load == entry.load:
                    return other
            before = self._trusted(stored, place)
            after = before.after(entry, expected=expected, checkpoint=checkpoint)
            self._delete_replaced(link, place, entry)
            if manifest is not None:
                self._copy(link, place, entry, manifest)
            state.write(link, place, stored, after, scope=self._scope, sync_id=sql.sync_id(entry),
                        now=now)  # fmt: skip
            return entry

        filled = [part for part in parts if part.records]
        try:
            with self._manifest(entry.load, filled) as manifest:
                return self._database.transaction(lambda link: load(link, manifest))
        except LoadFailed as failed:
            told = failed.reason
        raise self._database.run(
            lambda link: copy.refusal(link, what, entry.load, told, self._sleep)
        )

    def advance(self, checkpoint: datetime, *, expected: frozenset[str]) -> None:
        self._ensure_state()
        place = self._place()

        def advance(link: Link) -> None:
            state.lock(link, place)
            stored = state.read(link, place)
            after = self._trusted(stored, place).advanced(checkpoint, expected)
            state.write(link, place, stored, after, scope=self._scope, sync_id=-1,
                        now=self._clock())  # fmt: skip

        self._database.transaction(advance)

    def checks(self) -> Iterator[Check]:
        fields = catalogue(self._settings.include_mobile_apps_fields)
        return checks.run(self._settings, self._names, self._database, self._staging, fields)

    def close(self) -> None:
        self._database.close()

    def _place(self) -> Place:
        if self._found is None:
            self._found = self._database.run(lambda link: tables.find_place(link, self._names))
        return self._found

    def _ensure_state(self) -> None:
        if not self._state_ready:
            place = self._place()
            # A ledger that has lost a part must not be made anew.
            self._database.run(lambda link: state.refuse_torn(link, place))
            tables.ensure_state(self._database, self._place())
            self._state_ready = True

    def _trusted(self, stored: sql.Stored, place: Place) -> Ledger:
        state.refuse_other_scope(stored, self._scope, place)
        ledger = stored.ledger(self._names.sync)
        ledger.refuse_future(self._clock(), self.name)
        return ledger

    @contextlib.contextmanager
    def _manifest(self, load: str, parts: Sequence[Part]) -> Iterator[str | None]:
        if not parts:
            yield None
            return
        with self._staging.uploaded(load, parts) as manifest:
            yield manifest

    def _delete_replaced(self, link: Link, place: Place, entry: LedgerEntry) -> None:
        """The rows of the windows that this one replaces; and what hauser left inside it, whether
        before the baseline (of which the window is being cut) or after it, when it crashed, perhaps
        before its first checkpoint."""
        start, event = (tables.quoted(n.lower()) for n in (BUNDLE_START, EVENT_START))
        window = [_naive(entry.window.start), _naive(entry.window.stop)]
        # Windows are disjoint, so that a range of starts names what it replaces; and should the
        # ledger have lost an entry, its rows go all the same.
        where = (
            f"({start} >= %s AND {start} < %s)"
            f" OR ({start} IS NULL AND {event} >= %s AND {event} < %s)"
        )
        if self._layout is None and not tables.catalog(link, place, [place.names.export]):
            return
        link.execute(f"DELETE FROM {place.export} WHERE {where}", [*window, *window])

    def _copy(self, link: Link, place: Place, entry: LedgerEntry, manifest: str) -> None:
        if self._layout is None:
            raise RuntimeError("prepare() comes before load()")
        columns = [c.name for c in self._layout.columns]
        region = aws.region(self._settings)
        link.execute(
            copy.statement(place.export, columns, manifest, self._settings.redshift, region)
        )
        loaded = copy.count(link)
        if loaded != entry.records:
            raise DestinationRefused(
                f"bundle {entry.bundle}: {entry.records} rows were staged and Redshift loaded"
                f" {loaded}; the load was rolled back.",
                "Run again; if it stays so, please report it with the bundle's id.",
            )


def _cut(reason: str) -> str:
    """A reason that fits its column, cut between characters."""
    data = reason.replace("\0", "").encode("utf-8", "replace")
    return data[: tables.REASON_BYTES].decode("utf-8", "ignore")


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
