"""What a load on BigQuery does, what it costs, and who wins when several run at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest

from hauserpy.destinations.bigquery import BigQuery, tries
from hauserpy.destinations.bigquery.jobs import JobFailed, Jobs
from hauserpy.entries import EntryKind
from hauserpy.errors import DestinationRefused, DestinationUnavailable, HauserHasRun, LedgerMoved
from hauserpy.fields import catalogue
from hauserpy.layout import CustomVarsKind, Layout, StageFormat
from hauserpy.ledger import Ledger
from hauserpy.model import BEGINNING, ChangeKind, Window
from tests.destinations.bigquery_world import (
    World,
    events,
    expected_texts,
    window,
    yield_to_the_server,
)
from tests.standins.bigquery.fixtures import NOW

Together = Callable[[list[Callable[[], object]]], list[object]]


def waits(requests: list[str]) -> list[str]:
    """Requests in order, the repeated questions after a job's state put together."""
    return [r for n, r in enumerate(requests) if n == 0 or r != requests[n - 1]]


def test_a_bundles_life_costs_one_load_job_one_transaction_and_two_metadata_calls(
    bq: World,
) -> None:
    destination, layout = bq.ready()
    staged = bq.staged(layout, window(0), events(0))
    entry = bq.entry(window(0), staged)
    with bq.server.faults.recorded() as seen:
        destination.load(entry, staged.parts, expected=frozenset(), checkpoint=window(0).stop)
    assert waits(bq.requests(seen)) == [
        "POST /tables",
        "POST /upload/bigquery/v2/jobs?uploadType=multipart",
        "GET /jobs/JOB",
        "POST /jobs",
        "GET /jobs/JOB",
        "DELETE /tables/STAGING",
    ]


def test_a_second_bundle_costs_as_much_as_the_first(bq: World) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    staged = bq.staged(layout, window(1), events(1))
    with bq.server.faults.recorded() as seen:
        destination.load(
            bq.entry(window(1), staged), staged.parts, expected=frozenset(), checkpoint=None
        )
    assert len([r for r in seen if r.method != "GET"]) == 4


def test_an_empty_bundle_costs_one_transaction(bq: World) -> None:
    destination, _ = bq.ready()
    with bq.server.faults.recorded() as seen:
        destination.load(
            bq.entry(window(0), None), (), expected=frozenset(), checkpoint=window(0).stop
        )
    assert waits(bq.requests(seen)) == ["POST /jobs", "GET /jobs/JOB"]
    assert bq.ledger().checkpoint == window(0).stop


def test_jobs_carry_labels_by_which_costs_are_found(bq: World) -> None:
    destination, layout = bq.ready()
    staged = bq.staged(layout, window(0), events(0))
    entry = bq.entry(window(0), staged, bundle="Everyone:2026-11-01T00:00:00Z")
    destination.load(entry, staged.parts, expected=frozenset(), checkpoint=None)
    jobs = [j for j in bq.server.service.jobs.all if entry.load.replace("-", "_") in j.id]
    assert [j.configuration["labels"] for j in jobs] == [
        {"tool": "hauserpy", "bundle": "everyone_2026-11-01t00_00_00z"}
    ] * 2


def test_every_script_begins_with_the_lock_and_names_what_it_deletes(bq: World) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    bq.load(destination, layout, 0, kind=EntryKind.BACKFILL)
    script = bq.scripts()[-1].split(";\n")
    assert script[0] == "BEGIN TRANSACTION"
    assert script[1].startswith("UPDATE") and "_lock`" in script[1]
    (delete,) = [s for s in script if s.startswith("DELETE") and "fs_export" in s]
    assert "`BundleStartTime` = " in delete and "`EventStart` BETWEEN" in delete


def test_the_layout_is_what_load_jobs_take(bq: World) -> None:
    _, layout = bq.ready()
    assert layout.format is StageFormat.JSONL
    assert layout.int64_as_text
    assert layout.custom_vars is CustomVarsKind.TEXT
    assert layout.part_bytes == 256 * 1024 * 1024
    assert [c.name for c in layout.columns][-1] == "BundleStartTime"


def test_rows_know_their_window_and_integers_are_exact(bq: World) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 3)
    rows = bq.sql("SELECT BundleStartTime, UserId FROM fs_export ORDER BY UserId")
    assert rows == [(window(3).start.replace(tzinfo=None), 2**60 + n) for n in range(3)]


