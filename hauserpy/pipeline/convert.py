"""One batch of text to staged bytes: parse, transform, encode, and compress.

What comes out depends on the batch alone; what is remembered of others makes it come sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hauserpy.decode.reader import Reader
from hauserpy.decode.records import Records, check_depth, parse, pieces
from hauserpy.decode.scenes import CutRecords
from hauserpy.decode.split import Batch
from hauserpy.errors import CorruptBundle
from hauserpy.fields import EVENT_START
from hauserpy.model import ChangeKind, Changes, Clip, Compression, Layout, StageFormat, Window
from hauserpy.staging import encoder_for
from hauserpy.staging.gzip import Deflated, deflate
from hauserpy.transform import Rows, TooDeep, Transformer, fields_of

_SEPARATOR = b",\n"
MOST_RECORDS = 1 << 14
_MOST_AT_ONCE = 4096
_MUCH_CARE = 1 / 8
"""The part of a batch's records that need care, from which on a cut costs more than it saves."""


class Crowded(Exception):
    """A batch of so many records, tiny ones, that its rows would be many times as large as it is:
    to be converted in smaller batches."""

    def __init__(self, records: int) -> None:
        self.records = records
        super().__init__(records)


@dataclass(frozen=True, slots=True)
class Job:
    """All that a worker must know of a bundle to convert its batches."""

    layout: Layout
    window: Window
    clip: Clip | None
    most_record_bytes: int


@dataclass(frozen=True, slots=True)
class Converted:
    """A batch's staged bytes and what they hold.

    ``data`` is raw deflate where the layout compresses text; ``length`` and ``crc`` are those of
    the text before. For Parquet it is an Arrow stream. ``separator`` is what stands between it and
    the next batch of the same file (raw only).
    """

    data: bytes
    length: int
    crc: int
    separator: bytes
    records: int
    text_bytes: int
    changes: Changes
    first_event: datetime | None
    last_event: datetime | None


class Converter:
    """Converts the batches of one job, in any order.

    ``before`` converted another bundle's: what it learned of records may well hold here.
    """

    def __init__(self, job: Job, before: Converter | None = None) -> None:
        self._job = job
        self._raw = job.layout.format is StageFormat.RAW
        layout = job.layout
        if self._raw:
            # Raw bundles are not transformed; only their times are read.
            only = tuple(c for c in layout.columns if c.field == EVENT_START)
            layout = replace(layout, columns=only)
        else:
            self._encoder = encoder_for(layout)
        self._transformer = Transformer(layout, job.window, job.clip)
        fields = frozenset(fields_of(job.layout.columns))
        cut = None if before is None else before.reader.cut
        # A row that may be clipped is looked at for itself.
        self.reader: Reader = Reader(
            fields,
            job.most_record_bytes,
            cuts=job.clip is None,
            cut=cut,
            # What is copied is copied to the letter; only times are read.
            exact=not self._raw,
        )
        self._deflates = (
            layout.compression is Compression.GZIP and layout.format is not StageFormat.PARQUET
        )

    def convert(self, batch: Batch) -> Converted:
        """Raises Unproved or CorruptBundle (see `hauserpy.decode.records.parse`); Crowded when the
        batch is proved, and has more than `MOST_RECORDS`."""
        records = self.reader.read(batch)
        if isinstance(records, Records) and len(records.values) > MOST_RECORDS and not self._raw:
            raise Crowded(len(records.values))
        try:
            return self._converted(batch, records)
        except TooDeep:
            # Of a key that comes in both parts of a record, the other value may be the one that
            # counts.
            most = self._job.most_record_bytes
            records = parse(batch, most_bytes=most)
        try:
            return self._converted(batch, records)
        except TooDeep:
            # Parsing record by record finds the place.
            check_depth(records.values, batch, most_bytes=most)
            raise CorruptBundle("a record is nested too deeply", offset=batch.offset) from None

    def _converted(self, batch: Batch, records: Records | CutRecords) -> Converted:
        if self._raw:
            check_depth(_values(records), batch, most_bytes=self._job.most_record_bytes)
            rows, text, separator = self._copied(batch, records)
        else:
            rows, text = self._encoded(records)
            separator = b""
        if isinstance(records, CutRecords):
            self.reader.paid(rows.cared <= rows.count * _MUCH_CARE)
        piece = deflate(text) if self._deflates else Deflated(text, len(text), 0)
        return Converted(
            data=piece.data,
            length=piece.length,
            crc=piece.crc,
            separator=separator,
            records=rows.count,
            text_bytes=len(batch.text) + len(batch.separator),
            changes=rows.changes,
            first_event=rows.first_event,
            last_event=rows.last_event,
        )

    def _encoded(self, records: Records | CutRecords) -> tuple[Rows, bytes]:
        """The rows' counts, and their bytes."""
        made, texts = [], []
        for few in _few_at_a_time(records):
            rows = self._transformer.rows(few)
            texts.append(self._encoder.encode(rows))
            made.append(replace(rows, blocks=()))
        return _summed(made), b"".join(texts)

    def _copied(self, batch: Batch, records: Records | CutRecords) -> tuple[Rows, bytes, bytes]:
        """The rows' counts, and the text that holds them with what separates it from more."""
        if self._job.clip is None:
            rows = _summed(self._transformer.rows(few) for few in _few_at_a_time(records))
            return replace(rows, changes=Changes()), batch.text, batch.separator
        # What is left out leaves no gap; the records that stay are those served, to the letter.
        kept, made = [], []
        for text, record in pieces(batch, most_bytes=self._job.most_record_bytes):
            one = self._transformer.rows(Records([record], plain=False))
            made.append(one)
            if one.count:
                kept.append(text)
        rows = _summed(made)
        clipped = {k: n for k, n in rows.changes.items() if k[0] is ChangeKind.CLIPPED}
        return replace(rows, changes=Changes(clipped)), _SEPARATOR.join(kept), _SEPARATOR


def _values(records: Records | CutRecords) -> list[dict[str, Any]]:
    """The records, or all of their parts."""
    if isinstance(records, CutRecords):
        return [*records.events.values, *records.scenes.values, *records.uncut.values()]
    return records.values


def _few_at_a_time(records: Records | CutRecords) -> Iterator[Records | CutRecords]:
    """A batch of tiny records holds hundreds of thousands, and each costs some kilobytes while its
    columns are made. Of records that are cut, the reader gives no more at once."""
    if isinstance(records, CutRecords):
        yield records
        return
    values = records.values
    for start in range(0, len(values), _MOST_AT_ONCE):
        yield replace(records, values=values[start : start + _MOST_AT_ONCE])


def _summed(several: Iterable[Rows]) -> Rows:
    """The counts of all, without their columns."""
    made = list(several)
    firsts = [rows.first_event for rows in made if rows.first_event is not None]
    lasts = [rows.last_event for rows in made if rows.last_event is not None]
    return Rows(
        blocks=(),
        count=sum(rows.count for rows in made),
        changes=Changes.total(rows.changes for rows in made),
        cared=sum(rows.cared for rows in made),
        first_event=min(firsts, default=None),
        last_event=max(lasts, default=None),
    )
