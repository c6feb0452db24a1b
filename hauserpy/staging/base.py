"""The seam of the staged formats, and which class stands behind each."""

from __future__ import annotations

from typing import Protocol

from hauserpy.model import Layout, StageFormat
from hauserpy.transform import Rows


class Encoder(Protocol):
    """Turns rows into bytes of one format.

    ``head`` comes before the first batch of a file, plain. Bytes of batches may be concatenated.
    """

    @property
    def head(self) -> bytes: ...

    def encode(self, rows: Rows) -> bytes: ...


def encoder_for(layout: Layout) -> Encoder:
    """The encoder of the layout's format. Parquet is assembled by `hauserpy.staging.parquet`, to
    which its encoder's bytes are Arrow record batches; raw has no encoder."""
    match layout.format:
        case StageFormat.CSV:
            from hauserpy.staging.csv import CsvEncoder

            return CsvEncoder(layout)
        case StageFormat.JSONL:
            from hauserpy.staging.jsonl import JsonLinesEncoder

            return JsonLinesEncoder(layout)
        case StageFormat.PARQUET:
            from hauserpy.staging.parquet import ArrowEncoder

            return ArrowEncoder(layout)
        case StageFormat.RAW:
            raise ValueError("raw bundles are copied, not encoded")
