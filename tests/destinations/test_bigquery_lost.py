"""Rows on BigQuery of which the ledger does not know any more: replaced, not doubled, and cheaply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hauserpy.destinations.bigquery import plans, script
from hauserpy.destinations.bigquery.schema import Export, Names
from hauserpy.destinations.sql import Stored
from hauserpy.entries import EntryKind
from hauserpy.fields import catalogue, table_columns
from tests.destinations.bigquery_world import DAY, World, events, expected_texts, window

FORGET = "DELETE FROM fs_sync_ledger WHERE Kind = 'sync'"


def _own(bq: World) -> None:
    """The table that hauserpy makes: partitioned by EventStart."""


def _hausers(bq: World) -> None:
    bq.hauser_table()


def _without_partitions(bq: World) -> None:
    bq.hauser_table(partitioned=False)


@pytest.mark.parametrize("table", [_own, _hausers, _without_partitions])
def test_rows_of_a_window_that_the_ledger_has_lost_are_replaced(
    bq: World, table: Callable[[World], None]
) -> None:
    table(bq)
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    bq.load(destination, layout, 1)
    bq.sql(FORGET)
    again, layout = bq.ready()
    bq.load(again, layout, 1, events(1, tag="b"), kind=EntryKind.BACKFILL)
    assert bq.texts() == sorted(expected_texts(0) + expected_texts(1, tag="b"))
    assert [e.window for e in bq.ledger().entries] == [window(1)]


def test_a_sync_that_comes_again_replaces_them_as_well(bq: World) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    bq.sql("DELETE FROM fs_sync_ledger WHERE TRUE")
    bq.sql("DELETE FROM fs_sync WHERE TRUE")
    bq.sql("UPDATE fs_sync_lock SET Checkpoint = TIMESTAMP('2026-11-01 00:00:00') WHERE TRUE")
    again, layout = bq.ready()
    bq.load(again, layout, 0, events(0, tag="b"))
    assert bq.texts() == expected_texts(0, tag="b")


def test_smaller_windows_and_events_without_a_time_or_outside_are_replaced_too(bq: World) -> None:
    records: list[dict[str, Any]] = [
        *events(0),
        {"EventTargetText": "no time"},
        {"EventTargetText": "early", "EventStart": "2026-10-20T00:00:00Z"},
        {"EventTargetText": "late", "EventStart": "2026-11-09T00:00:00Z"},
    ]
    destination, layout = bq.ready()
    bq.load(destination, layout, 0, records[:3])
    bq.load(destination, layout, 1, records[3:])
    bq.sql(FORGET)
    again, layout = bq.ready()
    bq.load(again, layout, 0, records, where=window(0, hours=2), kind=EntryKind.BACKFILL)
    assert bq.texts() == sorted([*expected_texts(0), "early", "late", "no time"])


def test_a_window_that_is_given_up_keeps_no_rows_that_nobody_knows(bq: World) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    bq.sql(FORGET)
    again, _ = bq.ready()
    entry = bq.entry(window(0), None, EntryKind.SKIP, reason="gone")
    again.load(entry, [], expected=frozenset(), checkpoint=None)
    assert bq.texts() == []


def test_rows_of_other_windows_and_of_hauser_stay(bq: World) -> None:
    bq.hauser_table(reach=window(5).start)
    for number in range(3):
        bq.hauser_loads(number)
    destination, layout = bq.ready()
    for number in (5, 6, 7):
        bq.load(destination, layout, number)
    bq.sql("DELETE FROM fs_sync_ledger WHERE Kind = 'sync'")
    again, layout = bq.ready()
    bq.load(again, layout, 6, kind=EntryKind.BACKFILL)
    assert bq.texts() == sorted(expected_texts(0, 1, 2, tag="h") + expected_texts(5, 6, 7))


def test_a_checkpoint_with_an_empty_ledger_is_a_first_run_like_any_other(bq: World) -> None:
    destination, layout = bq.ready()
    destination.advance(window(0).start, expected=frozenset())
    bq.load(destination, layout, 0)
    assert bq.texts() == expected_texts(0)
    assert bq.ledger().checkpoint == window(0).stop


def _statements(export: Export, kind: EntryKind) -> list[str]:
    entry = replace(World.entry(None, window(1), None, kind), first_event=DAY)  # type: ignore[arg-type]
    plan = plans.to_load(
        Stored(), Stored().ledger("s"), entry, frozenset(), None, None,
        scope="{}", look=plans.looks_for_lost(export, kind),
    )  # fmt: skip
    return script.transaction(NAMES, plan, export).statements


EXPORT = Export(table_columns(catalogue()))
NAMES = Names.of("p.d", "fs_export", "fs_sync")


def test_what_is_not_there_is_looked_for_in_few_columns_and_not_deleted() -> None:
    """A DELETE is billed by all columns of its partitions, even when it finds nothing."""
    made = _statements(EXPORT, EntryKind.SYNC)
    assert not [s for s in made if s.startswith("DELETE")]
    (look,) = [s for s in made if s.startswith("IF")]
    assert look.startswith("IF EXISTS (SELECT 1 FROM `p.d.fs_export` WHERE ")
    assert "THEN DELETE FROM `p.d.fs_export` WHERE " in look
    assert made[made.index(look) + 1] == "END IF"
    condition = look.partition(" WHERE ")[2].partition(") THEN")[0]
    assert "`EventStart` BETWEEN @" in condition and "OR `EventStart` IS NULL" in condition


def test_the_partitions_to_look_in_are_named_by_constants() -> None:
    (look,) = [
        s
        for s in _statements(replace(EXPORT, ingestion="DAY"), EntryKind.SYNC)
        if s.startswith("IF")
    ]
    assert look.count("_PARTITIONTIME BETWEEN @") == 2 and "`EventStart`" not in look


@pytest.mark.parametrize(
    ("kind", "looks"),
    [(EntryKind.SYNC, False), (EntryKind.BACKFILL, True), (EntryKind.SKIP, True)],
)
def test_where_no_partition_can_be_spared_sync_does_not_look(kind: EntryKind, looks: bool) -> None:
    made = _statements(replace(EXPORT, prunes=False), kind)
    assert bool([s for s in made if s.startswith("IF")]) is looks


def test_the_reach_is_that_of_the_window_and_of_the_events() -> None:
    entry = World.entry(None, window(1), None, EntryKind.BACKFILL)  # type: ignore[arg-type]
    stray = replace(entry, first_event=DAY - timedelta(days=3), last_event=DAY)
    plan = plans.to_load(
        Stored(), Stored().ledger("s"), stray, frozenset(), None, None, scope="{}", look=True
    )
    assert plan.rows is not None
    assert plan.rows.reach == (DAY - timedelta(days=3), window(1).stop)
