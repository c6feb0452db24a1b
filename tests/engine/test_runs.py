"""What a run does when others load beside it, when something fails, and when it is stopped."""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hauserpy.engine.report import Summary
from hauserpy.engine.runs import backfill, skip, sync
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import ApiUnavailable, BundleGone, CorruptBundle, Interrupted, LedgerMoved
from hauserpy.ledger import Ledger, Step
from hauserpy.model import Window, rfc3339
from hauserpy.pipeline.spool import Spool
from tests.destinations.bundles import Run
from tests.destinations.local_backing import read_rows
from tests.engine.scripted import (
    Scripted,
    Silent,
    folder_of,
    hour,
    plant,
    synced,
    text_of,
    with_fetch,
)


def rows(base: Path) -> list[str]:
    return sorted(
        str(row["EventTargetText"])
        for path in (base / "data").glob("*.csv")
        for row in read_rows(path)
    )


class Noting(Silent):
    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def note(self, text: str) -> None:
        self._notes.append(text)


def whole(*numbers: int) -> list[str]:
    return sorted(f"{n}/{half}" for n in numbers for half in range(2))


def test_loads_are_in_order_and_the_checkpoint_with_each(tmp_path: Path) -> None:
    destination = folder_of(tmp_path)
    seen: list[tuple[int, object]] = []

    def look(entry: LedgerEntry) -> None:
        ledger = destination.ledger()
        seen.append((len(ledger.entries), ledger.checkpoint))
        assert entry.window.stop == ledger.checkpoint

    destination.after_load = look
    summary = synced(plant(Scripted(), destination, tmp_path))
    assert seen == [(n + 1, hour(n).stop) for n in range(5)]
    assert [e.bundle for e in summary.loaded] == list("01234")
    assert (summary.records, summary.checkpoint) == (10, hour(4).stop)


AROUND = Scripted([hour(0), Window(hour(0).start, hour(3).stop)])
"""Of its bundle 1, hour 1 is loaded already where `synced` has loaded that before."""


def test_a_bundle_in_parts_is_loaded_once_whatever_dies_between_them(tmp_path: Path) -> None:
    destination = folder_of(tmp_path)
    synced(plant(Scripted([hour(1)]), destination, tmp_path))

    def die(entry: LedgerEntry) -> None:
        raise KeyboardInterrupt

    destination.after_load = die
    with pytest.raises(KeyboardInterrupt):
        synced(plant(AROUND, destination, tmp_path))
    # None of its events tells its time: with which part do they come?
    assert rows(tmp_path) == whole(0, 1)
    destination.after_load = lambda entry: None
    summary = synced(plant(AROUND, destination, tmp_path))
    assert [(e.window.start, e.records) for e in summary.loaded] == [(hour(1).stop, 0)]
    assert rows(tmp_path) == whole(0, 1)
    assert destination.ledger().checkpoint == hour(3).stop


def test_a_bundle_half_of_which_is_loaded_is_tried_again_within_max_bundles(
    tmp_path: Path,
) -> None:
    destination = folder_of(tmp_path)
    synced(plant(Scripted([hour(1)]), destination, tmp_path))
    gets = []

    def fetch(step: Step, spool: Spool) -> None:
        gets.append(step.bundle.id)
        if len(gets) > 1:
            raise CorruptBundle("it is cut short", offset=0, bundle=step.bundle.id)
        spool.write(text_of(step.bundle))

    made = with_fetch(plant(AROUND, destination, tmp_path), fetch)
    with pytest.raises(CorruptBundle):
        sync(made, Summary(), max_bundles=1)
    assert gets == ["1", "1", "1"], "one part, the other, and that once more"
    assert rows(tmp_path) == whole(0, 1)


@pytest.mark.parametrize("replace", [False, True])
def test_bundles_that_overlap_are_planned_and_fetched_once(tmp_path: Path, replace: bool) -> None:
    def hours(first: int, last: int) -> Window:
        return Window(hour(first).start, hour(last).start)

    source = Scripted([hours(0, 4), hours(2, 6), hours(6, 8), hours(7, 9)])
    made = plant(source, folder_of(tmp_path), tmp_path)
    expected = [hours(0, 4), hours(4, 6), hours(6, 8), hours(8, 9)]
    told, loaded = Summary(), Summary()
    if replace:
        synced(made)
        source.fetched.clear()
        backfill(made, loaded, hour(0).start, replace_loaded=True)
        assert [e.window for e in loaded.loaded] == expected
    else:
        sync(made, told, dry_run=True)
        assert [s.window for s in told.planned] == expected
        sync(made, loaded)
    assert [e.window for e in loaded.loaded] == expected
    assert source.fetched == ["0", "1", "2", "3"]


