"""The transaction's SQL: a pure function of the plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hauserpy.destinations.bigquery import plans, schema, script
from hauserpy.destinations.bigquery.plans import Plan, Rows
from hauserpy.destinations.bigquery.schema import Export, Names
from hauserpy.destinations.bigquery.script import Script
from hauserpy.destinations.sql import Stored
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import LedgerMoved
from hauserpy.fields import catalogue, table_columns
from hauserpy.ledger import BASELINE_LOAD, Ledger
from hauserpy.model import BEGINNING, Window

DAY = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = Names.of("p.d", "fs_export", "fs_sync")
EXPORT = Export(table_columns(catalogue()))


def window(first: int, last: int) -> Window:
    return Window(DAY + timedelta(hours=first), DAY + timedelta(hours=last))


def entry(first: int, last: int, load: str, **given: object) -> LedgerEntry:
    made = LedgerEntry(window(first, last), EntryKind.SYNC, "b", load, records=1)
    return replace(made, **given)  # type: ignore[arg-type]


def plan(stored: Stored, new: LedgerEntry, strays_until: datetime | None = None) -> Plan:
    before = stored.ledger("fs_sync")
    return plans.to_load(
        stored, before, new, before.loads_in(new.window), new.window.stop, strays_until,
        scope="{}",
    )  # fmt: skip


def rows(made: Plan) -> Rows:
    assert made.rows is not None
    return made.rows


def text(made: Plan, export: Export = EXPORT, staging: str | None = None) -> list[str]:
    return script.transaction(NAMES, made, export, staging).statements


def test_nothing_is_deleted_for_a_first_load() -> None:
    made = text(plan(Stored(), entry(0, 1, "new")), staging="p.d.s")
    assert [s for s in made if s.startswith("DELETE")] == []
    assert made[0] == "BEGIN TRANSACTION" and made[-1] == "COMMIT TRANSACTION"


def test_values_travel_as_parameters_and_never_in_the_text() -> None:
    nasty = "'; DROP TABLE x; --`\\"
    new = entry(0, 1, nasty, bundle=nasty, reason=nasty)
    made = script.transaction(NAMES, plan(Stored(), new), EXPORT)
    assert "DROP TABLE" not in made.text
    assert nasty in [p.value for p in made.parameters]


def test_replaced_rows_are_found_by_window_and_pruned_by_their_events() -> None:
    when = DAY + timedelta(minutes=5)
    old = entry(0, 1, "old", first_event=when, last_event=when)
    (delete,) = [
        s
        for s in text(plan(Stored((old,)), entry(0, 2, "new")))
        if s.startswith("DELETE FROM `p.d.fs_export`")
    ]
    assert "`BundleStartTime` = @" in delete
    assert "`EventStart` BETWEEN @" in delete and "OR `EventStart` IS NULL" in delete


def test_a_window_without_events_is_deleted_where_events_have_no_time() -> None:
    (delete,) = [
        s for s in text(plan(Stored((entry(0, 1, "old"),)), entry(0, 1, "new")))
        if s.startswith("DELETE FROM `p.d.fs_export`")
    ]  # fmt: skip
    assert delete.endswith("AND `EventStart` IS NULL")


def test_a_window_without_rows_deletes_none() -> None:
    made = text(plan(Stored((entry(0, 1, "old", records=0),)), entry(0, 1, "new")))
    assert [s for s in made if s.startswith("DELETE FROM `p.d.fs_export`")] == []


def test_in_an_ingestion_time_table_partitions_are_named() -> None:
    export = replace(EXPORT, ingestion="DAY")
    made = plan(Stored((entry(0, 1, "old"),)), entry(0, 1, "new"))
    built = text(made, export, "p.d.s")
    (delete,) = [s for s in built if s.startswith("DELETE FROM `p.d.fs_export`")]
    assert "_PARTITIONTIME = @" in delete
    (insert,) = [s for s in built if s.startswith("INSERT INTO `p.d.fs_export`")]
    assert "_PARTITIONTIME)" in insert


def test_first_contact_writes_the_baseline_and_asserts_that_nobody_came_first() -> None:
    stored = Stored(synced=DAY)
    made = plan(stored, entry(0, 1, "new"))
    assert made.seen.adopted == DAY and made.seen.entries == ()
    assert [e.load for e in made.added] == [BASELINE_LOAD, "new"]
    after = plans.stored_after(stored, made)
    assert after.checkpoint == window(0, 1).stop
    assert after.ledger("fs_sync") == Ledger.of(made.added, after.checkpoint)


def test_a_window_cut_out_of_the_baseline_replaces_it_by_its_pieces() -> None:
    stored = Stored(synced=DAY + timedelta(hours=5))
    made = plan(stored, entry(1, 2, "new"))
    assert [(e.load, e.window) for e in made.added] == [
        (BASELINE_LOAD, Window(BEGINNING, DAY + timedelta(hours=1))),
        ("new", window(1, 2)),
        (BASELINE_LOAD, window(2, 5)),
    ]
    assert rows(made).strays and rows(made).window == window(1, 2)
    later = plan(plans.stored_after(stored, made), entry(3, 4, "newer"))
    assert [e.window for e in later.gone] == [window(2, 5)]
    assert [e.window for e in later.added] == [window(2, 3), window(3, 4), window(4, 5)]


@pytest.mark.parametrize(("reach", "strays"), [(None, False), (0.5, False), (1, True), (9, True)])
def test_what_hauser_left_is_deleted_as_far_as_it_reaches(
    reach: float | None, strays: bool
) -> None:
    until = None if reach is None else DAY + timedelta(hours=reach)
    assert rows(plan(Stored(), entry(1, 2, "new"), until)).strays is strays


def test_an_unexpected_ledger_makes_no_plan() -> None:
    stored = Stored((entry(0, 1, "theirs"),))
    with pytest.raises(LedgerMoved):
        plans.to_load(
            stored, stored.ledger("s"), entry(0, 1, "mine"), frozenset(), None, None,
            scope="{}",
        )  # fmt: skip


def test_advancing_keeps_the_entries() -> None:
    stored = Stored((entry(0, 1, "a"), entry(1, 2, "b")), checkpoint=DAY + timedelta(hours=1))
    made = plans.to_advance(
        stored, stored.ledger("s"), "load", DAY + timedelta(hours=2), frozenset({"b"}), scope="{}"
    )
    assert [e.load for e in made.seen.entries] == ["b"] and made.gone == ()
    assert [s for s in text(made) if s.startswith("DELETE")] == []
    assert plans.stored_after(stored, made).checkpoint == DAY + timedelta(hours=2)


@pytest.mark.parametrize(
    ("size", "start"),
    [
        ("HOUR", datetime(2026, 11, 23, 4, tzinfo=UTC)),
        ("DAY", datetime(2026, 11, 23, tzinfo=UTC)),
        ("MONTH", datetime(2026, 11, 1, tzinfo=UTC)),
        ("YEAR", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_partitions_begin_where_bigquery_says(size: str, start: datetime) -> None:
    moment = datetime(2026, 11, 23, 4, 5, 6, 7, tzinfo=UTC)
    assert schema.partition_start(moment, size) == start


@pytest.mark.parametrize("name", ["a`b", "a\\b"])
def test_a_name_cannot_end_its_quotes(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        schema.quoted(name)


def test_parameters_are_numbered_in_order() -> None:
    made = Script()
    assert [made.texts(["b", "a"]), made.texts([])] == ["@p0", "@p1"]
    assert made.parameters[0].value == ["a", "b"]
