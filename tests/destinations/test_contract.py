"""The contract: what every destination promises the engine, checked for each maker in `makers`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import (
    DestinationRefused,
    HauserHasRun,
    HauserpyError,
    LedgerError,
    LedgerMoved,
    LedgerUnreadable,
)
from hauserpy.fields import catalogue
from hauserpy.layout import FieldType, Layout
from hauserpy.ledger import BASELINE_LOAD, Ledger
from hauserpy.model import BEGINNING, ChangeKind, Window
from hauserpy.owner import Owner, host_name
from tests.destinations.bundles import DAY, Run, entry_for, events, hour, hours, texts
from tests.destinations.makers import MAKERS, Backing, maker


@pytest.fixture(params=MAKERS)
def backing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backing]:
    with closing(maker(request.param)(request, tmp_path / "store")) as made:
        yield made


@pytest.fixture
def run(backing: Backing, tmp_path: Path) -> Run:
    return Run(backing.open(), tmp_path)


@pytest.fixture
def other(backing: Backing, run: Run, tmp_path: Path) -> Run:
    """Another run on the same store."""
    return Run(backing.open(), tmp_path)


def names(backing: Backing) -> list[str | None]:
    return sorted((row["EventTargetText"] for row in backing.rows()), key=str)


def committed(backing: Backing) -> tuple[Ledger, list[str | None]]:
    """All that a reader can see: what a failed load must leave as it was."""
    return backing.open().ledger(), names(backing)


def same_entry(stored: LedgerEntry, given: LedgerEntry) -> bool:
    """Apart from what the destination itself puts in."""
    own = {"loaded_at": None, "files": ()}
    return replace(stored, **own) == replace(given, **own)


# --- Once, whole, and in its place ---


def test_before_anything_is_loaded_the_ledger_is_empty(backing: Backing) -> None:
    assert backing.open().ledger() == Ledger()


def test_prepared_twice_it_is_as_prepared_once(backing: Backing, run: Run) -> None:
    run.load(hour(0))
    before = committed(backing)
    assert run.destination.prepare(catalogue()) == run.layout
    assert backing.open().prepare(catalogue()) == run.layout
    assert committed(backing) == before


def test_a_load_brings_rows_entry_and_checkpoint_together(backing: Backing, run: Run) -> None:
    rows = run.stage(hour(0))
    entry = entry_for(hour(0), rows)
    stored = run.destination.load(entry, rows.parts, expected=frozenset(), checkpoint=hour(0).stop)
    assert same_entry(stored, entry)
    ledger = backing.open().ledger()
    assert [same_entry(e, entry) for e in ledger.entries] == [True]
    assert ledger.checkpoint == hour(0).stop
    assert names(backing) == texts(0)
    assert backing.leftovers() == []


def test_every_column_arrives_with_its_value(backing: Backing, run: Run) -> None:
    record = {
        "UserId": 2**63 - 1,
        "IndvId": -(2**63),
        "SessionId": "9007199254740993",
        "EventStart": "2026-11-01T02:30:00.123456+02:00",
        "EventType": "navigate",
        "EventCumulativeLayoutShift": 0.1,
        "PageNumEvents": 2147483647,
        "PageUrl": "",
        "user_big_int": 2**100,
        "evt_list_ints": [1, 2, 3],
        "evt_nested": {"b": None, "a": [{}, ""]},
    }
    run.load(hour(0), [record])
    (row,) = backing.rows()
    custom = json.loads(row.pop("CustomVars") or "null")
    found = {name: value for name, value in row.items() if value is not None}
    assert found == {
        "UserId": "9223372036854775807",
        "IndvId": "-9223372036854775808",
        "SessionId": "9007199254740993",
        "EventStart": "2026-11-01T00:30:00.123456Z",
        "EventType": "navigate",
        "EventCumulativeLayoutShift": "0.1",
        "PageNumEvents": "2147483647",
        "PageUrl": "",
    }
    assert custom == {
        "user_big_int": 2**100,
        "evt_list_ints": [1, 2, 3],
        "evt_nested": {"b": None, "a": [{}, ""]},
    }


def test_an_entry_comes_back_as_it_was_given(backing: Backing, run: Run) -> None:
    rows = run.stage(hour(0))
    entry = entry_for(hour(0), rows, EntryKind.BACKFILL)
    entry.changes.count(ChangeKind.UNFIT, "EventStart", 3)
    entry.changes.count(ChangeKind.NUL_REMOVED, "CustomVars", 1)
    entry = replace(
        entry,
        first_event=hour(0).start + timedelta(microseconds=1),
        last_event=hour(0).stop - timedelta(microseconds=1),
    )
    run.destination.load(entry, rows.parts, expected=frozenset(), checkpoint=None)
    (stored,) = backing.open().ledger().entries
    assert same_entry(stored, entry)


def test_a_window_loaded_again_is_replaced_not_doubled(backing: Backing, run: Run) -> None:
    for number in range(3):
        run.load(hour(number))
    (again,) = run.load(hour(1), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
    assert names(backing) == sorted(texts(0, 2) + texts(1, tag="b"))
    ledger = backing.open().ledger()
    assert [e.window for e in ledger.entries] == [hour(0), hour(1), hour(2)]
    assert ledger.overlapping(hour(1))[0].load == again.load
    assert ledger.checkpoint == hour(2).stop
    assert backing.leftovers() == []


def test_a_window_around_loaded_ones_replaces_them_all(backing: Backing, run: Run) -> None:
    for number in range(4):
        run.load(hour(number))
    run.load(hours(0, 3), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
    assert names(backing) == sorted(texts(0, 1, 2, tag="b") + texts(3))
    assert [e.window for e in backing.open().ledger().entries] == [hours(0, 3), hour(3)]


def test_a_window_around_loaded_ones_fills_only_the_gaps(backing: Backing, run: Run) -> None:
    run.load(hour(1), tag="a")
    made = run.load(hours(0, 3), tag="b")
    assert [e.window for e in made] == [hour(0), hour(2)]
    assert names(backing) == sorted(texts(1, tag="a") + texts(0, 2, tag="b"))
    assert [sum(e.changes.values()) for e in made] == [2, 0], "those left out are counted, once"


def test_a_window_across_a_loaded_one_is_clipped(backing: Backing, run: Run) -> None:
    run.load(hours(0, 2), tag="a")
    (made,) = run.load(hours(1, 3), tag="b")
    assert made.window == hour(2)
    assert names(backing) == sorted(texts(0, 1, tag="a") + texts(2, tag="b"))
    run.load(hours(1, 4), tag="c", kind=EntryKind.BACKFILL, replace_loaded=True)
    assert names(backing) == sorted(texts(0, 1, tag="a") + texts(2, 3, tag="c"))


def test_a_window_inside_a_loaded_one_cannot_cut_it(backing: Backing, run: Run) -> None:
    (loaded,) = run.load(hours(0, 3))
    before = committed(backing)
    rows = run.stage(hour(1), tag="b")
    entry = entry_for(hour(1), rows)
    with pytest.raises(LedgerMoved):
        run.destination.load(entry, rows.parts, expected=frozenset(), checkpoint=None)
    rows = run.stage(hour(1), tag="b")
    with pytest.raises((ValueError, HauserpyError)):
        run.destination.load(
            entry_for(hour(1), rows), rows.parts, expected=frozenset({loaded.load}), checkpoint=None
        )
    assert run.load(hour(1), tag="b") == []
    assert committed(backing) == before
    assert backing.leftovers() == []


def test_neighbours_that_share_a_border_do_not_touch_each_other(backing: Backing, run: Run) -> None:
    on_border = {"EventStart": hour(1).start.isoformat(), "EventTargetText": "border"}
    run.load(hour(0), [*events(hour(0)), on_border])
    run.load(hour(1))
    run.load(hour(1), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
    assert names(backing) == sorted([*texts(0), *texts(1, tag="b"), "border"])
    run.load(hour(0), tag="c", kind=EntryKind.BACKFILL, replace_loaded=True)
    assert names(backing) == sorted(texts(0, tag="c") + texts(1, tag="b"))


def test_rows_without_a_time_or_far_from_their_window_are_replaced_with_it(
    backing: Backing, run: Run
) -> None:
    strays = [
        {"EventTargetText": "timeless"},
        {"EventTargetText": "early", "EventStart": "2020-01-01T00:00:00Z"},
        {"EventTargetText": "late", "EventStart": "2026-11-20T00:00:00Z"},
        {"EventTargetText": "unfit", "EventStart": "yesterday"},
    ]
    run.load(hour(0), [*events(hour(0)), *strays])
    assert len(backing.rows()) == 6
    run.load(hour(0), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
    assert names(backing) == texts(0, tag="b")


def test_windows_within_one_second_stay_apart(backing: Backing, run: Run) -> None:
    middle = DAY + timedelta(microseconds=500_000)
    first, second = Window(DAY, middle), Window(middle, DAY + timedelta(seconds=1))
    run.load(first, [{"EventTargetText": "first", "EventStart": DAY.isoformat()}])
    run.load(second, [{"EventTargetText": "second", "EventStart": middle.isoformat()}])
    assert names(backing) == ["first", "second"]
    assert [e.window for e in backing.open().ledger().entries] == [first, second]


# --- Nothing to load ---


def test_an_empty_bundle_is_an_entry_without_rows(backing: Backing, run: Run) -> None:
    run.load(hour(0), [])
    ledger = backing.open().ledger()
    assert [(e.window, e.records) for e in ledger.entries] == [(hour(0), 0)]
    assert ledger.checkpoint == hour(0).stop
    assert backing.rows() == []
    assert backing.leftovers() == []


def test_an_empty_bundle_replaces_rows_by_nothing(backing: Backing, run: Run) -> None:
    run.load(hour(0))
    run.load(hour(1))
    run.load(hour(0), [], kind=EntryKind.BACKFILL, replace_loaded=True)
    assert names(backing) == texts(1)


def test_what_is_given_up_has_a_reason_and_can_be_loaded_later(backing: Backing, run: Run) -> None:
    reason = "corrupt, ticket 4711; „naïve“ 😀"
    skipped = entry_for(hours(0, 3), None, EntryKind.SKIP, bundle="", reason=reason)
    run.destination.load(skipped, (), expected=frozenset(), checkpoint=hours(0, 3).stop)
    ledger = backing.open().ledger()
    assert [(e.kind, e.reason) for e in ledger.entries] == [(EntryKind.SKIP, reason)]
    assert ledger.checkpoint == hours(0, 3).stop
    assert run.load(hour(1)) == [], "it counts as loaded"
    run.load(hour(1), kind=EntryKind.BACKFILL, replace_loaded=True)
    assert names(backing) == texts(1)
    kinds = [(e.window, e.kind) for e in backing.open().ledger().entries]
    assert kinds == [
        (hour(0), EntryKind.SKIP), (hour(1), EntryKind.BACKFILL), (hour(2), EntryKind.SKIP),
    ]  # fmt: skip


# --- Compare and set ---


def test_the_run_that_comes_second_writes_nothing(backing: Backing, run: Run, other: Run) -> None:
    seen = run.destination.ledger().loads_in(hour(0))
    rows = run.stage(hour(0), tag="late")
    other.load(hour(0), tag="first")
    before = committed(backing)
    with pytest.raises(LedgerMoved):
        run.destination.load(
            entry_for(hour(0), rows), rows.parts, expected=seen, checkpoint=hour(5).stop
        )
    assert committed(backing) == before
    assert backing.leftovers() == []


def test_a_replacement_that_comes_second_writes_nothing(
    backing: Backing, run: Run, other: Run
) -> None:
    run.load(hour(0))
    seen = run.destination.ledger().loads_in(hour(0))
    rows = run.stage(hour(0), tag="late")
    other.load(hour(0), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
    before = committed(backing)
    with pytest.raises(LedgerMoved):
        run.destination.load(entry_for(hour(0), rows), rows.parts, expected=seen, checkpoint=None)
    assert committed(backing) == before


def test_what_was_expected_must_be_there(backing: Backing, run: Run) -> None:
    run.load(hour(1))
    before = committed(backing)
    for expected in (frozenset({str(uuid.uuid4())}), before[0].loads_in(hour(1)) | {"more"}):
        rows = run.stage(hours(0, 2), tag="b")
        entry = entry_for(hours(0, 2), rows)
        with pytest.raises(LedgerMoved):
            run.destination.load(entry, rows.parts, expected=expected, checkpoint=None)
    assert committed(backing) == before
    assert backing.leftovers() == []


def test_the_same_entry_twice_is_loaded_once(backing: Backing, run: Run) -> None:
    rows = run.stage(hour(0))
    entry = entry_for(hour(0), rows)
    first = run.destination.load(entry, rows.parts, expected=frozenset(), checkpoint=hour(0).stop)
    again = [run.destination, backing.open()]
    again[1].prepare(catalogue())
    for destination in again:
        stored = destination.load(entry, rows.parts, expected=frozenset(), checkpoint=hour(0).stop)
        assert same_entry(stored, first)
    assert names(backing) == texts(0)
    assert len(backing.open().ledger().entries) == 1
    assert backing.leftovers() == []


def test_an_entry_that_was_replaced_meanwhile_does_not_come_back(
    backing: Backing, run: Run, other: Run
) -> None:
    rows = run.stage(hour(0))
    entry = entry_for(hour(0), rows)
    run.destination.load(entry, rows.parts, expected=frozenset(), checkpoint=None)
    other.load(hour(0), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
    before = committed(backing)
    late = run.stage(hour(0))
    with pytest.raises(LedgerMoved):
        run.destination.load(entry, late.parts, expected=frozenset(), checkpoint=None)
    assert committed(backing) == before


def test_of_runs_at_once_each_window_is_loaded_by_one(
    backing: Backing, run: Run, other: Run
) -> None:
    numbers = range(4)
    runs = {"a": run, "b": other}
    barrier = threading.Barrier(len(runs))

    def load_all(tag: str) -> dict[int, str]:
        mine = runs[tag]
        staged = {n: mine.stage(hour(n), tag=tag) for n in numbers}
        won = {}
        barrier.wait(30)
        for n in numbers if tag == "a" else reversed(numbers):
            entry = entry_for(hour(n), staged[n], EntryKind.BACKFILL)
            with suppress(LedgerMoved):
                mine.destination.load(entry, staged[n].parts, expected=frozenset(), checkpoint=None)
                won[n] = entry.load
        return won

    with ThreadPoolExecutor(len(runs)) as threads:
        futures = {tag: threads.submit(load_all, tag) for tag in runs}
        won = {tag: future.result(90) for tag, future in futures.items()}
    assert sorted([*won["a"], *won["b"]]) == list(numbers), "each window has one winner"
    assert names(backing) == sorted(t for tag in won for t in texts(*won[tag], tag=tag))
    loads = {e.load for e in backing.open().ledger().entries}
    assert loads == {*won["a"].values(), *won["b"].values()}
    assert backing.leftovers() == []


# --- Checkpoint ---


def test_the_checkpoint_never_decreases_and_backfill_leaves_it(backing: Backing, run: Run) -> None:
    def checkpoint() -> Any:
        return backing.open().ledger().checkpoint

    run.load(hour(4), kind=EntryKind.BACKFILL)
    assert checkpoint() is None
    run.load(hour(3))
    run.load(hour(1))
    assert checkpoint() == hour(3).stop
    run.load(hour(5), kind=EntryKind.BACKFILL)
    assert checkpoint() == hour(3).stop
    run.destination.advance(hour(2).stop, expected=frozenset())
    assert checkpoint() == hour(3).stop


def test_sync_advances_over_what_a_backfill_has_loaded(backing: Backing, run: Run) -> None:
    run.load(hour(0))
    (ahead,) = run.load(hour(1), kind=EntryKind.BACKFILL)
    with pytest.raises(LedgerMoved):
        run.destination.advance(hour(1).stop, expected=frozenset({"what was there before"}))
    assert backing.open().ledger().checkpoint == hour(0).stop
    for _ in range(2):
        run.destination.advance(hour(1).stop, expected=frozenset({ahead.load}))
        assert backing.open().ledger().checkpoint == hour(1).stop
    assert names(backing) == texts(0, 1)
    assert backing.hauser_checkpoint() == hour(1).stop


def test_a_first_checkpoint_can_be_set_before_anything_is_loaded(
    backing: Backing, run: Run
) -> None:
    run.destination.advance(hour(0).start, expected=frozenset())
    assert backing.open().ledger() == Ledger((), hour(0).start)


def test_the_checkpoint_keeps_its_microseconds(backing: Backing, run: Run) -> None:
    odd = DAY + timedelta(microseconds=123_457)
    run.load(Window(DAY, odd), [])
    assert backing.open().ledger().checkpoint == odd


# --- What is refused ---


@pytest.mark.parametrize("off", [-1, 1])
def test_rows_that_do_not_add_up_are_refused(backing: Backing, run: Run, off: int) -> None:
    run.load(hour(0))
    before = committed(backing)
    rows = run.stage(hour(0), tag="b")
    entry = entry_for(hour(0), rows, EntryKind.BACKFILL, records=rows.records + off)
    with pytest.raises(DestinationRefused):
        run.destination.load(
            entry, rows.parts, expected=before[0].loads_in(hour(0)), checkpoint=hour(3).stop
        )
    assert committed(backing) == before
    assert backing.leftovers() == []


def test_a_ledger_that_makes_no_sense_is_never_taken_for_an_empty_one(
    backing: Backing, run: Run
) -> None:
    run.load(hour(0))
    rows = run.stage(hour(1))
    backing.spoil_ledger()
    with pytest.raises(LedgerUnreadable):
        backing.open().ledger()
    for destination in (run.destination, backing.open()):
        with pytest.raises(LedgerError):
            destination.load(
                entry_for(hour(1), rows), rows.parts, expected=frozenset(), checkpoint=None
            )
        with pytest.raises(LedgerError):
            destination.advance(hour(1).stop, expected=frozenset())
    assert names(backing) == texts(0)


# --- Hostile values ---

HOSTILE = [
    "", " ", "  both  ", "\t", "\n", "\r", "\r\n", "\n\n", "a\rb", "a\nb,c\nd", '"', '""', '"""',
    '"a"b', 'a"', "'", "''", "a,b", ",", "a;b", "|", "\\", "\\\\", "a\\", '\\"', "\\N", "\\n",
    "\\000", "\\0", "\\x00", "NULL", "null", "None", "nil", "<nil>", "NaN", "true", "0", "-0", "1e5",
    "=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "%s", "%00", "{}", "[]", "{", "${x}",
    "$1", "--", "/* */", "; DROP TABLE fsexport", "</script>", "&amp;", "#", "2026-11-01T00:00:00Z",
    "\x01", "\x08", "\x1a", "\x1b[31m", "\x1c", "\x1f", "\x7f", "\x80", "\x85", "\xa0", "\u200b",
    "\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff", "\U0010ffff", "é", "e\u0301", "😀",
    "👨\u200d👩\u200d👧", "\u202eabc", "ﷺ", "İ", "ß", "a" * 70_000, "é" * 35_000, "x" + "😀" * 17_500,
    '"' * 70_000, "\n" * 70_000,
]  # fmt: skip


