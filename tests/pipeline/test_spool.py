"""The body on disk: read while it grows, begun again when the download is, gone at the end."""

from __future__ import annotations

import gzip
import os
import queue
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hauserpy.errors import ApiUnavailable
from hauserpy.layout import Layout
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Restarted, Spool
from hauserpy.pipeline.stage import Progress, empty_folder, stage
from tests.bundles import FILE_COLUMNS, WINDOW, here

SECONDS = 60
LAYOUT = Layout(FILE_COLUMNS, part_bytes=100, durable=True)
JOB = Job(LAYOUT, WINDOW, None, 1 << 24)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path / "spool")) as made:
        yield made


class Reader(threading.Thread):
    """Reads in a thread of its own, and tells what came, chunk by chunk."""

    def __init__(self, spool: Spool) -> None:
        super().__init__(daemon=True)
        self._spool = spool
        self.told: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        try:
            for chunk in self._spool.chunks():
                self.told.put(chunk)
            self.told.put(None)
        except BaseException as error:
            self.told.put(error)

    def next(self) -> bytes | BaseException | None:
        return self.told.get(timeout=SECONDS)


def test_what_is_written_is_read_while_it_grows(spool: Spool) -> None:
    reader = Reader(spool)
    for chunk in (b"one", b"two", b"x" * 1000):
        spool.write(chunk)
        assert reader.next() == chunk
    assert spool.size == 1006
    spool.finish()
    assert reader.next() is None


def test_what_was_written_before_is_read_whole(spool: Spool) -> None:
    body = os.urandom(1_000_000)
    spool.write(body[:10])
    spool.write(body[10:])
    spool.finish()
    assert b"".join(spool.chunks()) == body
    assert b"".join(spool.chunks()) == body


def test_an_empty_body_ends(spool: Spool) -> None:
    spool.finish()
    assert list(spool.chunks()) == []


def test_a_download_that_begins_again_is_read_again(spool: Spool) -> None:
    reader = Reader(spool)
    spool.write(b"first attempt")
    assert reader.next() == b"first attempt"
    spool.restart()
    assert isinstance(reader.next(), Restarted)
    assert spool.size == 0
    spool.write(b"second")
    spool.finish()
    assert b"".join(spool.chunks()) == b"second"


def test_a_restart_is_told_although_more_was_written_since(spool: Spool) -> None:
    spool.write(b"first")
    chunks = spool.chunks()
    assert next(chunks) == b"first"
    spool.restart()
    spool.write(b"second attempt is longer")
    with pytest.raises(Restarted):
        next(chunks)


def test_a_restart_before_the_first_byte_is_none(spool: Spool) -> None:
    reader = Reader(spool)
    spool.restart()
    spool.write(b"x")
    assert reader.next() == b"x"


def test_a_failed_download_fails_its_reader(spool: Spool) -> None:
    reader = Reader(spool)
    spool.write(b"x")
    assert reader.next() == b"x"
    error = ApiUnavailable("gone")
    spool.fail(error)
    assert reader.next() is error
    with pytest.raises(ApiUnavailable):
        next(spool.chunks())


def test_only_the_owner_can_read_it_and_it_goes(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        spool = Spool(tmp_path / "spool")
    finally:
        os.umask(before)
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600
    spool.close()
    spool.close()
    assert list(tmp_path.iterdir()) == []


def body(count: int, name: str) -> bytes:
    return b"[" + b",".join(b'{"EventType":"%b","IndvId":%d}' % (name.encode(), n)
                            for n in range(count)) + b"]"  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
def test_staging_begins_again_with_the_download(workers: int, spool: Spool, tmp_path: Path) -> None:
    """Half of a first attempt is staged already when the connection drops."""
    staging = threading.Event()

    def download() -> None:
        packed = gzip.compress(body(5000, "first"))
        spool.write(packed[: len(packed) * 9 // 10])
        assert staging.wait(SECONDS)
        spool.restart()
        spool.write(gzip.compress(body(700, "second")))
        spool.finish()

    def progress(_: Progress) -> None:
        staging.set()

    folder = empty_folder(tmp_path / "parts")
    thread = threading.Thread(target=download)
    thread.start()
    with closing(Pool(workers, inline=0) if workers else here()) as pool:
        made = stage(spool, JOB, folder, pool, progress, batch_bytes=500)
    thread.join()
    assert made.records == 700
    assert sorted(folder.iterdir()) == [part.path for part in made.parts]
    text = b"".join(part.path.read_bytes() for part in made.parts)
    assert text.count(b",second,") == 700
    assert b"first" not in text
    for part in made.parts:
        assert stat.S_IMODE(part.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("workers", [0, 2])
def test_a_download_that_fails_while_it_is_staged_leaves_nothing(
    workers: int, spool: Spool, tmp_path: Path
) -> None:
    def progress(so_far: Progress) -> None:
        spool.fail(ApiUnavailable("gone"))

    spool.write(body(5000, "x")[:-1])
    folder = empty_folder(tmp_path / "parts")
    with (
        closing(Pool(workers, inline=0) if workers else here()) as pool,
        pytest.raises(ApiUnavailable),
    ):
        stage(spool, JOB, folder, pool, progress, batch_bytes=500)
    assert list(folder.iterdir()) == []


def test_a_full_disk_leaves_nothing(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.write(body(5000, "x"))
    spool.finish()
    folder = empty_folder(tmp_path / "parts")
    synced = []

    def full(fd: int) -> None:
        synced.append(fd)
        if len(synced) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        stage(spool, JOB, folder, here(), batch_bytes=500)
    assert list(folder.iterdir()) == []
