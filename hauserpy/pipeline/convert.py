"""One batch of text to staged bytes: copied by its records' form, or parsed, transformed and encoded;
then compressed.

The bytes that come out depend on the batch alone; what is remembered of others makes them come sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hauserpy.checksum import crc32
from hauserpy.decode.form import Form
from hauserpy.decode.members import objects
from hauserpy.decode.reader import Reader
from hauserpy.decode.records import Records, Unproved, check_depth, parse, pieces
from hauserpy.decode.split import Batch
from hauserpy.errors import CorruptBundle
from hauserpy.fields import EVENT_START
from hauserpy.layout import Compression, Layout, StageFormat
from hauserpy.model import ChangeKind, Changes, Clip, Window
from hauserpy.pipeline.copier import MOST_AT_ONCE, Copier
from hauserpy.staging import encoder_for
from hauserpy.staging.gzip import Deflated, deflate
from hauserpy.transform import Counts, TooDeep, Transformer, fields_of, times

_SEPARATOR = b",\n"
MOST_RECORDS = 1 << 14
_PROOFS = 4
"""Attempts in a row at proving raw batches, after which they are all parsed."""


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

    ``data`` is raw deflate where the layout compresses text, and ``crc`` its CRC-32; ``plain_size``
    and ``plain_crc`` are those of the text before. For Parquet it is an Arrow stream. ``separator``
    is what stands between it and the next batch of the same file (raw only).
    """

    data: bytes
    crc: int
    plain_size: int
    plain_crc: int
    separator: bytes
    records: int
    text_bytes: int
    changes: Changes
    first_event: datetime | None
    last_event: datetime | None


