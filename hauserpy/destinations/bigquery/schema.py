"""The tables: their names, how their columns are typed, and which partitions they have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hauserpy.destinations import sql
from hauserpy.layout import Column, FieldType

TYPES = {
    FieldType.INT64: "INT64",
    FieldType.INT32: "INT64",
    FieldType.FLOAT64: "FLOAT64",
    FieldType.STRING: "STRING",
    FieldType.TIME: "TIMESTAMP",
    FieldType.CUSTOM_VARS: "STRING",
    FieldType.WINDOW_START: "TIMESTAMP",
}

LOCK_COLUMNS: Mapping[str, FieldType] = {
    "LoadId": FieldType.STRING,
    "Checkpoint": FieldType.TIME,
    "Scope": FieldType.STRING,
}
"""One row: the load that locked it last, how far sync has come, and what the ledger is of."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Names:
    """Full names, ``project.dataset.table``."""

    export: str
    sync: str
    ledger: str
    lock: str

    @classmethod
    def of(cls, dataset: str, export: str, sync_table: str) -> Names:
        """Of names that the configuration has checked."""
        return cls(
            f"{dataset}.{export}",
            f"{dataset}.{sync_table}",
            f"{dataset}.{sql.ledger_table(sync_table)}",
            f"{dataset}.{sql.lock_table(sync_table)}",
        )


@dataclass(frozen=True, slots=True)
class Export:
    """What a load must know of the export table.

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


def quoted(name: str) -> str:
    """An identifier in backticks. Names were checked before; one with a backtick is refused."""
    if "`" in name or "\\" in name:
        raise ValueError(f"not a name: {name!r}")
    return f"`{name}`"


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
