"""What staged rows look like: their columns, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FieldType(StrEnum):
    """What a column can hold; the names are SQL's, loosely."""

    INT64 = "int64"
    INT32 = "int32"
    FLOAT64 = "float64"
    STRING = "string"
    TIME = "time"
    """An instant in UTC, to the microsecond."""
    CUSTOM_VARS = "custom_vars"
    """One JSON object of every key that has no column of its own."""
    WINDOW_START = "window_start"
    """The start of the window that the row was loaded for."""


class StageFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    RAW = "raw"
    """The array as it was served, validated like the rest."""


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"


def extension(format: StageFormat, compression: Compression) -> str:
    """``csv``, ``jsonl.gz``, ``parquet``; raw is ``json``, as hauser names it."""
    name = "json" if format is StageFormat.RAW else format.value
    if compression is Compression.GZIP and format is not StageFormat.PARQUET:
        return f"{name}.gz"
    return name


class TimeStyle(StrEnum):
    RFC3339 = "rfc3339"
    """``2026-11-23T04:00:00.25Z``: trailing zeros dropped, as hauser writes it."""
    SQL = "sql"
    """``2026-11-23 04:00:00.25``: UTC without a zone, for a TIMESTAMP column."""


class CustomVarsKind(StrEnum):
    TEXT = "text"
    """JSON text in a string column."""
    OBJECT = "object"
    """An object inside the row (JSON Lines)."""
    TYPED = "typed"
    """JSON text for a JSON or SUPER column: numbers that are neither an int64 nor exactly a double
    become strings."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column that hauserpy fills.

    ``name`` is the destination's; ``field`` the catalogue's (`hauserpy.fields`). ``max_bytes``
    bounds text in UTF-8 bytes, or in what the layout measures by; None is unbounded.
    """

    name: str
    field: str
    type: FieldType
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """What `Destination.prepare` asks the pipeline for: which columns, none of the same field as
    another, and how rows are staged."""

    columns: tuple[Column, ...]
    format: StageFormat = StageFormat.CSV
    compression: Compression = Compression.NONE
    header: bool = True
    """CSV: the first line of the file names the columns."""
    null: str = ""
    """CSV: how NULL is written in a string column; elsewhere NULL is an empty field. Where this is
    not empty, an empty string is an empty field; where it is, an empty string is ``""``."""
    time_style: TimeStyle = TimeStyle.RFC3339
    custom_vars: CustomVarsKind = CustomVarsKind.TEXT
    custom_value_bytes: int | None = None
    """The most bytes that one string inside CustomVars may have (SUPER)."""
    in_characters: bool = False
    """The bounds of columns count Unicode characters (code points), as BigQuery does."""
    int64_as_text: bool = False
    """JSON Lines: int64 columns are written as strings, since readers may use doubles."""
    part_bytes: int | None = None
    """None: one file with the rows in order. Else files of about so many bytes, in any order."""
    durable: bool = False
    """The files are what is kept, and must be on the disk when they are told of; others are read
    once, by this run, and then removed."""
