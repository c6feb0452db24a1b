"""Load jobs: gzip CSV and JSON Lines into a table, all rows or none.

Refuses what the pages "Loading JSON data" and "Loading CSV data" say is refused: unknown fields,
NULL in a REQUIRED column, values of the wrong syntax, a gzip that is cut or has more than one
member, dispositions that do not hold.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.standins.bigquery.catalog import PARTITION_TIME, Catalog, Field, Table
from tests.standins.bigquery.errors import Refused
from tests.standins.bigquery.isolation import Isolation, Transaction
from tests.standins.bigquery.types import canonical, duck_type, from_json, from_text

MAX_GZIP_BYTES = 4 * 1024**3
MAX_PARTITIONS = 4000
"""That one job may touch: page "Quotas and limits"."""

_CONFIGURED = {
    "allowJaggedRows", "allowQuotedNewlines", "autodetect", "createDisposition",
    "destinationTable", "encoding", "fieldDelimiter", "ignoreUnknownValues", "maxBadRecords",
    "nullMarker", "schema", "skipLeadingRows", "sourceFormat", "sourceUris", "writeDisposition",
}  # fmt: skip


class Loader:
    def __init__(self, catalog: Catalog, isolation: Isolation) -> None:
        self._catalog = catalog
        self._isolation = isolation
        self.max_gzip_bytes = MAX_GZIP_BYTES
        self.max_partitions = MAX_PARTITIONS

    def load(self, config: dict[str, Any], files: Sequence[bytes]) -> dict[str, str]:
        """Runs ``configuration.load`` over the files' bytes; returns ``statistics.load``."""
        unknown = config.keys() - _CONFIGURED
        if unknown:
            raise Refused("invalid", f"Not modelled by this stand-in: {', '.join(sorted(unknown))}")
        table, day = self._destination(config)
        given = [
            {**f, "type": canonical(f["type"])} for f in config.get("schema", {}).get("fields", [])
        ]
        _check_schema(table, given)
        problems: list[str] = []
        rows: list[list[Any]] = []
        for number, content in enumerate(files):
            text = self._gunzip(content)
            read = _json_lines if config.get("sourceFormat") == "NEWLINE_DELIMITED_JSON" else _csv
            for row in read(text, table.fields, config, problems, number):
                rows.append(row)
                if len(problems) > int(config.get("maxBadRecords", 0)):
                    break
        if len(problems) > int(config.get("maxBadRecords", 0)):
            raise Refused(
                "invalid",
                "Error while reading data, error message: table encountered too many errors,"
                f" giving up. Rows: {len(rows)}; errors: {len(problems)}. Please look into the"
                " errors[] collection for more details.",
                details=tuple(problems),
            )
        self._write(table, rows, day, config.get("writeDisposition", "WRITE_APPEND"))
        size = str(sum(map(len, files)))
        return {
            "inputFiles": str(len(files)),
            "inputFileBytes": size,
            "outputRows": str(len(rows)),
            "outputBytes": size,
            "badRecords": "0",
        }

    def _destination(self, config: dict[str, Any]) -> tuple[Table, dt.datetime | None]:
        ref = config["destinationTable"]
        name, _, decorator = ref["tableId"].partition("$")
        day = dt.datetime.strptime(decorator, "%Y%m%d") if decorator else None
        try:
            return self._catalog.table(ref["projectId"], ref["datasetId"], name), day
        except Refused:
            if config.get("createDisposition") == "CREATE_NEVER" or "schema" not in config:
                raise
            body = {"tableReference": ref, "schema": config["schema"]}
            return self._catalog.create_table(ref["projectId"], ref["datasetId"], body), day

    def _gunzip(self, content: bytes) -> str:
        if content[:2] != b"\x1f\x8b":
            return content.decode("utf-8")
        if len(content) > self.max_gzip_bytes:
            raise Refused("invalid", "Error while reading data: the compressed file is too large")
        stream = zlib.decompressobj(wbits=31)
        try:
            text = stream.decompress(content)
        except zlib.error as error:
            raise Refused("invalid", f"Error while reading data: {error}") from None
        if not stream.eof or stream.unused_data:
            raise Refused("invalid", "Error while reading data: not one whole gzip member")
        return text.decode("utf-8")

    def _write(
        self, table: Table, rows: list[list[Any]], day: dt.datetime | None, disposition: str
    ) -> None:
        transaction = self._isolation.begin(alone=True)
        try:
            self._dispose(transaction, table, day, disposition)
            columns = [list(c) for c in zip(*rows, strict=True)]
            names = [f'"{f["name"]}"' for f in table.fields]
            values = [f"unnest(?::{duck_type(f['type'])}[])" for f in table.fields]
            if table.by_ingestion:
                names.append(f'"{PARTITION_TIME}"')
                values.append("?::TIMESTAMP")
                today = dt.datetime.fromtimestamp(self._catalog.clock(), dt.UTC)
                midnight = today.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
                columns.append(day or midnight)
            if rows:
                self.refuse_many_partitions(table, rows)
                transaction.cursor.execute(
                    f'INSERT INTO "{table.physical}" ({", ".join(names)})'
                    f" SELECT {', '.join(values)}",
                    columns,
                )
            self._isolation.commit(transaction)
        except BaseException:
            self._isolation.rollback(transaction)
            raise

    def _dispose(
        self, transaction: Transaction, table: Table, day: dt.datetime | None, disposition: str
    ) -> None:
        if disposition == "WRITE_TRUNCATE":
            self._isolation.mutate(transaction, table)
            if day is None:
                transaction.cursor.execute(f'DELETE FROM "{table.physical}"')
            else:
                column = table.partition_column
                transaction.cursor.execute(
                    f'DELETE FROM "{table.physical}" WHERE date_trunc(\'day\', "{column}") = ?',
                    [day],
                )
        elif disposition == "WRITE_EMPTY":
            found = transaction.cursor.execute(f'SELECT 1 FROM "{table.physical}" LIMIT 1')
            if found.fetchall():
                raise Refused("duplicate", f"Already Exists: Table {table.full_name}")

    def refuse_many_partitions(self, table: Table, rows: list[list[Any]]) -> None:
        if table.partition_column is None or table.by_ingestion:
            return
        at = next(
            n
            for n, f in enumerate(table.fields)
            if f["name"].lower() == table.partition_column.lower()
        )
        touched = {None if r[at] is None else str(r[at])[:10] for r in rows}
        if len(touched) > self.max_partitions:
            raise too_many_partitions(len(touched), self.max_partitions)


