"""What is measured: the forms in which a bundle can be staged, by name."""

from __future__ import annotations

from hauserpy.destinations.redshift import copy
from hauserpy.destinations.redshift.destination import PART_BYTES
from hauserpy.fields import as_exported, catalogue, table_columns
from hauserpy.layout import Compression, CustomVarsKind, FieldType, Layout, StageFormat, TimeStyle

_COLUMNS = table_columns(catalogue())
_FILE_COLUMNS = tuple(c for c in _COLUMNS if c.type is not FieldType.WINDOW_START)

LAYOUTS = {
    "csv": Layout(_FILE_COLUMNS, durable=True),
    "csv.gz": Layout(_FILE_COLUMNS, compression=Compression.GZIP, durable=True),
    "jsonl": Layout(
        as_exported(_FILE_COLUMNS),
        format=StageFormat.JSONL,
        custom_vars=CustomVarsKind.OBJECT,
        durable=True,
    ),
    "redshift": Layout(
        table_columns(catalogue(), max_bytes=65_535),
        compression=Compression.GZIP,
        header=False,
        null=copy.NULL,
        time_style=TimeStyle.SQL,
        part_bytes=PART_BYTES,
    ),
    "raw": Layout(_FILE_COLUMNS, format=StageFormat.RAW, durable=True),
    "parquet": Layout(_FILE_COLUMNS, format=StageFormat.PARQUET, durable=True),
}
"""The layouts that the destinations prepare by default: files in a local folder, and ``redshift``, what
it stages for COPY."""
