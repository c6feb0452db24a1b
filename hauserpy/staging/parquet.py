"""Rows as Parquet, by way of Arrow: batches are encoded anywhere, and written in one place.

Needs the extra ``parquet`` (pyarrow), which is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, BinaryIO

from hauserpy.errors import ConfigError
from hauserpy.layout import Compression, FieldType, Layout
from hauserpy.staging.csv import CsvEncoder

_ROW_GROUP_BYTES = 16 << 20
"""Of Arrow data held before a row group is written: bounds memory, and suits readers."""


def require() -> None:
    """Raises ConfigError where pyarrow is not installed; does not import it."""
    if find_spec("pyarrow") is None:
        raise ConfigError(
            'Format = "parquet" needs pyarrow, which is not installed.',
            "Install it with: pip install pyarrow",
        )


def _arrow() -> Any:
    require()
    import pyarrow as pa

    # Arrow's own allocators keep what they had: some 70 MB more over all processes.
    pa.set_memory_pool(pa.system_memory_pool())
    return pa


def _schema(layout: Layout) -> Any:
    pa = _arrow()
    instant = pa.timestamp("us", tz="UTC")
    types = {
        FieldType.INT64: pa.int64(),
        FieldType.INT32: pa.int32(),
        FieldType.FLOAT64: pa.float64(),
        FieldType.STRING: pa.string(),
        FieldType.CUSTOM_VARS: pa.string(),
        FieldType.TIME: instant,
        FieldType.WINDOW_START: instant,
    }
    return pa.schema([(c.name, types[c.type]) for c in layout.columns])


class ArrowEncoder(CsvEncoder):
    """See `hauserpy.staging.base.Encoder`: lines of CSV, which Arrow reads faster than Python's
    values could be given to it; the bytes are one Arrow IPC stream a batch. Times must have their
    zone."""

    head = b""

    def __init__(self, layout: Layout) -> None:
        super().__init__(replace(layout, null=""))
        self._schema = _schema(layout)

    def joined(self, lines: Sequence[bytes]) -> bytes:
        pa = _arrow()
        from pyarrow import csv

        text = super().joined(lines)
        table = csv.read_csv(
            pa.BufferReader(text),
            read_options=csv.ReadOptions(
                use_threads=False, column_names=self._schema.names, block_size=len(text) + 1
            ),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            # An empty string has quotes, and NULL none.
            convert_options=csv.ConvertOptions(
                column_types=self._schema,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._schema) as stream:
            stream.write_table(table)
        return bytes(sink.getvalue())


class ParquetAssembler:
    """Writes the bytes of `ArrowEncoder` to one Parquet file, a row group at a time."""

    def __init__(self, out: BinaryIO, layout: Layout) -> None:
        import pyarrow.parquet as pq

        self._schema = _schema(layout)
        codec = "gzip" if layout.compression is Compression.GZIP else "snappy"
        self._writer = pq.ParquetWriter(out, self._schema, compression=codec)
        self._held: list[Any] = []
        self._bytes = 0

    def add(self, encoded: bytes) -> None:
        pa = _arrow()
        source = pa.BufferReader(encoded)
        while source.tell() < source.size():
            # One stream behind the other.
            for batch in pa.ipc.open_stream(source):
                self._held.append(batch)
                self._bytes += batch.nbytes
        if self._bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._writer.close()

    def close(self) -> None:
        """Give up the file, whatever has come of it."""
        self._held, self._bytes = [], 0
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            table = _arrow().Table.from_batches(self._held, schema=self._schema)
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._held, self._bytes = [], 0
