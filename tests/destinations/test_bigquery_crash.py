"""Whatever dies or gets lost in the middle of a load on BigQuery, the rows are there once."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hauserpy.destinations.bigquery import bucket, staging
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import DestinationUnavailable, LedgerMoved
from hauserpy.fields import catalogue
from hauserpy.ledger import Ledger
from hauserpy.model import Part, Staged
from tests.destinations.bigquery_world import World, events, expected_texts, window
from tests.standins.bigquery.fixtures import NOW

# Every kind of request in a bundle's life.
REQUESTS = {
    "staging table": "^POST .*/tables$",
    "upload": "^POST /upload/bigquery",
    "state of the load job": "^GET .*/jobs/.*_load_",
    "transaction": "^POST .*/jobs$",
    "state of the transaction": "^GET .*/jobs/.*_commit_",
    "staging table dropped": "^DELETE .*/tables",
}
FAULTS: dict[str, dict[str, Any]] = {
    "lost before": {"action": "drop_before"},
    "lost after": {"action": "drop_after"},
    "500": {"action": "status", "status": 500, "reason": "internalError"},
    "503 twice": {"action": "status", "status": 503, "times": 2},
    "429": {"action": "status", "status": 429, "reason": "rateLimitExceeded"},
    "403 of a rate": {"action": "status", "status": 403, "reason": "jobRateLimitExceeded"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_any_request_that_goes_wrong_is_made_again(bq: World, fault: str) -> None:
    destination, layout = bq.ready()
    for number, (request, pattern) in enumerate(REQUESTS.items()):
        struck = bq.server.faults.add(pattern, **FAULTS[fault])
        stored = bq.load(destination, layout, number)
        assert struck.reached.is_set(), request
        bq.server.faults.clear()
        assert stored.window == window(number)
        assert bq.texts() == expected_texts(*range(number + 1)), request
        assert [e.window for e in bq.ledger().entries] == [window(n) for n in range(number + 1)]
        assert bq.leftovers() == [], request


@pytest.mark.parametrize("action", ["drop_before", "drop_after"])
@pytest.mark.parametrize(
    "pattern",
    ["^GET .*/datasets/[^/]+$", "^GET .*/tables/fs_", "^POST .*/tables", "^POST .*/jobs$",
     "^GET .*/jobs/", r"^GET .*/tables\?", "^POST .*/queries"],
)  # fmt: skip
def test_preparing_survives_a_lost_request(bq: World, pattern: str, action: str) -> None:
    fault = bq.server.faults.add(pattern, action)
    bq.ready()
    destination, layout = bq.ready()
    assert fault.reached.is_set()
    bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)
    assert bq.sql("SELECT COUNT(*) FROM fs_sync_lock") == [(1,)]


@pytest.mark.parametrize("forgotten", [False, True])
def test_the_last_answer_of_a_resumable_upload_can_be_lost(
    bq: World, forgotten: bool, tmp_path: Path
) -> None:
    bq.server.service.uploads.forget_finished = forgotten
    destination, _ = bq.ready()
    text = random.Random(7).randbytes(6_000_000).hex()
    content = gzip.compress(json.dumps({"EventTargetText": text}).encode() + b"\n", 1)
    path = tmp_path / "large.jsonl.gz"
    path.write_bytes(content)
    part = Part(path, len(content), 1, zlib.crc32(content))
    fault = bq.server.faults.add("^PUT /upload", "drop_after")
    entry = bq.entry(window(0), None, records=1)
    destination.load(entry, [part], expected=frozenset(), checkpoint=None)
    assert fault.reached.is_set()
    assert bq.texts() == [text]


@pytest.mark.parametrize("pattern", ["storage/v1/b/.*uploadType", "^DELETE .*storage"])
@pytest.mark.parametrize("action", ["drop_before", "drop_after"])
def test_through_a_bucket_lost_requests_are_made_again(
    bq: World, pattern: str, action: str
) -> None:
    destination, layout = bq.ready(bq.settings(gcs={"bucket": bq.bucket()}))
    fault = bq.server.faults.add(pattern, action)
    bq.load(destination, layout, 0)
    assert fault.reached.is_set()
    assert bq.texts() == expected_texts(0)
    assert bq.objects() == [] and bq.leftovers() == []


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("through", [False, True], ids=["direct", "bucket"])
def test_an_upload_whose_session_is_lost_begins_anew(
    bq: World, status: int, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_LARGE", 0)
    monkeypatch.setattr(staging, "_MULTIPART_BELOW", 0)
    # From so many bytes on, Google's clients make an upload resumable.
    monkeypatch.setattr("google.cloud.storage.blob._MAX_MULTIPART_SIZE", 0)
    monkeypatch.setattr("google.cloud.bigquery.client._MAX_MULTIPART_SIZE", 0)
    settings = bq.settings(gcs={"bucket": bq.bucket()}) if through else bq.settings()
    destination, layout = bq.ready(settings)
    fault = bq.server.faults.add("^PUT /upload", "status", status=status, reason="notFound")
    bq.load(destination, layout, 0)
    assert fault.reached.is_set()
    assert bq.texts() == expected_texts(0)


def test_a_404_right_after_a_409_passes(bq: World) -> None:
    destination, layout = bq.ready()
    bq.server.faults.add("^POST .*/jobs$", "drop_after")
    bq.server.faults.add("^GET .*/jobs/", "status", status=404, reason="notFound", skip=2)
    bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)


def test_a_load_job_that_fails_for_a_passing_reason_is_begun_anew(
    bq: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination, layout = bq.ready()
    _failing_once(bq, monkeypatch, "_load", "backendError")
    bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)
    loads = [j.id for j in bq.server.service.jobs.all if "_load_0_" in j.id]
    assert loads[-2].endswith("_0") and loads[-1].endswith("_1")


def test_a_transaction_that_fails_for_a_passing_reason_is_run_anew(
    bq: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination, layout = bq.ready()
    _failing_once(bq, monkeypatch, "_query", "internalError")
    bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)


def test_a_transaction_that_says_it_failed_but_has_committed_is_found_in_the_ledger(
    bq: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination, layout = bq.ready()
    _failing_once(bq, monkeypatch, "_query", "internalError", after=True)
    stored = bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)
    assert [e.load for e in bq.ledger().entries] == [stored.load]


def _failing_once(
    bq: World, monkeypatch: pytest.MonkeyPatch, work: str, reason: str, *, after: bool = False
) -> None:
    from tests.standins.bigquery.errors import Refused

    original = getattr(bq.server.service, work)
    left = [1]

    def once(job: Any, *more: Any, **named: Any) -> Any:
        wanted = "_commit_" in job.id or "_load_" in job.id
        if wanted and left and after:
            original(job, *more, **named)
        if wanted and left:
            left.pop()
            raise Refused(reason, "an error of the service's own")
        return original(job, *more, **named)

    monkeypatch.setattr(bq.server.service, work, once)


def test_when_the_service_stays_away_nothing_is_written_and_a_rerun_loads_it(bq: World) -> None:
    destination, layout = bq.ready()
    bq.server.faults.add("^POST .*/jobs$", "drop_before", times=1000)
    with pytest.raises(DestinationUnavailable):
        bq.load(destination, layout, 0)
    bq.server.faults.clear()
    assert bq.ledger() == Ledger()
    again, layout = bq.ready()
    bq.load(again, layout, 0)
    assert bq.texts() == expected_texts(0)


def test_the_same_entry_after_an_outcome_that_was_never_learnt(bq: World) -> None:
    destination, layout = bq.ready()
    staged = bq.staged(layout, window(0), events(0))
    entry = bq.entry(window(0), staged)
    bq.server.faults.add("^GET .*/jobs/.*_commit_", "drop_before", times=1000)
    bq.server.faults.add("^POST .*/jobs$", "drop_after")
    with pytest.raises(DestinationUnavailable, match="Run again"):
        destination.load(
            entry, staged.parts, expected=frozenset(), checkpoint=window(0).stop
        )  # fmt: skip
    bq.server.faults.clear()
    bq.server.service.jobs.join()
    stored = destination.load(entry, staged.parts, expected=frozenset(), checkpoint=window(0).stop)
    assert stored.load == entry.load
    assert bq.texts() == expected_texts(0)
    assert len(bq.ledger().entries) == 1


# Killed by 9

Killed = Callable[..., None]


@pytest.fixture
def killed(bq: World) -> Killed:
    """Starts a process that loads, waits until it has come to the fault, and kills it."""

    def run(fault: Any, entry: LedgerEntry, staged: Staged, bucket: str = "") -> None:
        orders = {
            "now": NOW.isoformat(),
            "bigquery": {
                "project": bq.server.PROJECT,
                "dataset": bq.dataset,
                "endpoint": bq.server.url,
            },
            "gcs": {"bucket": bucket, "endpoint": bq.server.url},
            "entry": entry.to_json(),
            "parts": [
                {"path": str(p.path), "size": p.size, "records": p.records, "crc32": p.crc32}
                for p in staged.parts
            ],
            "expected": [],
            "checkpoint": window(1).stop.isoformat(),
        }
        root = str(Path(__file__).parents[2])
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.destinations.bigquery_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=os.environ | {"PYTHONPATH": root},
        )
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write(json.dumps(orders))
        worker.stdin.close()
        try:
            assert fault.reached.wait(60)
            worker.kill()
        finally:
            worker.kill()
            worker.wait()
            assert worker.stdout.read() == ""
            worker.stdout.close()

    return run


@pytest.mark.parametrize(
    "pattern",
    ["^POST .*/tables$", "^POST /upload/bigquery", "^GET .*/jobs/.*_load_", "^POST .*/jobs$",
     "^GET .*/jobs/.*_commit_", "^DELETE .*/tables"],
)  # fmt: skip
def test_after_a_kill_9_a_rerun_loads_it_once(bq: World, killed: Killed, pattern: str) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    staged = bq.staged(layout, window(1), events(1))
    entry = bq.entry(window(1), staged)
    fault = bq.server.faults.add(pattern, "hold")
    killed(fault, entry, staged)
    # The request had arrived: the service does it, though nobody waits for the answer.
    fault.release()
    _load_once(bq, entry)
    assert bq.texts() == expected_texts(0, 1)
    assert bq.ledger().checkpoint == window(1).stop
    bq.server.service.jobs.join()
    bq.ready()
    assert bq.leftovers() == []


def _load_once(bq: World, entry: LedgerEntry) -> None:
    """What the next run does; the dead one's script may commit at any moment beside it."""
    for _ in range(10):
        destination, layout = bq.ready()
        ledger = destination.ledger()
        if ledger.loads_in(window(1)):
            return
        try:
            bq.load(destination, layout, 1)
        except LedgerMoved:
            continue
    raise AssertionError("never settled")