class Converter:
    """Converts the batches of one job, in any order.

    ``form`` is what was learned of the records of another bundle, or of the same one elsewhere, and
    may well hold here. ``learns``: there are more than a few batches, for which learning takes longer
    than it saves.
    """

    def __init__(self, job: Job, form: Form | None = None, *, learns: bool = True) -> None:
        self._job = job
        self._raw = job.layout.format is StageFormat.RAW
        layout = job.layout
        if self._raw:
            # Raw bundles are copied to the letter; only their times are read.
            only = tuple(c for c in layout.columns if c.field == EVENT_START)
            layout = replace(layout, columns=only)
        else:
            self._encoder = encoder_for(layout)
        # The import of what proves takes as long as parsing some batches.
        self._proofs = _PROOFS if learns and job.clip is None else 0
        self._transformer = Transformer(layout, job.window, job.clip)
        # A row that may be clipped is looked at for itself.
        copies = job.clip is None and not self._raw
        self.reader = Reader(
            frozenset(fields_of(job.layout.columns)),
            job.most_record_bytes,
            learns=learns and copies,
            form=form if copies else None,
            exact=not self._raw,
        )
        self._copier: Copier | None = None
        self._deflates = (
            layout.compression is Compression.GZIP and layout.format is not StageFormat.PARQUET
        )

    def convert(self, batch: Batch) -> Converted:
        """Raises Unproved or CorruptBundle (see `hauserpy.decode.records.parse`); Crowded when the
        batch is proved, and has more than `MOST_RECORDS`."""
        if self._raw:
            return self._as_served(batch)
        form = self.reader.form
        if form is not None and (made := self._by_form(batch, form)) is not None:
            return self._converted(batch, *made)
        records = self.reader.read(batch)
        if len(records.values) > MOST_RECORDS:
            raise Crowded(len(records.values))
        try:
            counts, lines = self._lines(records)
        except TooDeep:
            # Parsing record by record finds the place.
            check_depth(records.values, batch, most_bytes=self._job.most_record_bytes)
            raise CorruptBundle("a record is nested too deeply", offset=batch.offset) from None
        return self._converted(batch, counts, self._joined(lines))

    def _converted(
        self, batch: Batch, counts: Counts, text: bytes, separator: bytes = b""
    ) -> Converted:
        piece = deflate(text) if self._deflates else Deflated(text, len(text), 0)
        return Converted(
            data=piece.data,
            crc=crc32(piece.data),
            plain_size=piece.plain_size,
            plain_crc=piece.plain_crc,
            separator=separator,
            records=counts.count,
            text_bytes=len(batch.text) + len(batch.separator),
            changes=counts.changes,
            first_event=counts.first_event,
            last_event=counts.last_event,
        )

    def _joined(self, lines: list[bytes]) -> bytes:
        return self._encoder.joined(lines) if lines else b""

    def _lines(self, records: Records) -> tuple[Counts, list[bytes]]:
        """The rows' counts, and their lines."""
        made, lines = [], []
        for few in _few_at_a_time(records):
            rows = self._transformer.rows(few)
            lines += self._encoder.lines(rows)
            made.append(rows.counts)
        return Counts.total(made), lines

    def _by_form(self, batch: Batch, form: Form) -> tuple[Counts, bytes] | None:
        """The rows' counts and their bytes, by copies as far as the form goes; None when the batch
        must be parsed whole."""
        if len(batch.text) > self._job.most_record_bytes:
            # Only the parse tells how large each of its records is.
            return None
        if self._copier is None or self._copier.form is not form:
            self._copier = Copier(form, self._job.layout, self._job.window, self._encoder)
        copied = self._copier.copied(batch)
        if copied is None:
            return None
        lines = copied.lines
        made = Counts(len(lines), Changes(), copied.first_event, copied.last_event)
        if copied.left:
            try:
                records = _parsed(copied.left.values(), self._job.most_record_bytes)
                parsed, others = self._lines(records)
            except (Unproved, CorruptBundle, TooDeep):
                # Parsed as a whole, it is told where and what.
                return None
            for n, line in zip(copied.left, others, strict=True):
                lines[n] = line
            made = replace(Counts.total([made, parsed]), count=len(lines))
        self.reader.paid()
        return made, self._joined(lines)

    def _as_served(self, batch: Batch) -> Converted:
        """A raw bundle's batch: as served, and only its times are read."""
        most = self._job.most_record_bytes
        # Only the parse tells how large each of its records is.
        if self._proofs and len(batch.text) <= most:
            from hauserpy.decode.proof import starts_of

            starts = starts_of(batch)
            self._proofs = self._proofs - 1 if starts is None else _PROOFS
            if starts is not None:
                return self._converted(batch, self._span(starts), batch.text, batch.separator)
        records = self.reader.read(batch)
        check_depth(records.values, batch, most_bytes=most)
        if self._job.clip is None:
            counts = replace(self._counts(records), changes=Changes())
            return self._converted(batch, counts, batch.text, batch.separator)
        # What is left out leaves no gap; the records that stay are those served, to the letter.
        kept, made = [], []
        for text, record in pieces(batch, most_bytes=most):
            one = self._transformer.rows(Records([record], plain=False)).counts
            made.append(one)
            if one.count:
                kept.append(text)
        counts = Counts.total(made)
        clipped = {k: n for k, n in counts.changes.items() if k[0] is ChangeKind.CLIPPED}
        counts = replace(counts, changes=Changes(clipped))
        return self._converted(batch, counts, _SEPARATOR.join(kept), _SEPARATOR)

    def _span(self, starts: list[str]) -> Counts:
        """What is told of raw records with these times."""
        counts = None
        if ends := times.outermost(starts):
            counts = self._of_starts(ends)
        if counts is None or counts.changes:
            counts = self._of_starts(starts)
        return replace(counts, count=len(starts), changes=Changes())

    def _of_starts(self, starts: Sequence[str]) -> Counts:
        plain = "\0" not in "".join(starts)
        return self._counts(Records([{EVENT_START: start} for start in starts], plain=plain))

    def _counts(self, records: Records) -> Counts:
        return Counts.total(self._transformer.rows(few).counts for few in _few_at_a_time(records))


def _parsed(insides: Iterable[bytes], most_bytes: int) -> Records:
    """Records from what is in the braces of each. Raises as `parse` does."""
    texts = list(insides)
    found = objects(texts)
    if found is not None:
        return Records(found, plain=True)
    several = [parse(Batch(b"{%b}" % text, 0, last=True), most_bytes=most_bytes) for text in texts]
    if any(len(one.values) != 1 for one in several):
        raise Unproved(0)
    return Records([one.values[0] for one in several], plain=all(one.plain for one in several))


def _few_at_a_time(records: Records) -> Iterator[Records]:
    """A batch of tiny records holds hundreds of thousands, and each costs some kilobytes while its
    columns are made."""
    values = records.values
    for start in range(0, len(values), MOST_AT_ONCE):
        yield replace(records, values=values[start : start + MOST_AT_ONCE])