def test_a_start_past_the_checkpoint_tells_what_it_leaves_out(tmp_path: Path) -> None:
    notes: list[str] = []
    destination = folder_of(tmp_path)
    sync(plant(Scripted(), destination, tmp_path), Summary(), max_bundles=1)
    made = plant(Scripted(), destination, tmp_path)
    made = replace(made, reporter=Noting(notes))
    sync(made, Summary(), start=hour(3).start, from_start=True, max_bundles=1)
    assert destination.ledger().checkpoint == hour(3).stop
    assert len(notes) == 1
    assert "backfill --since 2026-11-01T01:00:00Z --until 2026-11-01T03:00:00Z" in notes[0]
    backfill(made, Summary(), hour(1).start, hour(3).start)
    sync(made, Summary(), start=hour(4).start, from_start=True)
    assert len(notes) == 1, "nothing is left out"


def test_skip_beside_another_load_goes_on_with_what_is_left(tmp_path: Path) -> None:
    destination, other = folder_of(tmp_path), folder_of(tmp_path)
    made = plant(Scripted(), destination, tmp_path)

    def first(entry: LedgerEntry) -> None:
        destination.before_load = lambda entry: None
        synced(plant(Scripted([hour(1)]), other, tmp_path))

    destination.before_load = first
    summary = Summary()
    skip(made, summary, Window(hour(0).start, hour(3).start), "lost")
    assert [e.window for e in summary.loaded] == [hour(0), hour(2)]
    assert rows(tmp_path) == whole(0)


def test_bundles_are_counted_not_their_parts(tmp_path: Path) -> None:
    destination = folder_of(tmp_path)
    synced(plant(Scripted([hour(1)]), destination, tmp_path))
    source = Scripted([*AROUND.windows, hour(4), hour(5)])
    for dry_run in (True, False):
        summary = Summary()
        sync(plant(source, destination, tmp_path), summary, max_bundles=2, dry_run=dry_run)
        told = [s.bundle.id for s in summary.planned] + [e.bundle for e in summary.loaded]
        assert told == ["1", "1", "2"]
    assert destination.ledger().checkpoint == hour(4).stop


def test_fetching_runs_ahead_but_not_away(tmp_path: Path) -> None:
    """While one bundle loads, the next ones are fetched: two, not all."""
    source, destination = Scripted([hour(n) for n in range(8)]), folder_of(tmp_path)
    ahead = threading.Semaphore(0)
    source.before_fetch = lambda bundle: ahead.release()

    def wait(entry: LedgerEntry) -> None:
        number = int(entry.bundle)
        assert len(source.fetched) <= number + 3
        if number == 0:
            assert ahead.acquire(timeout=30) and ahead.acquire(timeout=30)

    destination.before_load = wait
    synced(plant(source, destination, tmp_path))
    assert source.fetched == list("01234567")


@pytest.mark.parametrize(
    "error", [CorruptBundle("it is none", offset=0), BundleGone("it is gone."),
              ApiUnavailable("no answer.")],
)  # fmt: skip
def test_an_error_comes_after_all_before_it_is_loaded(tmp_path: Path, error: Exception) -> None:
    source = Scripted(errors={"3": error})  # type: ignore[dict-item]  # one of ours, by the list
    summary = Summary()
    with pytest.raises(type(error)):
        synced(plant(source, folder_of(tmp_path), tmp_path), summary)
    assert rows(tmp_path) == whole(0, 1, 2)
    assert summary.checkpoint == hour(2).stop
    assert list((tmp_path / "tmp").iterdir()) == []
    source.errors.clear()
    synced(plant(source, folder_of(tmp_path), tmp_path))
    assert rows(tmp_path) == whole(0, 1, 2, 3, 4)


def test_a_list_that_breaks_off_comes_after_all_that_it_gave(tmp_path: Path) -> None:
    source = Scripted(errors={"list:3": ApiUnavailable("page 2 is missing.")})
    with pytest.raises(ApiUnavailable):
        synced(plant(source, folder_of(tmp_path), tmp_path))
    assert rows(tmp_path) == whole(0, 1, 2)


