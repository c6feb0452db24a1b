"""The one transaction of a load, as GoogleSQL: what is asserted, deleted, inserted. Pure.

From the page "Multi-statement transactions": a transaction reads one snapshot, and two that UPDATE
one table conflict, so that one is cancelled; but two that only append do not conflict, and a client
that is killed leaves its script running on the server. So every transaction begins by changing the
one row of the lock table, and asserts there what its client has seen. DDL on permanent tables is
not allowed inside: the staging table is made before, and dropped after.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hauserpy.destinations import sql
from hauserpy.destinations.bigquery.plans import Plan, Rows, Seen
from hauserpy.destinations.bigquery.schema import (
    TYPES,
    Export,
    Names,
    hauser_partition,
    partition_start,
    quoted,
)
from hauserpy.entries import ENTRY_VERSION, EntryKind, LedgerEntry
from hauserpy.fields import BUNDLE_START, EVENT_START
from hauserpy.layout import Column, FieldType
from hauserpy.model import Window

MOVED = "hauserpy: the ledger has moved"
LOADED = "hauserpy: already loaded"
HAUSER = "hauserpy: hauser has run"
INSERTED = "hauserpy: rows are missing"
LOCK = "hauserpy: the lock table must have one row"

_KINDS = ", ".join(f"'{kind.value}'" for kind in EntryKind)
_SENSELESS = (
    "StartTime IS NULL OR StopTime IS NULL OR StopTime < StartTime OR LoadId IS NULL"
    f" OR Kind IS NULL OR Kind NOT IN ({_KINDS})"
    f" OR Version IS NULL OR Version > {ENTRY_VERSION}"
)
"""Rows of the ledger that we never write: then it is read again, and refused as unreadable."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter; ``value`` of an ``array`` is a list. Times are aware."""

    name: str
    type: str
    value: Any
    array: bool = False


@dataclass
class Script:
    """SQL under construction, with its parameters."""

    statements: list[str] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)

    @property
    def text(self) -> str:
        return ";\n".join(self.statements) + ";"

    def add(self, statement: str) -> None:
        self.statements.append(statement)

    def require(self, condition: str, otherwise: str) -> None:
        self.add(f"ASSERT {condition} AS '{otherwise}'")

    def value(self, kind: FieldType, value: Any) -> str:
        return self._parameter(TYPES[kind], value, array=False)

    def texts(self, values: Iterable[str]) -> str:
        return self._parameter("STRING", sorted(values), array=True)

    def _parameter(self, kind: str, value: Any, *, array: bool) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters.append(Parameter(name, kind, value, array))
        return f"@{name}"


def transaction(
    names: Names, plan: Plan, export: Export | None = None, staging: str | None = None
) -> Script:
    """The script that carries out ``plan``.

    ``export`` is needed where the plan has rows, and ``staging``, the name of the table that holds
    them, where any come.
    """
    made = Script()
    made.add("BEGIN TRANSACTION")
    lock, ledger, sync = (quoted(n) for n in (names.lock, names.ledger, names.sync))
    load = made.value(FieldType.STRING, plan.load)
    made.add(f"UPDATE {lock} SET LoadId = {load} WHERE TRUE")
    made.require(f"(SELECT COUNT(*) FROM {lock}) = 1", LOCK)
    made.require(f"(SELECT COUNT(*) FROM {ledger} WHERE LoadId = {load}) = 0", LOADED)
    made.require(f"(SELECT COUNT(*) FROM {ledger} WHERE {_SENSELESS}) = 0", MOVED)
    _require_scope(made, lock, plan)
    _require_seen(made, ledger, plan.seen)
    _require_no_hauser(made, lock, sync, plan.seen)
    if plan.rows is not None:
        assert export is not None
        _delete(made, quoted(names.export), export, plan.rows)
        if staging is not None:
            _insert(made, quoted(names.export), export, plan.rows, quoted(staging))
    _write_ledger(made, ledger, plan)
    if plan.checkpoint is not None:
        _raise_checkpoint(made, lock, sync, plan)
    made.add("COMMIT TRANSACTION")
    return made


