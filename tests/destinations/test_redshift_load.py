"""A load on Redshift is whole or nothing, once or not at all, and leaves nothing behind."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from hauserpy.entries import EntryKind
from hauserpy.errors import DestinationRefused, HauserpyError, LedgerMoved, LedgerUnreadable
from hauserpy.fields import catalogue
from hauserpy.ledger import Ledger
from hauserpy.model import ChangeKind, Changes
from tests.destinations.redshift_world import DAY, NOW, World, events, expected_texts, window


def test_before_the_first_prepare_the_ledger_is_empty_and_nothing_is_made(world: World) -> None:
    assert world.ledger() == Ledger()
    assert world.standin.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_load_brings_rows_entry_and_checkpoint(world: World) -> None:
    destination, layout = world.ready()
    stored = world.load(destination, layout, 0)
    assert stored.records == 3 and stored.loaded_at == NOW
    assert world.texts() == expected_texts(0)
    assert world.standin.sql("SELECT DISTINCT bundlestarttime FROM fsexport") == [
        (window(0).start.replace(tzinfo=None),)
    ]
    assert world.ledger() == Ledger((stored,), window(0).stop)
    assert world.sync_rows() == [
        (int(window(0).start.timestamp()), window(0).stop.replace(tzinfo=None))
    ]
    assert world.objects() == []


def test_preparing_twice_changes_nothing_more(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    world.standin.log.clear()
    assert destination.prepare(catalogue()) == layout
    assert not [s for s in world.standin.log if not s.startswith("SELECT")]
    assert world.ready()[1] == layout


def test_the_lock_is_taken_before_anything_else_in_the_transaction(world: World) -> None:
    destination, layout = world.ready()
    world.standin.log.clear()
    world.load(destination, layout, 0)
    begin = world.standin.log.index("BEGIN")
    verbs = [s.split()[0] for s in world.standin.log[begin:]]
    assert verbs == [
        "BEGIN", "LOCK", "SELECT", "SELECT", "DELETE", "COPY", "SELECT", "INSERT", "INSERT",
        "INSERT", "INSERT", "COMMIT",
    ]  # fmt: skip


def test_the_same_entry_twice_is_loaded_once(world: World) -> None:
    destination, layout = world.ready()
    staged = world.staged(layout, window(0), events(0))
    entry = world.entry(window(0), staged)
    for _ in range(2):
        stored = destination.load(
            entry, staged.parts, expected=frozenset(), checkpoint=window(0).stop
        )
        assert stored.load == entry.load
    assert world.texts() == expected_texts(0)
    assert len(world.sync_rows()) == 1


def test_a_window_that_is_loaded_again_is_replaced(world: World) -> None:
    destination, layout = world.ready()
    for number in range(3):
        world.load(destination, layout, number)
    again = world.load(destination, layout, 1, events(1, 2, "b"), kind=EntryKind.BACKFILL)
    assert world.texts() == sorted(expected_texts(0, 2) + expected_texts(1, count=2, tag="b"))
    ledger = world.ledger()
    assert [e.load for e in ledger.overlapping(window(1))] == [again.load]
    assert ledger.checkpoint == window(2).stop
    whole = world.load(
        destination, layout, 0, events(0, 4, "c"), where=window(0, 3), kind=EntryKind.BACKFILL
    )
    assert world.texts() == expected_texts(0, count=4, tag="c")
    assert world.ledger().entries == (whole,)


def test_rows_outside_their_window_are_replaced_with_it(world: World) -> None:
    destination, layout = world.ready()
    strays = [
        {"EventTargetText": "none"},
        {"EventTargetText": "far", "EventStart": "2020-01-01T00:00:00Z"},
    ]
    world.load(destination, layout, 0, strays)
    world.load(destination, layout, 1)
    world.load(destination, layout, 0, events(0), kind=EntryKind.BACKFILL)
    assert world.texts() == expected_texts(0, 1)


def test_others_than_expected_and_nothing_is_written(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    before = world.ledger()
    staged = world.staged(layout, window(0), events(0, tag="b"))
    with pytest.raises(LedgerMoved):
        destination.load(
            world.entry(window(0), staged),
            staged.parts,
            expected=frozenset({"another"}),
            checkpoint=None,
        )
    assert world.ledger() == before
    assert world.texts() == expected_texts(0)
    assert world.objects() == []
    world.load(destination, layout, 1)


def test_the_checkpoint_never_decreases_and_backfill_leaves_it(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 5)
    world.load(destination, layout, 2, kind=EntryKind.BACKFILL)
    world.load(destination, layout, 1)
    assert world.ledger().checkpoint == window(5).stop
    assert len(world.sync_rows()) == 1


def test_sync_advances_over_what_a_backfill_has_loaded(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    loaded = world.load(destination, layout, 1, kind=EntryKind.BACKFILL)
    with pytest.raises(LedgerMoved):
        destination.advance(window(1).stop, expected=frozenset())
    for _ in range(2):
        destination.advance(window(1).stop, expected=frozenset({loaded.load}))
        assert world.ledger().checkpoint == window(1).stop
        assert [r[0] for r in world.sync_rows()] == [int(window(0).start.timestamp()), -1]
    destination.advance(window(0).stop, expected=frozenset())
    assert world.ledger().checkpoint == window(1).stop


def test_an_empty_bundle_and_a_skip_upload_nothing(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0, [])
    why = "gone, said o'Hara\\ \0 " + "🙂" * 3000
    skip = world.entry(window(1), None, EntryKind.SKIP, reason=why)
    stored = destination.load(skip, (), expected=frozenset(), checkpoint=window(1).stop)
    assert stored.reason.startswith("gone, said o'Hara\\  🙂")
    assert len(stored.reason.encode()) in range(4090, 4097)
    assert world.ledger().entries[1] == stored
    assert not [s for s in world.standin.log if s.startswith("COPY")]
    assert world.texts() == []


def test_a_skip_needs_no_prepare(world: World) -> None:
    destination = world.destination()
    skip = world.entry(window(1), None, EntryKind.SKIP, reason="gone")
    destination.load(skip, (), expected=frozenset(), checkpoint=None)
    assert world.ledger().entries[0].reason == "gone"


def test_what_was_changed_is_in_the_ledger(world: World) -> None:
    destination, layout = world.ready()
    record = {"EventStart": "yesterday", "EventTargetText": "a\0b", "PageNumErrors": "x"}
    stored = world.load(destination, layout, 0, [record])
    assert stored.changes == Changes(
        {
            (ChangeKind.UNFIT, "EventStart"): 1,
            (ChangeKind.UNFIT, "PageNumErrors"): 1,
            (ChangeKind.NUL_REMOVED, "EventTargetText"): 1,
        }
    )
    assert world.ledger().entries == (stored,)


def test_rows_that_do_not_arrive_roll_the_load_back(world: World) -> None:
    destination, layout = world.ready()
    staged = world.staged(layout, window(0), events(0))
    parts = [replace(part, records=part.records + 1) for part in staged.parts]
    entry = replace(world.entry(window(0), staged), records=staged.records + 1)
    with pytest.raises(DestinationRefused, match=r"4 rows were staged and Redshift loaded 3"):
        destination.load(entry, parts, expected=frozenset(), checkpoint=window(0).stop)
    with pytest.raises(DestinationRefused, match=r"4 records were read and 3 rows"):
        destination.load(entry, staged.parts, expected=frozenset(), checkpoint=window(0).stop)
    assert world.texts() == [] and world.ledger() == Ledger() and world.objects() == []


def test_a_part_that_was_damaged_on_disk_is_not_loaded(world: World) -> None:
    destination, layout = world.ready()
    staged = world.staged(layout, window(0), events(0))
    (part,) = staged.parts
    body = part.path.read_bytes()
    part.path.write_bytes(body[:-8] + b"\0" * 8)
    with pytest.raises(DestinationRefused, match=r"inflate|AWS answers"):
        destination.load(
            world.entry(window(0), staged), staged.parts, expected=frozenset(), checkpoint=None
        )
    assert world.texts() == [] and world.objects() == []


def test_a_part_that_is_gone_is_an_error_of_ours(world: World) -> None:
    destination, layout = world.ready()
    staged = world.staged(layout, window(0), events(0))
    staged.parts[0].path.unlink()
    with pytest.raises(HauserpyError, match="cannot be read"):
        destination.load(
            world.entry(window(0), staged), staged.parts, expected=frozenset(), checkpoint=None
        )
    assert world.objects() == []


def test_several_parts_are_one_load(world: World) -> None:
    destination, layout = world.ready()
    one = world.staged(layout, window(0), events(0, 2))
    two = world.staged(layout, window(0), events(0, 2, "b"))
    entry = world.entry(window(0), one, records=4)
    destination.load(
        entry, [*one.parts, *two.parts], expected=frozenset(), checkpoint=window(0).stop
    )
    assert world.texts() == sorted(expected_texts(0, count=2) + expected_texts(0, count=2, tag="b"))


def test_parts_are_gzip_csv_of_a_size_for_copy(world: World) -> None:
    _, layout = world.ready()
    assert (layout.format, layout.compression, layout.header, layout.null) == (
        "csv", "gzip", False, "\0",
    )  # fmt: skip
    assert layout.part_bytes == 64 * 2**20


def test_objects_lie_under_the_configured_path_while_they_are_there(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    (copy,) = [s for s in world.standin.log if s.startswith("COPY")]
    assert re.search(
        rf"FROM 's3://{world.bucket}/in here/hauserpy~[^/]+/manifest.json' IAM_ROLE 'arn:", copy
    )
    assert (
        "REGION 'us-east-1' FORMAT AS CSV GZIP MANIFEST TIMEFORMAT 'auto' NULL AS '\\000'" in copy
    )


def test_a_ledger_from_the_future_stops_the_run(world: World) -> None:
    destination, layout = world.ready()
    far = window(0)
    ahead = replace(far, stop=NOW + timedelta(days=2))
    world.load(destination, layout, 0, where=ahead)
    with pytest.raises(LedgerUnreadable, match="future") as caught:
        destination.ledger()
    assert str(caught.value).startswith(f"{destination.name}: the ledger reaches to")


def test_a_ledger_that_cannot_be_read_is_not_taken_for_an_empty_one(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    for damage in ("kind = 'nonsense'", "version = 99", "changes = '{'", "starttime = NULL"):
        world.standin.sql(f"UPDATE fssync_ledger SET {damage} WHERE kind = 'sync'")
        with pytest.raises(LedgerUnreadable, match="fssync_ledger"):
            destination.ledger()
        staged = world.staged(layout, window(1), events(1))
        with pytest.raises(LedgerUnreadable):
            destination.load(
                world.entry(window(1), staged), staged.parts, expected=frozenset(), checkpoint=None
            )
    assert world.texts() == expected_texts(0)


def test_fractions_of_a_second_survive_in_ledger_and_checkpoint(world: World) -> None:
    destination, layout = world.ready()
    odd = replace(window(0), start=DAY + timedelta(microseconds=250))
    stored = world.load(destination, layout, 0, where=odd)
    assert world.ledger() == Ledger((stored,), odd.stop)


def test_a_ledger_table_that_was_dropped_is_not_taken_for_an_empty_one(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    world.standin.sql("DROP TABLE fssync_ledger")
    with pytest.raises(LedgerUnreadable, match="is gone"):
        world.destination().ledger()
    with pytest.raises(LedgerUnreadable, match="is gone"):
        world.destination().prepare(catalogue())


def test_rows_of_a_window_that_the_ledger_has_lost_are_replaced(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    world.load(destination, layout, 1)
    world.standin.sql("DELETE FROM fssync_ledger WHERE kind = 'sync'")
    world.load(destination, layout, 1, kind=EntryKind.BACKFILL)
    assert world.texts() == sorted(expected_texts(0) + expected_texts(1))


def test_a_ledger_row_without_a_load_id_is_refused(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    world.standin.sql("UPDATE fssync_ledger SET loadid = NULL WHERE kind = 'sync'")
    with pytest.raises(LedgerUnreadable):
        world.ledger()