def test_several_parts_are_loaded_by_a_job_each(bq: World) -> None:
    destination, layout = bq.ready()
    one, two = (
        bq.staged(layout, window(0), events(0)[:2]),
        bq.staged(layout, window(0), events(0)[2:]),
    )
    parts = [*one.parts, *two.parts]
    entry = bq.entry(window(0), one, records=3)
    destination.load(entry, parts, expected=frozenset(), checkpoint=None)
    assert bq.texts() == expected_texts(0)
    loads = [j for j in bq.server.service.jobs.all if "_load_" in j.id]
    assert len([j for j in loads if entry.load.replace("-", "_") in j.id]) == 2


def test_through_a_bucket_several_objects_go_to_one_job(bq: World) -> None:
    settings = bq.settings(gcs={"bucket": f"{bq.bucket()}/a/path"})
    destination, layout = bq.ready(settings)
    one, two = (
        bq.staged(layout, window(0), events(0)[:2]),
        bq.staged(layout, window(0), events(0)[2:]),
    )
    with bq.server.faults.recorded() as seen:
        destination.load(
            bq.entry(window(0), one, records=3),
            [*one.parts, *two.parts],
            expected=frozenset(),
            checkpoint=None,
        )
    assert bq.texts() == expected_texts(0)
    (job,) = [
        j.configuration["load"] for j in bq.server.service.jobs.all if "load" in j.configuration
        and j.configuration["load"]["destinationTable"]["datasetId"] == bq.dataset
    ]  # fmt: skip
    assert len(job["sourceUris"]) == 2
    assert all(
        u.startswith(f"gs://bucket-{bq.dataset}/a/path/hauserpy~") for u in job["sourceUris"]
    )
    assert len([r for r in seen if "/upload/storage" in r.path]) == 2
    assert bq.objects() == []


def test_custom_variables_can_be_json(bq: World) -> None:
    destination, layout = bq.ready(bq.settings(custom_vars_type="json"))
    assert layout.custom_vars is CustomVarsKind.TYPED
    text = (
        '{"EventStart": "2026-11-01T00:00:00Z", "a_real": 0.1, "b_int": 123456789012345678901234}'
    )
    bq.load(destination, layout, 0, [json.loads(text)])
    ((found,),) = bq.sql("SELECT CustomVars FROM fs_export")
    assert json.loads(found) == {"a_real": 0.1, "b_int": "123456789012345678901234"}
    (entry,) = bq.ledger().entries
    assert entry.changes == {(ChangeKind.NUMBER_AS_TEXT, "CustomVars"): 1}


def test_an_existing_json_column_stays_json_whatever_is_configured(bq: World) -> None:
    bq.ready(bq.settings(custom_vars_type="json"))
    destination, layout = bq.ready(bq.settings(custom_vars_type="string"))
    assert layout.custom_vars is CustomVarsKind.TYPED
    bq.load(destination, layout, 0)
    assert len(bq.texts()) == 3


def test_rows_that_bigquery_does_not_take_are_refused_by_name(bq: World) -> None:
    destination, layout = bq.ready()
    staged = bq.staged(layout, window(0), events(0))
    for part in staged.parts:
        part.path.write_bytes(b'{"UserId": "x"}\n' * 3)
    entry = bq.entry(window(0), staged)
    parts = [replace(p, size=p.path.stat().st_size) for p in staged.parts]
    with pytest.raises(DestinationRefused, match=f"bundle {entry.bundle}: .*integer"):
        destination.load(entry, parts, expected=frozenset(), checkpoint=window(0).stop)
    assert bq.ledger() == Ledger()
    assert bq.leftovers() == []


def test_rows_that_went_missing_on_the_way_are_noticed(bq: World) -> None:
    destination, layout = bq.ready()
    staged = bq.staged(layout, window(0), events(0))
    short = bq.staged(layout, window(0), events(0)[:2])
    parts = [replace(p, records=3) for p in short.parts]
    with pytest.raises(DestinationRefused, match="a different number"):
        destination.load(
            bq.entry(window(0), staged), parts, expected=frozenset(), checkpoint=None
        )  # fmt: skip
    assert bq.texts() == [] and bq.ledger() == Ledger()