def _key(entry: LedgerEntry) -> str:
    """Names an entry and its window: pieces of the baseline have one load id."""
    return f"{entry.load} {_micros(entry.window.start)} {_micros(entry.window.stop)}"


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _require_scope(made: Script, lock: str, plan: Plan) -> None:
    if plan.seen.scope is not None:
        known = made.value(FieldType.STRING, plan.seen.scope)
        made.require(f"(SELECT COUNT(*) FROM {lock} WHERE Scope = {known}) = 1", MOVED)
        return
    made.require(f"(SELECT COUNT(*) FROM {lock} WHERE Scope IS NOT NULL) = 0", MOVED)
    made.add(f"UPDATE {lock} SET Scope = {made.value(FieldType.STRING, plan.scope)} WHERE TRUE")


def _require_seen(made: Script, ledger: str, seen: Seen) -> None:
    if seen.adopted is not None:
        made.require(f"(SELECT COUNT(*) FROM {ledger}) = 0", MOVED)
        return
    inside = _inside(made, seen.window)
    count = made.value(FieldType.INT64, len(seen.entries))
    made.require(f"(SELECT COUNT(*) FROM {ledger} WHERE {inside}) = {count}", MOVED)
    if seen.entries:
        keys = made.texts(_key(e) for e in seen.entries)
        key = (
            "CONCAT(LoadId, ' ', CAST(UNIX_MICROS(StartTime) AS STRING), ' ',"
            " CAST(UNIX_MICROS(StopTime) AS STRING))"
        )
        made.require(
            f"(SELECT COUNT(*) FROM {ledger} WHERE {inside} AND {key} IN UNNEST({keys})) = {count}",
            MOVED,
        )


def _inside(made: Script, window: Window) -> str:
    """Whether an entry's window overlaps this one."""
    start = made.value(FieldType.TIME, window.start)
    stop = made.value(FieldType.TIME, window.stop)
    return f"StartTime < {stop} AND StopTime > {start}"


def _require_no_hauser(made: Script, lock: str, sync: str, seen: Seen) -> None:
    if seen.adopted is not None:
        adopted = made.value(FieldType.TIME, seen.adopted)
        made.require(f"(SELECT COUNT(*) FROM {lock} WHERE Checkpoint IS NOT NULL) = 0", MOVED)
        made.require(f"(SELECT MAX(BundleEndTime) FROM {sync}) = {adopted}", HAUSER)
        made.add(f"UPDATE {lock} SET Checkpoint = {adopted} WHERE TRUE")
        return
    beginning = "TIMESTAMP '1970-01-01 00:00:00+00'"
    made.require(
        f"COALESCE((SELECT MAX(BundleEndTime) FROM {sync}), {beginning})"
        f" <= COALESCE((SELECT MAX(Checkpoint) FROM {lock}), {beginning})",
        HAUSER,
    )


def _delete(made: Script, table: str, export: Export, rows: Rows) -> None:
    """Deletes by window, with a predicate on the partitions, so that no others are read.

    A DELETE reads the whole of the partitions that it cannot rule out (page "Query partitioned
    tables", and the pricing of DML on "Estimate and control costs").
    """
    window_start, event = export.name_of(BUNDLE_START), export.name_of(EVENT_START)
    for old in rows.replaced:
        start = made.value(FieldType.TIME, old.window.start)
        if export.ingestion:
            partition = partition_start(old.window.start, export.ingestion)
            where = f"_PARTITIONTIME = {made.value(FieldType.TIME, partition)}"
        elif old.first_event is None or old.last_event is None:
            where = f"{event} IS NULL"
        else:
            first = made.value(FieldType.TIME, old.first_event)
            last = made.value(FieldType.TIME, old.last_event)
            where = f"({event} BETWEEN {first} AND {last} OR {event} IS NULL)"
        made.add(f"DELETE FROM {table} WHERE {window_start} = {start} AND {where}")
    if rows.strays:
        start = made.value(FieldType.TIME, rows.window.start)
        stop = made.value(FieldType.TIME, rows.window.stop)
        where = f"{event} >= {start} AND {event} < {stop}"
        if export.ingestion:
            low = made.value(FieldType.TIME, hauser_partition(rows.window.start, export.ingestion))
            where += f" AND _PARTITIONTIME >= {low} AND _PARTITIONTIME <= {stop}"
        made.add(f"DELETE FROM {table} WHERE {window_start} IS NULL AND {where}")
    if rows.reach is not None:
        _delete_lost(made, table, export, rows.window, rows.reach)


