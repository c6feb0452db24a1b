"""The tables: their names, what the catalog says of them, creating and extending them.

Facts from the Database Developer Guide: names fold to lower case even when quoted and have up to
127 bytes ("Names and identifiers"); ALTER TABLE adds one column a statement and knows no IF NOT
EXISTS ("ALTER TABLE"); VARCHAR lengths are bytes ("Character types"); without encodings in CREATE
TABLE Redshift chooses them itself (ENCODE AUTO, "CREATE TABLE"); a SUPER object holds up to 16 MB
and a string in it 65,535 bytes ("Limitations" of SUPER).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hauserpy.config import Settings
from hauserpy.config.names import Unfit, redshift_name
from hauserpy.destinations import sql
from hauserpy.destinations.redshift.connection import Database, Link
from hauserpy.errors import AccessDenied, ConfigError, DestinationRefused
from hauserpy.fields import Field, reconcile, table_columns
from hauserpy.layout import Column, CustomVarsKind, FieldType

SUPER_BYTES = 8_000_000
"""Half of what a SUPER may have, since its own form can take more room than the JSON text."""

SUPER_STRING_BYTES = 65_535

_TYPES = {
    FieldType.INT64: "BIGINT",
    FieldType.INT32: "INTEGER",
    FieldType.FLOAT64: "DOUBLE PRECISION",
    FieldType.TIME: "TIMESTAMP",
    FieldType.WINDOW_START: "TIMESTAMP",
}
_KNOWN = {
    "bigint": FieldType.INT64,
    "integer": FieldType.INT32,
    "double precision": FieldType.FLOAT64,
    "character varying": FieldType.STRING,
    "timestamp without time zone": FieldType.TIME,
    "timestamp with time zone": FieldType.TIME,
    "super": FieldType.CUSTOM_VARS,
}
_LENGTHS = {"Kind": 16, "Bundle": 1024, "LoadId": 64, "Changes": 65_535, "Reason": 4096}
REASON_BYTES = _LENGTHS["Reason"]


@dataclass(frozen=True, slots=True)
class Names:
    """The schema, lower case or None for the search path's first, and the tables in it."""

    schema: str | None
    export: str
    sync: str
    ledger: str
    lock: str

    @classmethod
    def of(cls, settings: Settings) -> Names:
        """Raises ConfigError for what cannot be a name, whoever made the settings."""
        redshift = settings.redshift
        schema = redshift.database_schema
        sync = _checked("SyncTable", redshift.sync_table, limit=127 - len("_ledger"))
        return cls(
            None if schema.lower() == "search_path" else _checked("DatabaseSchema", schema),
            _checked("ExportTable", redshift.export_table),
            sync,
            sql.ledger_table(sync),
            sql.lock_table(sync),
        )


def _checked(key: str, name: str, limit: int = 127) -> str:
    try:
        return redshift_name(name, limit=limit).lower()
    except Unfit as unfit:
        raise ConfigError(
            f"{key} in [redshift] cannot be a name: {unfit}.",
            "Use letters, digits, _ and $, not beginning with a digit.",
        ) from None


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Place:
    """The tables with their schema, ready for SQL: ``"analytics"."fsexport"``."""

    schema: str
    names: Names

    def table(self, name: str) -> str:
        return f"{quoted(self.schema)}.{quoted(name)}"

    @property
    def export(self) -> str:
        return self.table(self.names.export)

    @property
    def sync(self) -> str:
        return self.table(self.names.sync)

    @property
    def ledger(self) -> str:
        return self.table(self.names.ledger)

    @property
    def lock(self) -> str:
        return self.table(self.names.lock)


@dataclass(frozen=True, slots=True)
class Found:
    """A column as the catalog has it; ``type`` as `format_type` spells it."""

    name: str
    type: str
    not_null: bool
    has_default: bool

    @property
    def base(self) -> str:
        return re.sub(r"\(.*?\)", "", self.type).strip()

    @property
    def max_bytes(self) -> int | None:
        length = re.search(r"\((\d+)\)", self.type)
        if self.base == "character varying" and length:
            return int(length.group(1))
        return SUPER_BYTES if self.base == "super" else None


