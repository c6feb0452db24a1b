"""One bundle from its spool to parts on disk, with the counts that go into its ledger entry."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hauserpy.decode.gunzip import gunzip
from hauserpy.decode.split import BATCH_BYTES, stretches
from hauserpy.model import Changes, Staged
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.parts import PartWriter
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Restarted, Spool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bundle has come: records staged, bytes of its text, and bytes of its body read."""

    records: int
    bytes: int
    read: int


def stage(
    spool: Spool,
    job: Job,
    folder: Path,
    pool: Pool,
    progress: Callable[[Progress], None] | None = None,
    *,
    batch_bytes: int = BATCH_BYTES,
) -> Staged:
    """Decode, transform and stage the spooled body into ``folder``, which must be empty.

    Reads the spool while it grows and begins again when the download does. Raises CorruptBundle
    (without the bundle's name), WorkerDied, what the download failed with, or the disk's OSError;
    ``folder`` is then empty again.
    """
    while True:
        writer = PartWriter(folder, job.layout)
        try:
            return _stage(spool, job, writer, pool, progress, batch_bytes)
        except Restarted:
            writer.discard()
        except BaseException:
            writer.discard()
            raise


def _stage(
    spool: Spool,
    job: Job,
    writer: PartWriter,
    pool: Pool,
    progress: Callable[[Progress], None] | None,
    batch_bytes: int,
) -> Staged:
    records = text_bytes = 0
    body = _Counted(gunzip(spool.chunks()))
    changes = Changes()
    firsts: list[datetime] = []
    lasts: list[datetime] = []
    batches = stretches(body, batch_bytes=batch_bytes, most_bytes=job.most_record_bytes)
    # Closed here and now, so that no batch of this bundle is under way when the pool's next begins.
    with closing(pool.convert(job, batches)) as converted:
        for made, data in converted:
            writer.add(made, data)
            records += made.records
            text_bytes += made.text_bytes
            changes.merge(made.changes)
            firsts += [made.first_event] if made.first_event is not None else []
            lasts += [made.last_event] if made.last_event is not None else []
            if progress is not None:
                progress(Progress(records, text_bytes, spool.read))
    parts = writer.finish()
    return Staged(
        parts=parts,
        records=records,
        bytes=body.count,
        changes=changes,
        first_event=min(firsts, default=None),
        last_event=max(lasts, default=None),
    )


class _Counted:
    """Chunks of text, and how many bytes have gone by."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.count += len(chunk)
            yield chunk


def empty_folder(folder: Path) -> Path:
    """``folder``, made or made empty, readable by its owner only."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder
