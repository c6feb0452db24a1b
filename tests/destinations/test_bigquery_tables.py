"""BigQuery's tables: created, extended, gone on with from the Go hauser, never altered otherwise."""

from __future__ import annotations

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest

from hauserpy.destinations.bigquery.schema import quoted
from hauserpy.entries import EntryKind
from hauserpy.errors import DestinationRefused, LedgerUnreadable
from hauserpy.fields import catalogue, table_columns
from tests.destinations.bigquery_world import World, events, expected_texts, window
from tests.standins.bigquery.fixtures import NOW


def columns(bq: World) -> dict[str, tuple[str, str]]:
    described = bq.server.table(bq.dataset, "fs_export")["schema"]["fields"]
    return {f["name"]: (f["type"], f["mode"]) for f in described}


def test_a_new_table_is_partitioned_by_day_and_clustered_by_session(bq: World) -> None:
    bq.ready(bq.settings(partition_expiration=timedelta(days=90)))
    made = bq.server.table(bq.dataset, "fs_export")
    assert made["timePartitioning"] == {
        "type": "DAY", "field": "EventStart", "expirationMs": str(90 * 86_400_000),
    }  # fmt: skip
    assert made["clustering"] == {"fields": ["UserId", "SessionId"]}
    assert {mode for _, mode in columns(bq).values()} == {"NULLABLE"}
    assert columns(bq)["CustomVars"] == ("STRING", "NULLABLE")


def test_without_an_expiration_partitions_stay(bq: World) -> None:
    bq.ready()
    assert "expirationMs" not in bq.server.table(bq.dataset, "fs_export")["timePartitioning"]


OURS = ("fs_export", "fs_sync", "fs_sync_ledger", "fs_sync_lock")


def expiring(bq: World) -> list[str]:
    return [name for name in OURS if "expirationTime" in bq.server.table(bq.dataset, name)]


def test_what_the_dataset_would_delete_in_the_end_stays(bq: World) -> None:
    """Gone together, the tables would be taken for a first run."""
    dataset = bq.server.service.catalog.dataset(bq.server.PROJECT, bq.dataset)
    dataset.table_expiration = 86_400.0
    bq.server.create_table(bq.dataset, "theirs", schema={"fields": []})
    assert "expirationTime" in bq.server.table(bq.dataset, "theirs")
    destination, layout = bq.ready()
    assert expiring(bq) == []
    bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)


def test_of_tables_that_are_there_those_of_the_state_stay_and_the_events_are_warned_of(
    bq: World, caplog: pytest.LogCaptureFixture
) -> None:
    bq.ready()
    soon = {"expirationTime": str(int((NOW + timedelta(days=1)).timestamp() * 1000))}
    for name in OURS:
        found = bq.server.service.catalog.table(bq.server.PROJECT, bq.dataset, name)
        bq.server.service.catalog.patch_table(found, soon, None)
    bq.ready()
    assert expiring(bq) == ["fs_export"], "which is for its owner to say"
    (told,) = [r.getMessage() for r in caplog.records if "expires at" in r.getMessage()]
    assert "fs_export expires at 2026-" in told and "expiration_timestamp = NULL" in told


def test_sync_table_is_hausers_own(bq: World) -> None:
    bq.ready()
    fields = bq.server.table(bq.dataset, "fs_sync")["schema"]["fields"]
    assert [(f["name"], f["type"]) for f in fields] == [
        ("ID", "INTEGER"), ("Processed", "TIMESTAMP"), ("BundleEndTime", "TIMESTAMP"),
    ]  # fmt: skip


def test_two_first_runs_make_one_lock_row(bq: World, together: Any) -> None:
    together([lambda: bq.ready() for _ in range(3)])
    assert bq.sql("SELECT COUNT(*) FROM fs_sync_lock") == [(1,)]


def test_preparing_again_only_reads(bq: World) -> None:
    bq.ready()
    before = bq.server.table(bq.dataset, "fs_export")["etag"]
    with bq.server.faults.recorded() as seen:
        bq.ready()
    changes = [str(r) for r in seen if r.method != "GET" and "/queries" not in r.path]
    assert changes == []
    assert bq.server.table(bq.dataset, "fs_export")["etag"] == before


def test_hausers_table_is_extended_and_its_required_columns_relaxed(bq: World) -> None:
    bq.hauser_table()
    _, layout = bq.ready()
    found = columns(bq)
    assert list(found)[:9] == [
        "EventStart", "IndvId", "UserId", "SessionId", "PageId", "EventType", "EventTargetText",
        "PageAgent", "CustomVars",
    ]  # fmt: skip
    assert {mode for _, mode in found.values()} == {"NULLABLE"}
    assert "PageUserAgent" not in found, "PageAgent serves as it"
    assert len(found) == len(table_columns(catalogue()))
    assert "PageAgent" in {c.name for c in layout.columns}