def find_place(link: Link, names: Names) -> Place:
    """Raises ConfigError when there is no such schema."""
    if names.schema is None:
        ((schema,),) = link.execute("SELECT current_schema()")
        if not schema:
            raise ConfigError(
                "the search_path of the Redshift user leads to no schema.",
                "Set DatabaseSchema in [redshift], or the user's search_path.",
            )
        return Place(str(schema), names)
    if not link.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (names.schema,)):
        raise ConfigError(
            f"schema {names.schema} does not exist in the Redshift database.",
            "Create it, or set DatabaseSchema in [redshift] to one that exists.",
        )
    return Place(names.schema, names)


def catalog(link: Link, place: Place, tables: Iterable[str]) -> dict[str, tuple[Found, ...]]:
    """The columns of those of the tables that exist. Raises DestinationRefused for a view."""
    wanted = list(tables)
    rows = link.execute(
        "SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod),"
        " a.attnotnull, a.atthasdef"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        f" WHERE n.nspname = %s AND c.relname IN ({', '.join(['%s'] * len(wanted))})"
        " ORDER BY c.relname, a.attnum",
        (place.schema, *wanted),
    )
    found: dict[str, list[Found]] = {}
    for table, kind, name, type_, not_null, has_default in rows:
        if kind != "r":
            raise DestinationRefused(
                f"{place.schema}.{table} is not a table.",
                "Choose another name for ExportTable or SyncTable in [redshift].",
            )
        found.setdefault(table, []).append(Found(name, type_, not_null, has_default))
    return {table: tuple(columns) for table, columns in found.items()}


def _sql_type(column: Column, settings: Settings) -> str:
    if column.type is FieldType.CUSTOM_VARS and settings.redshift.custom_vars_type == "super":
        return "SUPER"
    return _TYPES.get(column.type) or f"VARCHAR({settings.redshift.var_char_max})"


def ensure_export(
    database: Database, place: Place, fields: Sequence[Field], settings: Settings
) -> tuple[tuple[Column, ...], CustomVarsKind]:
    """Create the table of the events or append what it lacks; returns the columns to fill under
    their own names, and how CustomVars are to be written.

    Raises DestinationRefused for a column of the wrong type, and for a column of the user's own
    that is NOT NULL without a default, since every load would fail on it.
    """
    wanted = table_columns(fields, max_bytes=settings.redshift.var_char_max)
    table = place.names.export

    def ensure(link: Link) -> tuple[tuple[Column, ...], CustomVarsKind]:
        columns = catalog(link, place, [table]).get(table)
        if columns is None:
            _create(link, place.export, [(c.name, _sql_type(c, settings)) for c in wanted],
                    " SORTKEY (eventstart)")  # fmt: skip
            columns = catalog(link, place, [table])[table]
        filled, missing = _reconciled(wanted, columns, f"{place.schema}.{table}")
        try:
            for column in missing:
                _add(link, place.export, column.name, _sql_type(column, settings))
        except AccessDenied:
            raise _not_owner(link, place, missing) from None
        if missing:
            columns = catalog(link, place, [table])[table]
            filled, _ = _reconciled(wanted, columns, f"{place.schema}.{table}")
        types = {c.name: c.base for c in columns}
        typed = any(types[c.name] == "super" for c in filled if c.type is FieldType.CUSTOM_VARS)
        return filled, CustomVarsKind.TYPED if typed else CustomVarsKind.TEXT

    return database.run(ensure)


def check_export(
    link: Link, place: Place, fields: Sequence[Field]
) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """The columns of an existing table that would be filled, and those that would be added; all are
    to be added without one. Changes nothing; raises DestinationRefused as `ensure_export` does."""
    wanted = table_columns(fields)
    columns = catalog(link, place, [place.names.export]).get(place.names.export)
    if columns is None:
        return (), wanted
    return _reconciled(wanted, columns, f"{place.schema}.{place.names.export}")


def check_extension(link: Link, place: Place, missing: Sequence[Column]) -> None:
    """Raise AccessDenied unless the user may add columns to the table, which exists.

    The owner may, a superuser, and whoever was granted ALTER ("ALTER TABLE"); since no function
    tells of the last (`has_table_privilege` does not know it), who is not the owner tries, in a
    transaction that is rolled back.
    """
    ((own,),) = link.execute(
        "SELECT pg_get_userbyid(c.relowner) = current_user"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        (place.schema, place.names.export),
    )
    if own:
        return
    denied = False
    link.execute("BEGIN")
    try:
        link.execute(f"ALTER TABLE {place.export} ADD COLUMN hauserpy_check BIGINT")
    except AccessDenied:
        denied = True
    finally:
        link.execute("ROLLBACK")
    if denied:
        raise _not_owner(link, place, missing)