def fitting(layout: Layout, name: str, value: str) -> str:
    """The value as the column can hold it: cut to its bytes between characters."""
    (column,) = (c for c in layout.columns if c.field == name)
    if column.max_bytes is None:
        return value
    return value.encode()[: column.max_bytes].decode(errors="ignore")


def test_hostile_texts_come_back_as_they_were(backing: Backing, run: Run) -> None:
    records = [
        {"EventTargetText": value, "PageUrl": value, "UserId": number}
        for number, value in enumerate(HOSTILE)
    ]
    run.load(hour(0), records)
    found = {row["UserId"]: row for row in backing.rows()}
    assert len(found) == len(HOSTILE)
    for number, value in enumerate(HOSTILE):
        for name in ("EventTargetText", "PageUrl"):
            assert found[str(number)][name] == fitting(run.layout, name, value), value[:50]


def test_hostile_custom_variables_come_back_as_they_were(backing: Backing, run: Run) -> None:
    short = [value for value in HOSTILE if len(value) < 1000]
    records: list[dict[str, Any]] = [
        {"UserId": number, "user_a_str": value, f"evt_{value}_str": [value, {value: None}]}
        for number, value in enumerate(short)
    ]
    run.load(hour(0), records)
    found = {row["UserId"]: row["CustomVars"] for row in backing.rows()}
    for number, value in enumerate(short):
        expected = {"user_a_str": value, f"evt_{value}_str": [value, {value: None}]}
        assert json.loads(found[str(number)] or "") == expected


