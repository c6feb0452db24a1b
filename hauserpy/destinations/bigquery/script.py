"""The one transaction of a load, as GoogleSQL: what is asserted, deleted, inserted. Pure.

From the page "Multi-statement transactions": a transaction reads one snapshot, and two that UPDATE
one table conflict, so that one is cancelled; but two that only append do not conflict, and a client
that is killed leaves its script running on the server. So every transaction begins by changing the
one row of the lock table, and asserts there what its client has seen. DDL on permanent tables is
not allowed inside: the staging table is made before, and dropped after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hauserpy.destinations import sql
from hauserpy.entries import ENTRY_VERSION, EntryKind, LedgerEntry
from hauserpy.errors import ConfigError
from hauserpy.fields import BUNDLE_START, EVENT_START
from hauserpy.layout import Column, FieldType
from hauserpy.model import Window

MOVED = "hauserpy: the ledger has moved"
LOADED = "hauserpy: already loaded"
HAUSER = "hauserpy: hauser has run"
INSERTED = "hauserpy: rows are missing"
LOCK = "hauserpy: the lock table must have one row"

TYPES = {
    FieldType.INT64: "INT64",
    FieldType.INT32: "INT64",
    FieldType.FLOAT64: "FLOAT64",
    FieldType.STRING: "STRING",
    FieldType.TIME: "TIMESTAMP",
    FieldType.CUSTOM_VARS: "STRING",
    FieldType.WINDOW_START: "TIMESTAMP",
}

_TABLE_NAME = re.compile(r"[\w-]{1,1000}")
_DAY = timedelta(days=1)

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


@dataclass(frozen=True, slots=True)
class Names:
    """Full names, ``project.dataset.table``."""

    export: str
    sync: str
    ledger: str
    lock: str

    @classmethod
    def of(cls, dataset: str, export: str, sync_table: str) -> Names:
        """Raises ConfigError for names that no table can have (page "Creating and using tables"),
        or when two tables would have one name."""
        for key, name in (("ExportTable", export), ("SyncTable", sync_table)):
            if not _TABLE_NAME.fullmatch(name):
                raise ConfigError(
                    f"{key} {name!r} in [bigquery] is not a name for a table.",
                    "Use letters, digits, _ and -.",
                )
        if export in (sync_table, sql.ledger_table(sync_table), sql.lock_table(sync_table)):
            raise ConfigError(
                f"ExportTable {export!r} in [bigquery] is also the name of a table of SyncTable"
                f" {sync_table!r}.",
                "Choose another name for one of them.",
            )
        return cls(
            f"{dataset}.{export}",
            f"{dataset}.{sync_table}",
            f"{dataset}.{sql.ledger_table(sync_table)}",
            f"{dataset}.{sql.lock_table(sync_table)}",
        )


@dataclass(frozen=True, slots=True)
class Export:
    """What the script must know of the export table.

    ``ingestion`` is the partitions' size (``DAY``) of an ingestion-time partitioned table, as
    hauser makes it; None for one partitioned by a column, or not at all. ``columns`` are those that
    are filled, under the table's own names; ``json`` says that CustomVars is a JSON column;
    partitions are deleted after ``expiration``, None for never. ``prunes`` says that a range of
    EventStart, or of _PARTITIONTIME, spares a query the other partitions.
    """

    columns: tuple[Column, ...]
    ingestion: str | None = None
    json: bool = False
    expiration: timedelta | None = None
    prunes: bool = True

    def name_of(self, field: str) -> str:
        return quoted(next(c.name for c in self.columns if c.field == field))


@dataclass(frozen=True, slots=True)
class Plan:
    """What one transaction does: from the ledger as the client saw it to the one after it.

    ``seen`` are the entries of ``window``, which it removes unless ``keep_seen``, ``added`` those
    that it writes. At
    ``first_contact`` the ledger must be empty and SyncTable's checkpoint be ``adopted``.
    """

    load: str
    window: Window
    seen: tuple[LedgerEntry, ...] = ()
    keep_seen: bool = False
    added: tuple[LedgerEntry, ...] = ()
    scope: str = ""
    """What the ledger is to say that it is of (`hauserpy.destinations.scope`)."""
    known_scope: str | None = None
    """What it says; None: nothing yet."""
    checkpoint: datetime | None = None
    sync_id: int = -1
    adopted: datetime | None = None
    staging: str | None = None
    records: int = 0
    replaced: tuple[LedgerEntry, ...] = ()
    """Whose rows go, by the start of their windows."""
    strays: Window | None = None
    """A window of which rows without BundleStartTime go."""
    reach: tuple[datetime, datetime] | None = None
    """From when to when the events may be of rows of ``window`` that the ledger has lost, which go
    as well; None: they are not looked for."""


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


def quoted(name: str) -> str:
    """An identifier in backticks. Names were checked before; one with a backtick is refused."""
    if "`" in name or "\\" in name:
        raise ValueError(f"not a name: {name!r}")
    return f"`{name}`"


def transaction(names: Names, export: Export | None, plan: Plan) -> Script:
    """The script that carries out ``plan``; see `Plan`."""
    made = Script()
    made.add("BEGIN TRANSACTION")
    lock, ledger, sync = (quoted(n) for n in (names.lock, names.ledger, names.sync))
    load = made.value(FieldType.STRING, plan.load)
    made.add(f"UPDATE {lock} SET LoadId = {load} WHERE TRUE")
    made.require(f"(SELECT COUNT(*) FROM {lock}) = 1", LOCK)
    made.require(f"(SELECT COUNT(*) FROM {ledger} WHERE LoadId = {load}) = 0", LOADED)
    made.require(f"(SELECT COUNT(*) FROM {ledger} WHERE {_SENSELESS}) = 0", MOVED)
    _require_scope(made, lock, plan)
    _require_seen(made, names, plan)
    _require_no_hauser(made, names, plan)
    if export is not None:
        _delete(made, quoted(names.export), export, plan)
        if plan.staging is not None:
            _insert(made, quoted(names.export), export, plan)
    _write_ledger(made, ledger, plan)
    if plan.checkpoint is not None:
        _raise_checkpoint(made, lock, sync, plan)
    made.add("COMMIT TRANSACTION")
    return made


def looks_for_lost(export: Export, kind: EntryKind) -> bool:
    """Whether a load looks for rows that the ledger has lost: not where it costs a look at the
    whole table for each bundle that sync loads, one after the other past the checkpoint."""
    return export.prunes or kind is not EntryKind.SYNC


def partition_start(moment: datetime, size: str) -> datetime:
    """The start of the partition of ``size`` (HOUR, DAY, MONTH, YEAR) that ``moment`` lies in."""
    at = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if size != "HOUR":
        at = at.replace(hour=0)
    if size in ("MONTH", "YEAR"):
        at = at.replace(day=1)
    if size == "YEAR":
        at = at.replace(month=1)
    return at


def hauser_partition(event: datetime, size: str) -> datetime:
    """The first partition in which hauser can have put an event: that of the day on which its
    bundle, of at most 24 hours, began."""
    return partition_start(event - _DAY, size)


def _key(entry: LedgerEntry) -> str:
    """Names an entry and its window: pieces of the baseline have one load id."""
    return f"{entry.load} {_micros(entry.window.start)} {_micros(entry.window.stop)}"


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _require_scope(made: Script, lock: str, plan: Plan) -> None:
    if plan.known_scope is not None:
        known = made.value(FieldType.STRING, plan.known_scope)
        made.require(f"(SELECT COUNT(*) FROM {lock} WHERE Scope = {known}) = 1", MOVED)
        return
    made.require(f"(SELECT COUNT(*) FROM {lock} WHERE Scope IS NOT NULL) = 0", MOVED)
    made.add(f"UPDATE {lock} SET Scope = {made.value(FieldType.STRING, plan.scope)} WHERE TRUE")


def _require_seen(made: Script, names: Names, plan: Plan) -> None:
    ledger = quoted(names.ledger)
    if plan.adopted is not None:
        made.require(f"(SELECT COUNT(*) FROM {ledger}) = 0", MOVED)
        return
    start = made.value(FieldType.TIME, plan.window.start)
    stop = made.value(FieldType.TIME, plan.window.stop)
    inside = f"StartTime < {stop} AND StopTime > {start}"
    count = made.value(FieldType.INT64, len(plan.seen))
    made.require(f"(SELECT COUNT(*) FROM {ledger} WHERE {inside}) = {count}", MOVED)
    if plan.seen:
        keys = made.texts(_key(e) for e in plan.seen)
        key = (
            "CONCAT(LoadId, ' ', CAST(UNIX_MICROS(StartTime) AS STRING), ' ',"
            " CAST(UNIX_MICROS(StopTime) AS STRING))"
        )
        made.require(
            f"(SELECT COUNT(*) FROM {ledger} WHERE {inside} AND {key} IN UNNEST({keys})) = {count}",
            MOVED,
        )


def _require_no_hauser(made: Script, names: Names, plan: Plan) -> None:
    lock, sync = quoted(names.lock), quoted(names.sync)
    if plan.adopted is not None:
        adopted = made.value(FieldType.TIME, plan.adopted)
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


def _delete(made: Script, table: str, export: Export, plan: Plan) -> None:
    """Deletes by window, with a predicate on the partitions, so that no others are read.

    A DELETE reads the whole of the partitions that it cannot rule out (page "Query partitioned
    tables", and the pricing of DML on "Estimate and control costs").
    """
    window_start, event = export.name_of(BUNDLE_START), export.name_of(EVENT_START)
    for old in plan.replaced:
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
    if plan.strays is not None:
        start = made.value(FieldType.TIME, plan.strays.start)
        stop = made.value(FieldType.TIME, plan.strays.stop)
        where = f"{event} >= {start} AND {event} < {stop}"
        if export.ingestion:
            low = hauser_partition(plan.strays.start, export.ingestion)
            high = made.value(FieldType.TIME, plan.strays.stop)
            low_value = made.value(FieldType.TIME, low)
            where += f" AND _PARTITIONTIME >= {low_value} AND _PARTITIONTIME <= {high}"
        made.add(f"DELETE FROM {table} WHERE {window_start} IS NULL AND {where}")
    if plan.reach is not None:
        _delete_lost(made, table, export, plan.window, plan.reach)


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


def _insert(made: Script, table: str, export: Export, plan: Plan) -> None:
    assert plan.staging is not None
    staging = quoted(plan.staging)
    records = made.value(FieldType.INT64, plan.records)
    names = [quoted(c.name) for c in export.columns]
    values = [_staged(c, export) for c in export.columns]
    if export.ingestion:
        partition = partition_start(plan.window.start, export.ingestion)
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
    if plan.seen and not plan.keep_seen:
        loads = made.texts({e.load for e in plan.seen})
        start = made.value(FieldType.TIME, plan.window.start)
        stop = made.value(FieldType.TIME, plan.window.stop)
        made.add(
            f"DELETE FROM {ledger} WHERE StartTime < {stop} AND StopTime > {start}"
            f" AND LoadId IN UNNEST({loads})"
        )
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