def _delete_lost(
    made: Script, table: str, export: Export, window: Window, reach: tuple[datetime, datetime]
) -> None:
    """Deletes what is still there of the window: rows whose entries were taken out of the ledger.

    It is asked before, since a DELETE is billed by all columns of its partitions, even when it
    finds nothing, and a question by those that it names.
    """
    window_start, event = export.name_of(BUNDLE_START), export.name_of(EVENT_START)
    start = made.value(FieldType.TIME, window.start)
    stop = made.value(FieldType.TIME, window.stop)
    if export.ingestion:
        sizes = (partition_start(m, export.ingestion) for m in (window.start, window.stop))
        first, last = (made.value(FieldType.TIME, s) for s in sizes)
        where = f"_PARTITIONTIME BETWEEN {first} AND {last}"
    else:
        first, last = (made.value(FieldType.TIME, m) for m in reach)
        where = f"({event} BETWEEN {first} AND {last} OR {event} IS NULL)"
    where = f"{window_start} >= {start} AND {window_start} < {stop} AND {where}"
    made.add(
        f"IF EXISTS (SELECT 1 FROM {table} WHERE {where}) THEN DELETE FROM {table} WHERE {where}"
    )
    made.add("END IF")


def _insert(made: Script, table: str, export: Export, rows: Rows, staging: str) -> None:
    records = made.value(FieldType.INT64, rows.records)
    names = [quoted(c.name) for c in export.columns]
    values = [_staged(c, export) for c in export.columns]
    if export.ingestion:
        partition = partition_start(rows.window.start, export.ingestion)
        names.append("_PARTITIONTIME")
        values.append(made.value(FieldType.TIME, partition))
    made.add(f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {staging}")
    made.require(f"@@row_count = {records}", INSERTED)


def _staged(column: Column, export: Export) -> str:
    name = quoted(column.name)
    if column.type is FieldType.CUSTOM_VARS and export.json:
        # What a double cannot hold exactly is text by then; "round" is for 0.1 and its like.
        return f"PARSE_JSON({name}, wide_number_mode => 'round')"
    return name


def _write_ledger(made: Script, ledger: str, plan: Plan) -> None:
    if plan.gone:
        inside = _inside(made, plan.seen.window)
        loads = made.texts({e.load for e in plan.gone})
        made.add(f"DELETE FROM {ledger} WHERE {inside} AND LoadId IN UNNEST({loads})")
    if plan.added:
        rows = ", ".join(_values(made, entry) for entry in plan.added)
        made.add(f"INSERT INTO {ledger} ({', '.join(sql.LEDGER_COLUMNS)}) VALUES {rows}")


def _values(made: Script, entry: LedgerEntry) -> str:
    row = sql.row_of(entry)
    values = [made.value(kind, row[name]) for name, kind in sql.LEDGER_COLUMNS.items()]
    return f"({', '.join(values)})"


def _raise_checkpoint(made: Script, lock: str, sync: str, plan: Plan) -> None:
    checkpoint = made.value(FieldType.TIME, plan.checkpoint)
    number = made.value(FieldType.INT64, plan.sync_id)
    further = f"(Checkpoint IS NULL OR Checkpoint < {checkpoint})"
    made.add(
        f"INSERT INTO {sync} ({', '.join(sql.SYNC_COLUMNS)})"
        f" SELECT {number}, CURRENT_TIMESTAMP(), {checkpoint} FROM {lock} WHERE {further}"
    )
    made.add(f"UPDATE {lock} SET Checkpoint = {checkpoint} WHERE {further}")