def test_what_no_text_can_hold_is_replaced_and_nulls_stay_apart(backing: Backing, run: Run) -> None:
    values: list[Any] = ["a\0b", "\0", "a\ud83db", "\ud83d", None, ""]
    records = [
        {"UserId": n, "EventTargetText": value, "user_a_str": value}
        for n, value in enumerate(values)
    ]
    run.load(hour(0), records)
    rows = sorted(backing.rows(), key=lambda row: int(row["UserId"] or 0))
    assert [row["EventTargetText"] for row in rows] == ["ab", "", "a\ufffdb", "\ufffd", None, ""]
    custom = [json.loads(row["CustomVars"] or "")["user_a_str"] for row in rows]
    assert custom == ["ab", "", "a\ufffdb", "\ufffd", None, ""]
    (entry,) = backing.open().ledger().entries
    assert entry.changes == {
        (ChangeKind.NUL_REMOVED, "EventTargetText"): 2,
        (ChangeKind.NUL_REMOVED, "CustomVars"): 2,
        (ChangeKind.SURROGATE_REPLACED, "EventTargetText"): 2,
        (ChangeKind.SURROGATE_REPLACED, "CustomVars"): 2,
    }


def test_a_record_without_anything_is_a_row_of_nulls(backing: Backing, run: Run) -> None:
    run.load(hour(0), [{}, {}])
    texts_ = [f.name for f in catalogue() if f.type is not FieldType.CUSTOM_VARS]
    for row in backing.rows():
        assert json.loads(row["CustomVars"] or "null") == {}
        assert {row.get(name) for name in texts_} == {None}
    assert len(backing.rows()) == 2


