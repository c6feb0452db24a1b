"""Fetching: the sink holds one whole body, or there is an error and it is worth nothing."""

from __future__ import annotations

import errno
import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hauserpy.errors import (
    AccessDenied,
    ApiUnavailable,
    BundleGone,
    DiskFull,
    HauserpyError,
    TransientError,
)
from hauserpy.export.bundles import Bundles
from hauserpy.export.fetch import Progress, fetch
from hauserpy.export.source import BundleTooSlow
from hauserpy.mockapi import MockApi
from hauserpy.model import Bundle, Window
from tests.export.conftest import TOKEN, FakeTime, settings_for
from tests.export.scripted import Reply, Scripted, Seen, in_turn

FIRST = datetime(2026, 9, 1, tzinfo=UTC)
ONE = Bundle("159840000048", Window(FIRST, FIRST + timedelta(days=1)))
GZ = gzip.compress(b"[" + b",".join(b'{"n":%d}' % n for n in range(50_000)) + b"]")


class Memory:
    """A sink that remembers, and can be made to fail."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.data = b""
        self.restarts = 0
        self.error = error

    def restart(self) -> None:
        self.restarts += 1
        self.data = b""

    def write(self, chunk: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.data += chunk


def run(
    url: str, time: FakeTime, sink: Memory, progress: Progress | None = None, **changes: Any
) -> int:
    settings = settings_for(url, **changes)
    source = Bundles(settings, time.timing)
    try:
        return fetch(source, ONE, sink, settings, timing=time.timing, progress=progress)
    finally:
        source.close()


def test_a_bundle_arrives_whole_with_its_progress(time: FakeTime) -> None:
    seen: list[tuple[int, int | None]] = []
    with Scripted(in_turn(Reply(200, GZ))) as server:
        sink = Memory()
        assert run(server.url, time, sink, lambda *at: seen.append(at)) == len(GZ)
    assert sink.data == GZ
    assert sink.restarts == 0
    assert seen == sorted(seen)
    assert seen[-1] == (len(GZ), len(GZ))


@pytest.mark.parametrize("end", ["close", "reset", "hang"])
def test_a_download_that_breaks_starts_again_and_never_half_loads(time: FakeTime, end: str) -> None:
    cut = Reply(200, GZ[: len(GZ) // 2], length=len(GZ), end=end)
    with Scripted(in_turn(cut, cut, Reply(200, GZ))) as server:
        sink = Memory()
        run(server.url, time, sink)
    assert sink.data == GZ
    assert sink.restarts == 2
    assert len(time.slept) == 2


def test_a_download_that_always_breaks_is_given_up_after_the_tries(time: FakeTime) -> None:
    cut = Reply(200, GZ[:100], length=len(GZ), end="close")
    with Scripted(in_turn(cut)) as server:
        with pytest.raises(
            ApiUnavailable, match=f"{ONE.id}.*100 of {len(GZ)} bytes, after 3 tries"
        ):
            run(server.url, time, Memory())
        assert len(server.seen) == 3
    assert all(wait <= cap for wait, cap in zip(time.slept, [30, 60], strict=True))


def test_the_tries_of_one_request_do_not_multiply(time: FakeTime) -> None:
    with Scripted(in_turn(Reply(500))) as server:
        with pytest.raises(ApiUnavailable):
            run(server.url, time, Memory())
        assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("status", "error"), [(404, BundleGone), (401, AccessDenied), (403, AccessDenied)]
)
def test_what_is_permanent_is_asked_for_once(
    time: FakeTime, status: int, error: type[HauserpyError]
) -> None:
    with Scripted(in_turn(Reply(status))) as server:
        with pytest.raises(error):
            run(server.url, time, Memory())
        assert len(server.seen) == 1


def test_a_bundle_that_is_too_slow_is_not_started_again(time: FakeTime) -> None:
    def slow(seen: Seen) -> Reply:
        return Reply(200, GZ)

    with Scripted(slow) as server:
        sink = Memory()
        with pytest.raises(BundleTooSlow):
            run(server.url, time, sink, lambda *at: time.pass_by(8000))
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("code", "error", "exit_code"),
    [
        (errno.ENOSPC, DiskFull, 4),
        (errno.EDQUOT, DiskFull, 4),
        (errno.EROFS, AccessDenied, 5),
        (errno.EACCES, AccessDenied, 5),
        (errno.EIO, TransientError, 4),
    ],
)
def test_a_sink_that_fails_ends_it_with_the_disk_s_own_reason(
    time: FakeTime, code: int, error: type[HauserpyError], exit_code: int
) -> None:
    failing = Memory(OSError(code, "the disk's own words", "/tmp/spool"))
    with Scripted(in_turn(Reply(200, GZ))) as server:
        with pytest.raises(error, match=f"{ONE.id}.*the disk's own words.*/tmp/spool") as caught:
            run(server.url, time, failing)
        assert len(server.seen) == 1
    assert caught.value.exit_code == exit_code
    assert "TmpDir" in caught.value.instruction


def test_what_the_sink_raises_on_purpose_passes_through(time: FakeTime) -> None:
    mine = DiskFull("no room", "make some")
    with Scripted(in_turn(Reply(200, GZ))) as server, pytest.raises(DiskFull) as caught:
        run(server.url, time, Memory(mine))
    assert caught.value is mine


def test_the_mock_s_faults_are_survived_one_after_the_other(time: FakeTime) -> None:
    faults = ["get:429:2", "get:500", "get:hang", "get:cut@60%", "get:reset@10%", "get:hang@90%"]
    with MockApi(
        token=TOKEN, bundles=1, start_time=FIRST, clock=lambda: time.now, faults=faults
    ) as api:
        settings = settings_for(api.url, backoff_steps_max=5)
        source = Bundles(settings, time.timing)
        sink = Memory()
        (bundle,) = source.due(None)
        fetch(source, bundle, sink, settings, timing=time.timing)
        source.close()
        records = api.records()
    assert gzip.decompress(sink.data).count(b"EventStart") >= len(records) > 0


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Type: application/gzip\r\nConte", b""]
)
def test_an_answer_that_ends_within_its_headers_is_no_bundle(time: FakeTime, head: bytes) -> None:
    with Scripted(in_turn(Reply(raw=head, end="close"), Reply(200, GZ))) as server:
        sink = Memory()
        run(server.url, time, sink)
        assert len(server.seen) == 2
    assert sink.data == GZ