def test_a_script_that_outlives_its_client_is_waited_for_and_wins(
    bq: World, killed: Killed
) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    staged = bq.staged(layout, window(1), events(1, tag="dead"))
    entry = bq.entry(window(1), staged)
    gate = bq.server.gates.add("^COMMIT", entry.load.replace("-", "_"))
    killed(gate, entry, staged)

    def cancelled() -> bool:
        jobs = [j for j in bq.server.service.jobs.all if f".{bq.dataset}." in str(j.configuration)]
        return any("concurrent update" in str(j.error) for j in jobs)

    def pause(seconds: float) -> None:
        time.sleep(0.01)
        if cancelled():
            gate.release()
            bq.server.service.jobs.join()

    rerun = bq.destination(sleep=pause)
    layout = rerun.prepare(catalogue())
    assert rerun.ledger().loads_in(window(1)) == frozenset()
    with pytest.raises(LedgerMoved):
        bq.load(rerun, layout, 1)
    assert bq.texts() == sorted(expected_texts(0) + expected_texts(1, tag="dead"))
    assert [e.load for e in bq.ledger().overlapping(window(1))] == [entry.load]
    bq.load(rerun, layout, 1, kind=EntryKind.BACKFILL)
    assert bq.texts() == expected_texts(0, 1)


@pytest.mark.parametrize("pattern", ["/upload/storage", "^POST .*/jobs$"])
def test_objects_of_a_killed_run_are_swept_by_the_next(
    bq: World, killed: Killed, pattern: str
) -> None:
    settings = bq.settings(gcs={"bucket": bq.bucket()})
    _, layout = bq.ready(settings)
    staged = bq.staged(layout, window(1), events(1))
    fault = bq.server.faults.add(pattern, "hold")
    killed(fault, bq.entry(window(1), staged), staged, settings.gcs.bucket)
    bq.server.faults.clear()
    again, layout = bq.ready(settings)
    bq.load(again, layout, 0)
    bq.server.service.jobs.join()
    bq.ready(settings)
    assert bq.objects() == [] and bq.leftovers() == []
    assert bq.texts() == expected_texts(0)