# --- Coming from the Go hauser, and going back ---


@pytest.fixture
def hauser(backing: Backing) -> Backing:
    """A store in which the Go hauser has loaded three hours."""
    for number in range(3):
        backing.hauser_loads(hour(number), events(hour(number), "h"))
    return backing


def test_hausers_checkpoint_becomes_the_baseline(hauser: Backing) -> None:
    ledger = hauser.open().ledger()
    assert ledger.checkpoint == hour(2).stop
    (baseline,) = ledger.entries
    assert (baseline.kind, baseline.load) == (EntryKind.HAUSER, BASELINE_LOAD)
    assert baseline.window == Window(BEGINNING, hour(2).stop)


def test_sync_goes_on_where_hauser_stopped(hauser: Backing, run: Run) -> None:
    assert run.load(hour(2)) == [], "hauser has loaded it"
    run.load(hour(3))
    assert names(hauser) == sorted(texts(0, 1, 2, tag="h") + texts(3))
    ledger = hauser.open().ledger()
    assert [e.kind for e in ledger.entries] == [EntryKind.HAUSER, EntryKind.SYNC]
    assert ledger.checkpoint == hauser.hauser_checkpoint() == hour(3).stop


def test_a_bundle_across_the_baseline_is_clipped_there(hauser: Backing, run: Run) -> None:
    run.load(hours(1, 5))
    assert names(hauser) == sorted(texts(0, 1, 2, tag="h") + texts(3, 4))