def too_many_partitions(count: int, limit: int) -> Refused:
    return Refused(
        "invalidQuery",
        f"Too many partitions produced by query, allowed {limit}, query produces at least {count}"
        " partitions",
    )


def _check_schema(table: Table, given: list[Field]) -> None:
    for one in given:
        own = table.field(one["name"])
        if own is None:
            raise Refused(
                "invalid",
                f"Provided Schema does not match Table {table.full_name}. Cannot add fields"
                f" (field: {one['name']})",
            )
        if own["type"] != one["type"]:
            raise Refused(
                "invalid",
                f"Provided Schema does not match Table {table.full_name}. Field {own['name']} has"
                f" changed type from {own['type']} to {one['type']}",
            )


def _json_lines(
    text: str, fields: list[Field], config: dict[str, Any], problems: list[str], file: int
) -> Iterator[list[Any]]:
    by_name = {f["name"].lower(): n for n, f in enumerate(fields)}
    lenient = config.get("ignoreUnknownValues", False)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row: list[Any] = [None] * len(fields)
        where = f"file {file}, row {number}"
        try:
            for key, value in _record(line).items():
                at = by_name.get(key.lower())
                if at is not None:
                    try:
                        row[at] = _fitting(from_json(value, fields[at]["type"]), fields[at])
                    except (ValueError, OverflowError) as error:
                        raise ValueError(f"{error} Field: {key}") from None
                elif not lenient:
                    raise ValueError(f"No such field: {key}.")
            _required(row, fields)
        except ValueError as error:
            problems.append(
                "Error while reading data, error message: JSON parsing error in row starting at"
                f" {where}: {error}"
            )
        yield row


def _record(line: str) -> dict[str, Any]:
    found = json.loads(line)
    if isinstance(found, dict):
        return found
    raise ValueError("Start of array encountered without start of object.")


def _csv(
    text: str, fields: list[Field], config: dict[str, Any], problems: list[str], file: int
) -> Iterator[list[Any]]:
    null = config.get("nullMarker", "")
    lines: Iterable[list[str]] = csv.reader(
        io.StringIO(text, newline=""), delimiter=config.get("fieldDelimiter", ",")
    )
    for number, cells in enumerate(lines, 1):
        if number <= int(config.get("skipLeadingRows", 0)):
            continue
        row: list[Any] = [None] * len(fields)
        try:
            if len(cells) > len(fields) and not config.get("ignoreUnknownValues"):
                raise ValueError(f"Too many values in row: {len(cells)}.")
            if len(cells) < len(fields) and not config.get("allowJaggedRows"):
                raise ValueError(f"Missing values in row: {len(cells)}.")
            if any("\n" in c for c in cells) and not config.get("allowQuotedNewlines"):
                raise ValueError("Missing close quote character.")
            for at, cell in enumerate(cells[: len(fields)]):
                kind = fields[at]["type"]
                if cell != null and not (cell == "" and kind != "STRING"):
                    row[at] = _fitting(from_text(cell, kind), fields[at])
            _required(row, fields)
        except ValueError as error:
            problems.append(
                f"Error while reading data, error message: {error} file {file}, row {number}"
            )
        yield row


def _fitting(value: Any, own: Field) -> Any:
    """A text within its STRING(n), which counts Unicode characters and cuts nothing: page "Data
    types", under parameterized data types."""
    most = own.get("maxLength")
    if most is not None and isinstance(value, str) and len(value) > int(most):
        raise ValueError(
            f"STRING({most}) has maximum length {most} but got a value with length {len(value)}"
        )
    return value


def _required(row: list[Any], fields: list[Field]) -> None:
    for value, one in zip(row, fields, strict=True):
        if value is None and one["mode"] == "REQUIRED":
            raise ValueError(f"Only optional fields can be set to NULL. Field: {one['name']}")
