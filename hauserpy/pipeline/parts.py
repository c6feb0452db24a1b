"""Staged bytes to whole files, summed, and fsynced where the layout is durable."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hauserpy import checksum
from hauserpy.checksum import Checksum
from hauserpy.layout import Compression, Layout, StageFormat, extension
from hauserpy.model import Part
from hauserpy.pipeline.convert import Converted
from hauserpy.staging import encoder_for, gzip
from hauserpy.staging.gzip import deflate

_FLUSH_BYTES = 16 << 20
"""So much is written before it is brought to the disk, while more is made of the bundle."""


class PartWriter:
    """Writes converted batches, in the order in which they are given, to one file or several.

    A file appears with the first batch that has records; none at all for a bundle without any.
    Files lie in ``folder`` under ``<number>.<extension>``, mode 0600.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder = folder
        self._layout = layout
        self._parts: list[Part] = []
        self._file: _TextFile | _ParquetFile | None = None

    def add(self, batch: Converted, data: bytes | memoryview) -> None:
        """Write a batch, whose ``data`` is given apart and is not kept."""
        if not batch.records:
            return
        if self._file is None:
            self._file = self._open()
        self._file.add(batch, data)
        if self._layout.part_bytes is not None and self._file.size >= self._layout.part_bytes:
            self._end()

    def finish(self) -> tuple[Part, ...]:
        """The files written, whole."""
        self._end()
        return tuple(self._parts)

    def discard(self) -> None:
        """Remove everything written so far."""
        if self._file is not None:
            self._file.abandon()
            self._file = None
        for path in self._folder.iterdir():
            path.unlink()
        self._parts = []

    def _open(self) -> _TextFile | _ParquetFile:
        layout = self._layout
        name = f"{len(self._parts):05d}.{extension(layout.format, layout.compression)}"
        path = self._folder / name
        if layout.format is StageFormat.PARQUET:
            return _ParquetFile(path, layout)
        return _TextFile(path, layout)

    def _end(self) -> None:
        if self._file is not None:
            self._parts.append(self._file.finish())
            self._file = None


class _TextFile:
    """CSV, JSON Lines or raw text, plain or as one gzip member."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        self._raw = layout.format is StageFormat.RAW
        self._plain = Checksum() if layout.compression is Compression.GZIP else None
        self._out = _create(path)
        self._flusher = _Flusher(self._out, durable=layout.durable)
        self._written = Checksum()
        self._records = 0
        self._separator = b""
        if self._plain is not None:
            self._write_ours(gzip.HEAD)
        head = b"[" if self._raw else encoder_for(layout).head
        if head:
            self._text(head)

    @property
    def size(self) -> int:
        return self._written.size

    def add(self, batch: Converted, data: bytes | memoryview) -> None:
        if self._separator:
            self._text(self._separator)
        self._separator = batch.separator
        self._records += batch.records
        if self._plain is not None:
            self._plain.add(batch.plain_size, batch.plain_crc)
        self._write(data, batch.crc)

    def finish(self) -> Part:
        if self._raw:
            # Behind the last record, what was served is white space, or a comma of a record left out.
            self._text(b"]" if b"," in self._separator else self._separator + b"]")
        if self._plain is not None:
            self._write_ours(gzip.trailer(self._plain))
        self._flusher.end()
        self._out.close()
        return Part(self._path, self.size, self._records, self._written.crc32)

    def abandon(self) -> None:
        self._flusher.join()
        self._out.close()

    def _text(self, text: bytes) -> None:
        if self._plain is None:
            self._write_ours(text)
        else:
            piece = deflate(text)
            self._plain.add(piece.plain_size, piece.plain_crc)
            self._write_ours(piece.data)

    def _write_ours(self, data: bytes) -> None:
        self._write(data, checksum.crc32(data))

    def _write(self, data: bytes | memoryview, crc: int) -> None:
        view = memoryview(data)
        while view:
            view = view[self._out.write(view) :]
        self._written.add(len(data), crc)
        self._flusher.wrote(len(data))


class _ParquetFile:
    def __init__(self, path: Path, layout: Layout) -> None:
        from hauserpy.staging.parquet import ParquetAssembler

        self._path = path
        self._out = _create(path)
        self._assembler = ParquetAssembler(self._out, layout)
        self._flusher = _Flusher(self._out, durable=layout.durable)
        self._records = 0
        self.size = 0

    def add(self, batch: Converted, data: bytes | memoryview) -> None:
        self._records += batch.records
        # The rows stay where they are until their row group is written.
        self._assembler.add(bytes(data))
        self.size += len(data)

    def finish(self) -> Part:
        self._assembler.finish()
        self._flusher.end()
        self._out.close()
        with self._path.open("rb") as written:
            made = checksum.of_file(written)
        return Part(self._path, made.size, self._records, made.crc32)

    def abandon(self) -> None:
        # Else pyarrow does it once the file is closed, and tells stderr that it cannot.
        with suppress(Exception):
            self._assembler.close()
        self._out.close()


class _Flusher:
    """Brings a durable file to the disk from a thread while it is written, so that its end is waited
    for and not all of it."""

    def __init__(self, out: BinaryIO, *, durable: bool) -> None:
        self._out = out
        self._durable = durable
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def wrote(self, size: int) -> None:
        self._waiting += size
        enough = self._durable and self._waiting >= _FLUSH_BYTES
        if enough and not (self._thread and self._thread.is_alive()):
            self._look()
            self._waiting = 0
            thread = threading.Thread(target=self._flush, name="flush", daemon=True)
            # Where no thread can be had, all of it is brought to the disk at the end.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def end(self) -> None:
        """Wait until all of a durable file is on the disk."""
        self._look()
        if self._durable:
            os.fsync(self._out.fileno())

    def _look(self) -> None:
        """Raises the OSError of what was flushed: the system tells it once, not at the next fsync."""
        self.join()
        if self._error is not None:
            raise self._error

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _flush(self) -> None:
        try:
            os.fsync(self._out.fileno())
        except OSError as error:
            self._error = error


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