def test_hauser_running_again_stops_us(hauser: Backing, run: Run) -> None:
    run.load(hour(3))
    rows = run.stage(hour(5))
    hauser.hauser_loads(hour(4), events(hour(4), "h"))
    with pytest.raises(HauserHasRun):
        hauser.open().ledger()
    with pytest.raises(HauserHasRun):
        run.destination.load(
            entry_for(hour(5), rows), rows.parts, expected=frozenset(), checkpoint=None
        )
    assert names(hauser) == sorted(texts(0, 1, 2, 4, tag="h") + texts(3))


def test_hauser_running_after_our_first_backfill_is_noticed(backing: Backing, run: Run) -> None:
    run.load(hour(0), kind=EntryKind.BACKFILL)
    backing.hauser_loads(hour(1), events(hour(1), "h"))
    with pytest.raises(HauserHasRun):
        backing.open().ledger()


def test_a_backfill_below_the_baseline_replaces_or_is_refused(hauser: Backing, run: Run) -> None:
    if run.destination.replaces_baseline:
        run.load(hour(1), kind=EntryKind.BACKFILL, replace_loaded=True)
        assert names(hauser) == sorted(texts(0, 2, tag="h") + texts(1))
        run.load(hour(1), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
        assert names(hauser) == sorted(texts(0, 2, tag="h") + texts(1, tag="b"))
    else:
        before = committed(hauser)
        with pytest.raises(DestinationRefused):
            run.load(hour(1), kind=EntryKind.BACKFILL, replace_loaded=True)
        assert committed(hauser) == before
    assert hauser.open().ledger().checkpoint == hour(2).stop
    assert hauser.leftovers() == []


# --- Leftovers ---


@pytest.fixture(scope="session")
def dead_pid() -> int:
    """Of a process of this machine that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_leftovers_of_dead_runs_are_swept_and_those_of_living_ones_kept(
    backing: Backing, run: Run, dead_pid: int
) -> None:
    run.load(hour(0))
    assert backing.leftovers() == []
    dead = Owner(host_name(), dead_pid, str(uuid.uuid4()))
    backing.plant_leftover(dead)
    assert len(backing.leftovers()) == 1
    alive = [
        Owner(host_name(), os.getppid(), str(uuid.uuid4())),
        Owner("another-host", dead_pid, str(uuid.uuid4())),
        # In another container of this host.
        Owner(host_name(), dead_pid, str(uuid.uuid4()), "0badc0de"),
    ]
    for owner in alive:
        backing.plant_leftover(owner)
    backing.open().prepare(catalogue())
    assert len(backing.leftovers()) == 3
    run.load(hour(1))
    assert len(backing.leftovers()) == 3
    assert names(backing) == texts(0, 1)


# --- The end ---


def test_it_can_be_closed_twice_and_after_an_error(backing: Backing, tmp_path: Path) -> None:
    backing.open().close()
    run = Run(backing.open(), tmp_path)
    rows = run.stage(hour(0))
    entry = entry_for(hour(0), rows, records=99)
    with pytest.raises(DestinationRefused):
        run.destination.load(entry, rows.parts, expected=frozenset(), checkpoint=None)
    run.destination.close()
    run.destination.close()


def test_its_name_tells_which_it_is(backing: Backing) -> None:
    name = backing.open().name
    assert name and "\n" not in name