def test_names_match_in_any_case_and_stay_as_they_are(bq: World) -> None:
    bq.server.create_table(
        bq.dataset,
        "fs_export",
        schema={
            "fields": [
                {"name": "eventstart", "type": "TIMESTAMP"},
                {"name": "EVENTTARGETTEXT", "type": "STRING"},
                {"name": "mine", "type": "BOOL", "mode": "REQUIRED"},
            ]
        },
    )
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    bq.load(destination, layout, 0, events(0, tag="b"), kind=EntryKind.BACKFILL)
    assert bq.texts() == expected_texts(0, tag="b")
    assert list(columns(bq))[:3] == ["eventstart", "EVENTTARGETTEXT", "mine"]
    assert bq.sql("SELECT DISTINCT mine FROM fs_export") == [(None,)]


@pytest.mark.parametrize(
    ("kind", "says"),
    [("STRING", "UserId is string, must be int64"), ("DATE", "UserId is NULLABLE DATE")],
)
def test_a_column_of_the_wrong_type_is_refused_before_anything_is_uploaded(
    bq: World, kind: str, says: str
) -> None:
    bq.server.create_table(
        bq.dataset, "fs_export", schema={"fields": [{"name": "UserId", "type": kind}]}
    )
    with bq.server.faults.recorded() as seen, pytest.raises(DestinationRefused, match=says):
        bq.ready()
    assert [str(r) for r in seen if r.method == "PATCH" or "upload" in r.path] == []


def test_a_schema_that_changes_under_our_hands_is_read_again(bq: World) -> None:
    bq.hauser_table()
    fault = bq.server.faults.add("^PATCH .*fs_export", "hold")

    def meddle(_seconds: float = 0) -> None:
        table = bq.server.service.catalog.table(bq.server.PROJECT, bq.dataset, "fs_export")
        body = {"fields": [*table.fields, {"name": "theirs", "type": "STRING"}]}
        bq.server.service.catalog.patch_table(table, {"schema": body}, None)

    thread = Thread(target=lambda: (fault.reached.wait(10), meddle(), fault.release()))
    thread.start()
    destination, layout = bq.ready()
    thread.join()
    assert {"theirs", "BundleStartTime"} <= set(columns(bq))
    bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)


@pytest.mark.parametrize("action", ["drop_before", "drop_after"])
def test_a_lost_answer_to_a_patch_adds_no_column_twice(bq: World, action: str) -> None:
    bq.hauser_table()
    bq.server.faults.add("^PATCH", action)
    bq.ready()
    assert len(columns(bq)) == len(table_columns(catalogue()))


def test_a_table_of_our_name_that_is_not_ours_is_refused(bq: World) -> None:
    bq.server.create_table(
        bq.dataset, "fs_sync_ledger", schema={"fields": [{"name": "a", "type": "STRING"}]}
    )
    with pytest.raises(DestinationRefused, match="fs_sync_ledger is not hauserpy's"):
        bq.ready()


@pytest.mark.parametrize("lost", ["fs_sync_ledger", "fs_sync_lock"])
def test_a_ledger_of_which_a_table_is_lost_is_unreadable_and_not_made_anew(
    bq: World, lost: str
) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    bq.server.service.catalog.drop_table(bq.server.PROJECT, bq.dataset, lost)
    with pytest.raises(LedgerUnreadable, match=f"{lost} is missing"):
        bq.ledger()
    with pytest.raises(LedgerUnreadable, match=f"{lost} is missing"):
        bq.ready()
    assert lost not in bq.server.tables(bq.dataset)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM fs_sync_lock WHERE TRUE",
        "INSERT INTO fs_sync_lock (LoadId) VALUES ('more')",
        "UPDATE fs_sync_ledger SET Kind = 'state' WHERE TRUE",
        "UPDATE fs_sync_ledger SET Kind = NULL WHERE TRUE",
        "UPDATE fs_sync_ledger SET Version = 99 WHERE TRUE",
        "UPDATE fs_sync_ledger SET Changes = '{' WHERE TRUE",
    ],
)
def test_a_damaged_ledger_is_unreadable_for_reader_and_load(bq: World, damage: str) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    staged = bq.staged(layout, window(0), events(0))
    expected = destination.ledger().loads_in(window(0))
    bq.sql(damage)
    with pytest.raises(LedgerUnreadable):
        bq.ledger()
    if "Changes" not in damage:
        with pytest.raises(LedgerUnreadable):
            destination.load(
                bq.entry(window(0), staged, EntryKind.BACKFILL),
                staged.parts,
                expected=expected,
                checkpoint=None,
            )
    assert bq.texts() == expected_texts(0)


def test_a_ledger_from_the_future_is_told_with_its_table(bq: World) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    bq.sql("UPDATE fs_sync_ledger SET StopTime = TIMESTAMP '2031-01-01 00:00:00' WHERE TRUE")
    with pytest.raises(LedgerUnreadable, match="future") as caught:
        bq.ledger()
    assert str(caught.value).startswith(f"{destination.name}: the ledger reaches to")