def test_a_download_that_begins_again_counts_once(tmp_path: Path) -> None:
    source = Scripted()

    def again(step: Step, spool: Spool) -> None:
        text = text_of(step.bundle)
        for length in (1, len(text) // 2, len(text) - 1):
            spool.write(text[:length])
            spool.restart()
        spool.write(text)

    synced(with_fetch(plant(source, folder_of(tmp_path), tmp_path), again))
    assert rows(tmp_path) == whole(0, 1, 2, 3, 4)


def test_what_another_run_loads_meanwhile_is_passed_over(tmp_path: Path) -> None:
    source, destination = Scripted(), folder_of(tmp_path)
    other = Run(folder_of(tmp_path), tmp_path / "other")

    def meddle(entry: LedgerEntry) -> None:
        if entry.bundle == "1":
            for number in (1, 3):
                if not other.destination.ledger().overlapping(hour(number)):
                    records = [{"EventTargetText": f"other {number}"}]
                    other.load(hour(number), records, kind=EntryKind.BACKFILL)

    destination.before_load = meddle
    summary = synced(plant(source, destination, tmp_path))
    assert rows(tmp_path) == sorted([*whole(0, 2, 4), "other 1", "other 3"])
    assert [e.bundle for e in summary.loaded] == ["0", "2", "4"]
    assert destination.ledger().checkpoint == hour(4).stop
    assert source.listed == 2


def test_a_run_that_always_comes_too_late_gives_up(tmp_path: Path) -> None:
    source, destination = Scripted(), folder_of(tmp_path)

    def late(entry: LedgerEntry) -> None:
        raise LedgerMoved("another run was quicker.")

    destination.before_load = late
    with pytest.raises(LedgerMoved):
        synced(plant(source, destination, tmp_path))
    assert 2 < source.listed < 20
    assert destination.ledger() == Ledger()


def test_coming_too_late_now_and_then_is_no_reason_to_give_up(tmp_path: Path) -> None:
    source, destination = Scripted([hour(n) for n in range(30)]), folder_of(tmp_path)
    met: set[str] = set()

    def late(entry: LedgerEntry) -> None:
        if entry.bundle not in met:
            met.add(entry.bundle)
            raise LedgerMoved("another run was quicker.")

    destination.before_load = late
    assert len(synced(plant(source, destination, tmp_path)).loaded) == 30


def test_the_load_in_hand_is_finished_when_the_run_is_stopped(tmp_path: Path) -> None:
    source, destination = Scripted(), folder_of(tmp_path)
    made = plant(source, destination, tmp_path)

    def stop(entry: LedgerEntry) -> None:
        if entry.bundle == "1":
            made.stop.stop(signal.SIGTERM)

    destination.before_load = stop
    summary = Summary()
    with pytest.raises(Interrupted) as raised:
        synced(made, summary)
    assert raised.value.exit_code == 143
    assert rows(tmp_path) == whole(0, 1)
    assert [e.bundle for e in summary.loaded] == ["0", "1"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_dry_run_plans_and_fetches_nothing(tmp_path: Path) -> None:
    source, summary = Scripted(), Summary()
    sync(plant(source, folder_of(tmp_path), tmp_path), summary, dry_run=True, max_bundles=3)
    assert [s.bundle.id for s in summary.planned] == ["0", "1", "2"]
    assert source.fetched == []
    assert list(tmp_path.iterdir()) == []


def test_while_one_loads_the_next_is_staged_and_the_one_after_it_fetched(tmp_path: Path) -> None:
    source, destination = Scripted(), folder_of(tmp_path)
    third = threading.Event()
    source.before_fetch = lambda bundle: third.set() if bundle.id == "2" else None
    begun: list[bool] = []
    destination.before_load = lambda entry: begun.append(third.wait(30)) if not begun else None
    synced(plant(source, destination, tmp_path))
    assert begun == [True]
    assert rows(tmp_path) == whole(*range(5))


def test_a_bundle_in_parts_is_one(tmp_path: Path) -> None:
    source = Scripted(windows=[Window(hour(0).start, hour(2).stop)])
    destination = folder_of(tmp_path)
    made = plant(source, destination, tmp_path)
    skip(made, Summary(), hour(1), "gone")
    told = Summary()
    backfill(made, told, hour(0).start)
    assert [e.window for e in told.loaded] == [hour(0), hour(2)]
    assert told.to_json()["bundles"] == 1


def test_a_gap_in_what_is_offered_is_told_once(tmp_path: Path) -> None:
    notes: list[str] = []
    destination = folder_of(tmp_path)
    for offered in ([0, 2], [0, 1, 2], [0, 1, 2, 3]):
        source = Scripted(windows=[hour(n) for n in offered])
        synced(replace(plant(source, destination, tmp_path), reporter=Noting(notes)))
    (told,) = notes
    start, stop = rfc3339(hour(1).start), rfc3339(hour(1).stop)
    assert f"offers nothing between {start} and {stop}" in told
    assert f"hauserpy backfill --since {start} --until {stop}" in told


def test_rows_left_out_are_counted_once_also_when_a_run_dies_between_two_parts(
    tmp_path: Path,
) -> None:
    def text(_: Step, spool: Spool) -> None:
        starts = [rfc3339(hour(n).start) for n in range(3)]
        spool.write(json.dumps([{"EventStart": start} for start in starts]).encode())

    destination = folder_of(tmp_path)
    backfill(
        with_fetch(plant(Scripted(windows=[hour(7), hour(1)]), destination, tmp_path), text),
        Summary(), hour(1).start,
    )  # fmt: skip
    made = plant(Scripted(windows=[Window(hour(0).start, hour(2).stop)]), destination, tmp_path)
    made = with_fetch(made, text)

    def die(entry: LedgerEntry) -> None:
        raise ApiUnavailable("gone", "")

    destination.after_load = die
    with pytest.raises(ApiUnavailable):
        backfill(made, Summary(), hour(0).start)
    destination.after_load = lambda entry: None
    backfill(made, Summary(), hour(0).start)
    told = [(e.window, sum(e.changes.values())) for e in destination.ledger().entries]
    assert told[:3] == [(hour(0), 1), (hour(1), 0), (hour(2), 0)]