def test_events_on_too_many_days_are_refused(bq: World, monkeypatch: pytest.MonkeyPatch) -> None:
    destination, layout = bq.ready()
    monkeypatch.setattr(bq.server.service.loader, "max_partitions", 2)
    days = [{"EventStart": f"200{n}-01-01T00:00:00Z"} for n in range(3)]
    with pytest.raises(DestinationRefused, match="Too many partitions"):
        bq.load(destination, layout, 0, days)
    assert bq.ledger() == Ledger() and bq.leftovers() == []


def test_rows_older_than_their_partitions_are_warned_about(
    bq: World, caplog: pytest.LogCaptureFixture
) -> None:
    destination, layout = bq.ready(bq.settings(partition_expiration=timedelta(days=1)))
    with caplog.at_level(logging.WARNING, "hauserpy.destinations.bigquery"):
        bq.load(destination, layout, 0)
    assert "longer ago than the table's PartitionExpiration" in caplog.text


# Several at once


def test_without_the_lock_two_loads_of_one_window_would_both_commit(bq: World) -> None:
    """What the lock row is for: the same script without it doubles the rows."""
    bq.ready()
    append = (
        "BEGIN TRANSACTION;"
        " ASSERT (SELECT COUNT(*) FROM fs_sync_ledger) = 0 AS 'nobody was here';"
        " DELETE FROM fs_sync_ledger WHERE LoadId = 'replaced';"
        " INSERT INTO fs_sync_ledger (LoadId) VALUES ('x');"
        " COMMIT TRANSACTION"
    )
    gate = bq.server.gates.add("^COMMIT", f"first-{bq.dataset}")
    first = _start(bq, f"first-{bq.dataset}", append)
    assert gate.reached.wait(10)
    second = _start(bq, f"second-{bq.dataset}", append)
    second.done.wait(10)
    gate.release()
    first.done.wait(10)
    assert (first.error, second.error) == (None, None)
    assert bq.sql("SELECT COUNT(*) FROM fs_sync_ledger") == [(2,)]


def _start(bq: World, job_id: str, text: str) -> Any:
    body = {
        "jobReference": {"jobId": job_id, "location": "US"},
        "configuration": {
            "query": {
                "query": text,
                "useLegacySql": False,
                "defaultDataset": {"projectId": bq.server.PROJECT, "datasetId": bq.dataset},
            }
        },
    }
    return bq.server.service._start(bq.server.PROJECT, body, ())


def test_two_runs_at_the_same_window_load_it_once(bq: World) -> None:
    one, layout = bq.ready()
    two, _ = bq.ready()
    theirs = bq.staged(layout, window(0), events(0, tag="b"))
    entry = bq.entry(window(0), theirs)
    gate = bq.server.gates.add("^INSERT INTO .*fs_export", entry.load.replace("-", "_"))
    mine = bq.staged(layout, window(0), events(0))

    def pause(seconds: float) -> None:
        # The other script holds the lock; ours was cancelled, and waits for this long.
        if gate.reached.is_set():
            gate.release()

    blocked = bq.destination(sleep=pause)
    blocked.prepare(catalogue())

    thread = Thread(
        target=lambda: two.load(entry, theirs.parts, expected=frozenset(), checkpoint=None)
    )
    thread.start()
    assert gate.reached.wait(10)
    with pytest.raises(LedgerMoved):
        blocked.load(
            bq.entry(window(0), mine), mine.parts, expected=frozenset(), checkpoint=None
        )  # fmt: skip
    thread.join(10)
    assert bq.texts() == expected_texts(0, tag="b")
    assert [e.load for e in bq.ledger().entries] == [entry.load]
    assert bq.leftovers() == []
    one.close()


def test_two_syncs_and_a_replacing_backfill_at_once(bq: World, together: Together) -> None:
    first, layout = bq.ready()
    for number in range(4):
        bq.load(first, layout, number)

    def sync() -> None:
        destination, layout = bq.ready()
        for number in range(4, 7):
            _load_until_settled(bq, destination, layout, number, kind=EntryKind.SYNC)

    def backfill() -> None:
        destination, layout = bq.ready()
        for number in range(2, 6):
            _load_until_settled(
                bq, destination, layout, number, kind=EntryKind.BACKFILL, replace=True
            )

    together([sync, sync, backfill])
    assert bq.texts() == expected_texts(*range(7))
    ledger = bq.ledger()
    assert [e.window for e in ledger.entries] == [window(n) for n in range(7)]
    assert ledger.checkpoint == window(6).stop
    assert bq.leftovers() == []


