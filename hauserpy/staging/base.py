"""The seam of the staged formats, and which class stands behind each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hauserpy.decode.form import Slot
from hauserpy.model import Layout, StageFormat
from hauserpy.transform import Rows


class Encoder(Protocol):
    """Turns rows into lines of one format, and lines into bytes that may be concatenated.

    A line is what `lines` makes of the values of a row. Where a value's JSON tells what would be
    written of it, the line is put together from copies instead: `member` says which JSON does,
    `copied` what its copies come to, and ``glue`` stands between two columns. Such methods take a
    column by its ``number`` in the layout.
    """

    @property
    def head(self) -> bytes:
        """Comes before the first batch of a file, plain."""
        ...

    @property
    def glue(self) -> bytes: ...

    def lines(self, rows: Rows) -> list[bytes]: ...

    def joined(self, lines: Sequence[bytes]) -> bytes:
        """The bytes of at least one line."""
        ...

    def member(self, number: int, slot: Slot) -> bytes:
        """The regular expression of a slot's member with the comma before it, and with one group:
        what is copied of it, never empty. For a time, the instant and nothing else."""
        ...

    def copied(
        self, number: int, key: str, values: Sequence[bytes], care: set[int]
    ) -> Sequence[bytes]:
        """A column from what was copied; what was empty, or goes into ``care`` by its place, becomes
        NULL. Not for times. Raises UnicodeDecodeError for text that is not UTF-8."""
        ...

    def instants(self, number: int, written: Sequence[str | None]) -> list[bytes]:
        """A column of times in the layout's style."""
        ...

    def objects(self, number: int, texts: Sequence[bytes]) -> list[bytes]:
        """A column of CustomVars from their JSON."""
        ...

    def null(self, number: int) -> bytes: ...


def encoder_for(layout: Layout) -> Encoder:
    """The encoder of the layout's format. Parquet is assembled by `hauserpy.staging.parquet`, to
    which its encoder's bytes are Arrow record batches. Raw bundles are copied, and read as CSV."""
    match layout.format:
        case StageFormat.CSV | StageFormat.RAW:
            from hauserpy.staging.csv import CsvEncoder

            return CsvEncoder(layout)
        case StageFormat.JSONL:
            from hauserpy.staging.jsonl import JsonLinesEncoder

            return JsonLinesEncoder(layout)
        case StageFormat.PARQUET:
            from hauserpy.staging.parquet import ArrowEncoder

            return ArrowEncoder(layout)