def test_an_expiration_that_is_not_the_tables_is_told_and_left(
    bq: World, caplog: pytest.LogCaptureFixture
) -> None:
    bq.ready()
    assert "PartitionExpiration" not in caplog.text
    bq.ready(bq.settings(partition_expiration=timedelta(days=1)))
    assert "PartitionExpiration is 1 day, 0:00:00, but that of table" in caplog.text
    assert "expirationMs" not in bq.server.table(bq.dataset, "fs_export")["timePartitioning"]


def test_a_name_that_would_end_its_backticks_is_never_written(bq: World) -> None:
    with pytest.raises(DestinationRefused, match="Invalid table ID"):
        bq.ready(bq.settings(export_table="x`; DROP TABLE y"))
    with pytest.raises(ValueError, match="not a name"):
        quoted("x`; DROP TABLE y")


def test_a_table_s_name_may_hold_a_space(bq: World) -> None:
    destination, layout = bq.ready(bq.settings(export_table="fs export"))
    staged = bq.staged(layout, window(0), events(0))
    destination.load(
        bq.entry(window(0), staged), staged.parts, expected=frozenset(), checkpoint=None
    )
    assert bq.texts("`fs export`") == expected_texts(0)


def test_a_dataset_that_is_not_there_is_named(bq: World) -> None:
    with pytest.raises(DestinationRefused, match=r"stand-in\.absent"):
        bq.ready(bq.settings(dataset="absent"))


def test_a_location_that_is_not_the_datasets_is_refused(bq: World) -> None:
    with pytest.raises(DestinationRefused, match="is in US, and Location says EU"):
        bq.ready(bq.settings(location="EU"))


def test_jobs_run_where_the_dataset_is(bq: World) -> None:
    far = bq.server.dataset(f"{bq.dataset}_far", "europe-west3")
    destination, layout = bq.ready(bq.settings(dataset=far))
    bq.load(destination, layout, 0)
    found = bq.server.sql("SELECT COUNT(*) FROM fs_export", far, "europe-west3")
    assert found == [(3,)]


# Coming from hauser


def test_hausers_partitions_hold_our_rows_under_the_windows_day(bq: World) -> None:
    bq.hauser_table()
    destination, layout = bq.ready()
    late = [{"EventStart": "2026-11-03T05:00:00Z", "EventTargetText": "late"}]
    bq.load(destination, layout, 23, late)
    rows = bq.sql("SELECT _PARTITIONTIME, EventStart FROM fs_export")
    assert [(f"{p:%m-%d %H}", f"{e:%m-%d %H}") for p, e in rows] == [("11-01 00", "11-03 05")]
    bq.load(destination, layout, 23, kind=EntryKind.BACKFILL)
    assert bq.texts() == expected_texts(23)


def test_what_a_crash_of_hauser_left_goes_with_the_load_of_its_window(bq: World) -> None:
    bq.hauser_table(reach=window(1).stop)
    for number in range(4):
        bq.hauser_loads(number)
    destination, layout = bq.ready()
    assert destination.ledger().checkpoint == window(1).stop
    bq.load(destination, layout, 2)
    assert bq.texts() == sorted(expected_texts(0, 1, 3, tag="h") + expected_texts(2))
    bq.load(destination, layout, 3)
    assert bq.texts() == sorted(expected_texts(0, 1, tag="h") + expected_texts(2, 3))


def test_once_the_leftovers_are_gone_they_are_looked_for_no_more(bq: World) -> None:
    bq.hauser_table(reach=window(1).stop)
    for number in range(3):
        bq.hauser_loads(number)
    destination, layout = bq.ready()
    bq.load(destination, layout, 2)
    again, layout = bq.ready()
    bq.load(again, layout, 3)
    deletes = ["`BundleStartTime` IS NULL AND `EventStart`" in text for text in bq.scripts()]
    assert deletes == [True, False]


def test_a_table_without_partitions_works(bq: World) -> None:
    bq.hauser_table(reach=window(0).stop, partitioned=False)
    destination, layout = bq.ready()
    bq.load(destination, layout, 1)
    bq.load(destination, layout, 1, events(1, tag="b"), kind=EntryKind.BACKFILL)
    assert bq.texts() == expected_texts(1, tag="b")


def test_a_table_that_demands_a_partition_filter_works(bq: World) -> None:
    bq.ready()
    table = bq.server.service.catalog.table(bq.server.PROJECT, bq.dataset, "fs_export")
    table.resource["requirePartitionFilter"] = True
    destination, layout = bq.ready()
    bq.load(destination, layout, 1)
    bq.load(destination, layout, 1, [{}], kind=EntryKind.BACKFILL)
    bq.load(destination, layout, 1, events(1, tag="c"), kind=EntryKind.BACKFILL)
    assert bq.texts() == expected_texts(1, tag="c")