def _not_owner(link: Link, place: Place, missing: Sequence[Column]) -> AccessDenied:
    ((user,),) = link.execute("SELECT current_user")
    table = f"{place.schema}.{place.names.export}"
    names = ", ".join(c.name.lower() for c in missing)
    return AccessDenied(
        f"{table} lacks the columns {names}, and {user} may not add them.",
        f"Only an owner may: ALTER TABLE {place.export} OWNER TO {quoted(str(user))}; or let its"
        " owner add them.",
    )


def _reconciled(
    wanted: Sequence[Column], columns: Sequence[Found], table: str
) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    names = {c.name.casefold() for c in wanted} | {"pageagent"}
    strange = [
        f"{c.name} is {c.type}"
        for c in columns
        if c.base not in _KNOWN and c.name.casefold() in names
    ]
    if strange:
        raise DestinationRefused(
            f"table {table} has columns of a type that hauserpy cannot fill: {'; '.join(strange)}.",
            "Change or rename them, or choose another ExportTable; nothing was uploaded.",
        )
    known = [
        Column(c.name, c.name, _KNOWN[c.base], c.max_bytes) for c in columns if c.base in _KNOWN
    ]
    filled, missing = reconcile(wanted, known, table)
    ours = {c.name for c in filled}
    stuck = [c.name for c in columns if c.not_null and not c.has_default and c.name not in ours]
    if stuck:
        raise DestinationRefused(
            f"table {table} has columns of your own that are NOT NULL and have no default:"
            f" {', '.join(stuck)}.",
            "hauserpy would leave them NULL. Give them a default, or move them to another table.",
        )
    return filled, missing


def ensure_state(database: Database, place: Place) -> None:
    """Create SyncTable, the ledger and the lock where they are missing."""
    wanted: dict[str, Mapping[str, FieldType]] = {
        place.names.sync: sql.SYNC_COLUMNS,
        place.names.ledger: sql.LEDGER_COLUMNS,
        place.names.lock: {"LoadId": FieldType.STRING},
    }

    def ensure(link: Link) -> None:
        there = catalog(link, place, wanted)
        for table, columns in wanted.items():
            if table not in there:
                spelled = [
                    (name, _TYPES.get(type_) or f"VARCHAR({_LENGTHS[name]})")
                    for name, type_ in columns.items()
                ]
                _create(link, place.table(table), spelled, "")

    database.run(ensure)


def missing_columns(found: Sequence[Found] | None, wanted: Iterable[str]) -> list[str]:
    """Those that a table lacks; none of one that is not there."""
    names = {column.name for column in found or ()}
    return [] if found is None else [name for name in wanted if name.lower() not in names]


def refuse_strange(place: Place, there: Mapping[str, Sequence[Found]]) -> None:
    """Raise DestinationRefused where SyncTable, if it is ``there``, is no table of checkpoints."""
    found = there.get(place.names.sync)
    table = f"{place.schema}.{place.names.sync}"
    choose = "Choose another SyncTable in [redshift]."
    if lacking := missing_columns(found, sql.SYNC_COLUMNS):
        raise DestinationRefused(
            f"{table} lacks the columns {', '.join(lacking)}: it is not a table of checkpoints.",
            choose,
        )
    for column in found or ():
        if column.name == "bundleendtime" and not column.base.startswith("timestamp"):
            raise DestinationRefused(
                f"{table} has a BundleEndTime that is no TIMESTAMP, but {column.type}.",
                f"Change its type, or: {choose}",
            )


def _create(link: Link, table: str, columns: Sequence[tuple[str, str]], ending: str) -> None:
    listed = ", ".join(f"{quoted(name.lower())} {type_}" for name, type_ in columns)
    _unless_there(link, f"CREATE TABLE IF NOT EXISTS {table} ({listed}){ending}")


def _add(link: Link, table: str, name: str, type_: str) -> None:
    _unless_there(link, f"ALTER TABLE {table} ADD COLUMN {quoted(name.lower())} {type_}")


def _unless_there(link: Link, statement: str) -> None:
    """Another run may make the same table or column at this moment; what is there in the end is
    read and checked after it."""
    try:
        link.execute(statement)
    except DestinationRefused as refused:
        if not re.search(r"already exists|duplicate key", refused.reason):
            raise
