"""Rows as Parquet, by way of Arrow: batches are encoded anywhere, and written in one place.

Needs the extra ``parquet`` (pyarrow), which is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from hauserpy.errors import ConfigError
from hauserpy.model import Compression, FieldType, Layout, TimeStyle
from hauserpy.staging.runs import Runs, objects
from hauserpy.transform import Rows

_ROW_GROUP_BYTES = 16 << 20
"""Of Arrow data held before a row group is written: bounds memory, and suits readers."""


def _arrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise ConfigError(
            'Format = "parquet" needs pyarrow, which is not installed.',
            "Install it with: pip install 'hauserpy[parquet]'",
        ) from None
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


class ArrowEncoder:
    """See `hauserpy.staging.base.Encoder`; the bytes are one Arrow IPC stream a batch."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._runs = Runs(layout)
        self._schema = _schema(layout)
        self._times = {
            n
            for n, c in enumerate(layout.columns)
            if c.type in (FieldType.TIME, FieldType.WINDOW_START)
        }
        self._zoned = layout.time_style is TimeStyle.RFC3339

    @property
    def head(self) -> bytes:
        return b""

    def encode(self, rows: Rows) -> bytes:
        pa = _arrow()
        arrays = [None] * len(self._schema)
        for run in self._runs.of(rows.blocks):
            if run.block is None:
                (number,) = run.numbers
                custom = objects(rows.blocks, run.places, bytes)
                arrays[number] = pa.array(custom, type=self._schema.field(number).type)
                continue
            block = rows.blocks[run.block]
            which = None if block.which is None else pa.array(block.which, type=pa.int32())
            for number, place in zip(run.numbers, run.places, strict=True):
                array = self._array(number, block.columns[place])
                arrays[number] = array if which is None else array.take(which)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._schema) as stream:
            stream.write_batch(pa.record_batch(arrays, schema=self._schema))
        return bytes(sink.getvalue())

    def _array(self, number: int, values: Sequence[Any]) -> Any:
        if number in self._times:
            return self._instants(values)
        return _arrow().array(values, type=self._schema.field(number).type)

    def _instants(self, written: Sequence[str | None]) -> Any:
        """Arrow reads whole columns of what `hauserpy.transform.times.write` wrote."""
        pa = _arrow()
        naive, instant = pa.timestamp("us"), pa.timestamp("us", tz="UTC")
        texts = pa.array(written, type=pa.string())
        # Arrow wants a zone just where its type has one.
        return texts.cast(instant) if self._zoned else texts.cast(naive).cast(instant)


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