def _load_until_settled(
    bq: World,
    destination: BigQuery,
    layout: Layout,
    number: int,
    *,
    kind: EntryKind,
    replace: bool = False,
) -> None:
    """What the engine does: plan again when the ledger has moved."""
    for _ in range(20):
        ledger = destination.ledger()
        expected = ledger.loads_in(window(number))
        if expected and not replace:
            destination.advance(window(number).stop, expected=_between(ledger, number))
            return
        staged = bq.staged(layout, window(number), events(number))
        try:
            destination.load(
                bq.entry(window(number), staged, kind),
                staged.parts,
                expected=expected,
                checkpoint=window(number).stop if kind is EntryKind.SYNC else None,
            )
        except (LedgerMoved, DestinationUnavailable):
            continue
        return
    raise AssertionError("never settled")


def _between(ledger: Ledger, number: int) -> frozenset[str]:
    start = ledger.checkpoint or BEGINNING
    if start >= window(number).stop:
        return frozenset()
    return ledger.loads_in(Window(start, window(number).stop))


def test_a_conflict_that_persists_is_given_up_in_the_end(
    bq: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "_PATIENCE_SECONDS", 5.0)
    destination, layout = bq.ready()
    gate = bq.server.gates.add("^COMMIT", f"holder-{bq.dataset}")
    text = "BEGIN TRANSACTION; UPDATE fs_sync_lock SET LoadId = 'x' WHERE TRUE; COMMIT TRANSACTION"
    _start(bq, f"holder-{bq.dataset}", text)
    assert gate.reached.wait(10)
    with pytest.raises(DestinationUnavailable, match="keep coming first"):
        bq.load(destination, layout, 0)
    gate.release()
    assert bq.leftovers() == []
    bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)


def test_a_large_load_of_another_is_waited_for(bq: World) -> None:
    """BigQuery cancels a transaction that meets another one, and does not have it wait."""
    slept: list[float] = []
    release_after = 12
    gate = bq.server.gates.add("^COMMIT", f"holder-{bq.dataset}")

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(s > 10 for s in slept) == release_after:
            gate.release()
        yield_to_the_server(seconds)

    destination, layout = bq.ready(sleep=sleep)
    text = "BEGIN TRANSACTION; UPDATE fs_sync_lock SET LoadId = 'x' WHERE TRUE; COMMIT TRANSACTION"
    _start(bq, f"holder-{bq.dataset}", text)
    assert gate.reached.wait(10)
    bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)
    assert max(slept) <= 30 and sum(s > 10 for s in slept) >= release_after


@pytest.mark.parametrize("reason", ["quotaExceeded", "dailyLimitExceeded"])
def test_a_quota_that_is_used_up_is_exit_4_and_not_tried_again(
    bq: World, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination, layout = bq.ready()
    begun = []

    def ends(job: Any) -> Any:
        begun.append(job.job_id)
        raise JobFailed(job.job_id, reason, ["Quota exceeded: your project is over it"])

    for kind in ("load", "commit"):
        with monkeypatch.context() as patch:
            wait = Jobs.wait
            patch.setattr(
                Jobs, "wait",
                lambda self, job, kind=kind, wait=wait:
                    ends(job) if f"_{kind}_" in job.job_id else wait(self, job),
            )  # fmt: skip
            with pytest.raises(DestinationUnavailable, match="Quota exceeded") as raised:
                bq.load(destination, layout, 0)
        assert raised.value.exit_code == 4 and "quota" in raised.value.instruction
    assert len(begun) == 2
    assert bq.leftovers() == []


def test_hauser_that_runs_between_plan_and_commit_is_noticed_in_the_transaction(bq: World) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    staged = bq.staged(layout, window(1), events(1))
    bq.hauser_syncs(window(1).stop)
    with pytest.raises(HauserHasRun):
        destination.load(
            bq.entry(window(1), staged),
            staged.parts,
            expected=frozenset(),
            checkpoint=window(1).stop,
        )
    assert bq.texts() == expected_texts(0)


def test_the_ledger_can_be_read_in_sql(bq: World) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    rows = bq.sql("SELECT StartTime, Kind, Records, FirstEvent, LoadedAt FROM fs_sync_ledger")
    start = datetime(2026, 11, 1)
    assert rows == [(start, "sync", 3, start, NOW.astimezone(UTC).replace(tzinfo=None))]
