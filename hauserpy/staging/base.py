"""The seam of the staged formats, and which class stands behind each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hauserpy.decode.pattern import Member
from hauserpy.layout import Layout, StageFormat
from hauserpy.transform import Rows


class Encoder(Protocol):
    """Turns rows into lines of one format, and lines into bytes that may be concatenated.

    A line is what `lines` makes of the values of a row. Where a value's JSON tells what would be
    written of it, the line is put together from copies instead: `member` says which JSON does,
    `copied` what its copies come to, and ``glue`` stands between the entries of two columns. Such
    methods take a column by its ``number`` in the layout.
    """

    @property
    def head(self) -> bytes:
        """Comes before the first batch of a file, plain."""
        ...

    @property
    def glue(self) -> bytes: ...

    @property
    def lead(self) -> bytes:
        """What every entry begins with that is not empty, and no line does."""
        ...

    def lines(self, rows: Rows) -> list[bytes]: ...

    def joined(self, lines: Sequence[bytes]) -> bytes:
        """The bytes of at least one line."""
        ...

    def member(self, number: int, key: str, *, plain: bool) -> Member:
        """The regular expression of a member of that key, a field's. What is copied of it is never
        empty; for a time, it is the instant and nothing else. A whole member is written as it
        stands, but for its escapes. Where it is ``plain``, no match is needed for texts that are
        empty or have a quote in them."""
        ...

    def copied(
        self, number: int, key: str, values: Sequence[bytes], care: set[int]
    ) -> Sequence[bytes]:
        """A column from what was copied; what was empty becomes NULL, and those whose place goes into
        ``care`` have no meaning. Not for times."""
        ...

    def copied_together(self, values: Sequence[bytes], care: set[int]) -> Sequence[bytes]:
        """As `copied`, for copies of several whole members, of columns without a bound, no text in
        which has a quote in it. Only for an encoder that has such members."""
        ...

    def instants(self, number: int, written: Sequence[bytes | None]) -> list[bytes]:
        """A column of times, whose texts are in the layout's style."""
        ...

    def escaped(self, texts: Sequence[bytes]) -> Sequence[bytes]:
        """JSON objects as they stand in an entry, braces and commas as they were: so several can be
        put together."""
        ...

    def objects(self, number: int, escaped: Sequence[bytes]) -> list[bytes]:
        """A column of CustomVars from what `escaped` gives."""
        ...

    def null(self, number: int) -> bytes: ...


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
