"""The local folder's own promises: names, commits that wait to be carried out, marks, readers."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hauserpy.config import LocalSettings, Settings
from hauserpy.destinations import files
from hauserpy.destinations.local import Local
from hauserpy.destinations.scope import Scope
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import DestinationRefused, DestinationUnavailable, DiskFull, HauserpyError
from hauserpy.fields import catalogue
from hauserpy.layout import Compression, StageFormat
from hauserpy.ledger import Ledger
from hauserpy.model import Part
from hauserpy.owner import Owner
from tests.destinations.bundles import Run, entry_for, events, hour, hours, texts
from tests.destinations.local_backing import LocalBacking
from tests.destinations.makers import NOW


@pytest.fixture
def backing(tmp_path: Path) -> LocalBacking:
    return LocalBacking(tmp_path / "data", StageFormat.CSV, Compression.NONE)


@pytest.fixture
def run(backing: LocalBacking, tmp_path: Path) -> Run:
    return Run(backing.open(), tmp_path)


def names(backing: LocalBacking) -> list[str]:
    return sorted(str(row["EventTargetText"]) for row in backing.rows())


def failing(monkeypatch: pytest.MonkeyPatch, call: str, part: str, code: int = errno.EIO) -> None:
    """That call of ``os`` fails for paths that hold ``part``."""
    real = getattr(os, call)

    def fail(path: Any, *args: Any, **named: Any) -> Any:
        if part in str(path) or (args and part in str(args[0])):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *args, **named)

    monkeypatch.setattr(os, call, fail)


# --- Files ---


def test_looking_makes_nothing(backing: LocalBacking) -> None:
    destination = backing.open()
    assert destination.ledger() == Ledger()
    destination.close()
    assert not backing.folder.exists()


def test_the_ledger_is_for_people_too(backing: LocalBacking, run: Run) -> None:
    run.load(hour(0))
    run.load(hour(1))
    lines = (backing.folder / ".hauserpy" / "ledger.json").read_text().splitlines()
    assert len([line for line in lines if '"kind":"sync"' in line]) == 2, "an entry a line"


def test_a_prefix_may_lead_into_a_folder(backing: LocalBacking, tmp_path: Path) -> None:
    settings = replace(backing.settings, file_prefix="in/here/fs_")
    run = Run(Local(settings, clock=lambda: NOW), tmp_path)
    run.load(hour(0))
    folder = backing.folder / "in" / "here"
    stem = int(hour(0).start.timestamp())
    assert sorted(p.name for p in folder.iterdir()) == ["fs_.sync.hauser", f"fs_{stem}.csv"]
    assert Local(settings).ledger().checkpoint == hour(0).stop


def test_raw_bundles_are_what_was_served(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    settings = Settings(format=StageFormat.RAW, local=LocalSettings(save_dir=folder))
    run = Run(Local(settings, clock=lambda: NOW), tmp_path)
    run.load(hour(0))
    (file,) = folder.glob("*.json")
    assert json.loads(file.read_text()) == events(hour(0))
    run.load(hour(0), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
    assert json.loads(file.read_text()) == events(hour(0), "b")


def test_a_file_that_is_gone_or_differs_is_not_loaded(backing: LocalBacking, run: Run) -> None:
    for number in range(3):
        run.load(hour(number))
    files = sorted(backing.folder.glob("*.csv"))
    files[0].unlink()
    files[1].write_text("cut")
    ledger = run.destination.ledger()
    assert [e.window for e in ledger.entries] == [hour(2)]
    assert ledger.checkpoint == hour(2).stop
    for number in range(2):
        run.load(hour(number), tag="b", kind=EntryKind.BACKFILL)
    assert names(backing) == sorted(texts(0, 1, tag="b") + texts(2))
    assert len(run.destination.ledger().entries) == 3


def test_an_altered_file_is_not_removed_by_a_load_of_a_part_of_its_window(
    backing: LocalBacking, run: Run
) -> None:
    run.load(hours(0, 4))
    (file,) = backing.folder.glob("*.csv")
    mine = file.read_text() + "\n"
    file.write_text(mine)
    with pytest.raises(DestinationRefused, match=rf"{file.name} is not as it was") as raised:
        run.load(hour(1), kind=EntryKind.BACKFILL)
    assert "--since 2026-" in raised.value.instruction
    assert [path.read_text() for path in backing.folder.glob("*.csv")] == [mine]
    run.load(hours(0, 4), tag="b", kind=EntryKind.BACKFILL)
    assert names(backing) == texts(0, 1, 2, 3, tag="b")


def test_a_file_that_is_taken_away_while_it_waits_is_not_committed(
    backing: LocalBacking, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = Local._receive

    def then_gone(self: Local, entry: LedgerEntry, parts: Sequence[Part], waiting: Path) -> Any:
        received = receive(self, entry, parts, waiting)
        monkeypatch.undo()
        shutil.rmtree(waiting)
        return received

    monkeypatch.setattr(Local, "_receive", then_gone)
    with pytest.raises(DestinationUnavailable, match="is gone before it was loaded"):
        run.load(hour(0))
    assert backing.open().ledger() == Ledger()
    run.load(hour(0))
    assert names(backing) == texts(0)


def test_a_file_that_waits_is_never_swept(
    backing: LocalBacking, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a run in another container either, to whom the owner's pid says nothing."""
    receive = Local._receive

    def then_prepare(self: Local, *given: Any) -> Any:
        received = receive(self, *given)
        with monkeypatch.context() as patched:
            patched.setattr(Owner, "known_dead", lambda self: True)
            backing.open().prepare(catalogue())
        return received

    monkeypatch.setattr(Local, "_receive", then_prepare)
    run.load(hour(0))
    assert names(backing) == texts(0)


def test_a_file_in_the_way_of_no_entry_is_overwritten(backing: LocalBacking, run: Run) -> None:
    """As a crash of hauser leaves one, truncated, under its final name."""
    stem = int(hour(0).start.timestamp())
    (backing.folder / f"{stem}.csv").write_text("IndvId,Us")
    run.load(hour(0))
    assert names(backing) == texts(0)


def test_files_of_the_users_own_stay(backing: LocalBacking, run: Run) -> None:
    (backing.folder / "notes.txt").write_text("mine")
    run.load(hour(0))
    run.load(hour(0), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
    assert (backing.folder / "notes.txt").read_text() == "mine"


def test_a_part_that_arrives_cut_is_not_loaded(backing: LocalBacking, run: Run) -> None:
    rows = run.stage(hour(0))
    (part,) = rows.parts
    os.truncate(part.path, part.size - 1)
    with pytest.raises(DestinationUnavailable, match="bytes were staged"):
        run.destination.load(
            entry_for(hour(0), rows), rows.parts, expected=frozenset(), checkpoint=None
        )
    assert run.destination.ledger() == Ledger()
    assert backing.leftovers() == []


def test_rows_are_on_the_disk_before_the_ledger_tells_of_them(
    backing: LocalBacking, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[int] = []
    fsync = os.fsync

    def watched(fd: int) -> None:
        brought.append(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    run.load(hour(0))
    (file,) = backing.folder.glob("*.csv")
    ledger = backing.folder / ".hauserpy" / "ledger.json"
    last = brought.index(ledger.stat().st_ino)
    assert file.stat().st_ino in brought[:last]


# --- Commits ---


def test_a_commit_that_waits_counts_as_loaded(
    backing: LocalBacking, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails between the commit and the renaming: readers see the load, the next run ends
    it."""
    run.load(hour(0))
    rows = run.stage(hour(0), tag="b")
    entry = entry_for(hour(0), rows, EntryKind.BACKFILL)
    expected = run.destination.ledger().loads_in(hour(0))
    with monkeypatch.context() as patched:
        failing(patched, "replace", f"{backing.folder}/{int(hour(0).start.timestamp())}")
        with pytest.raises(HauserpyError):
            run.destination.load(entry, rows.parts, expected=expected, checkpoint=None)
    assert [e.load for e in backing.open().ledger().entries] == [entry.load]
    assert names(backing) == texts(0), "not in place yet"
    stored = run.destination.load(entry, rows.parts, expected=expected, checkpoint=None)
    assert stored.load == entry.load, "it says so itself when it is asked again"
    backing.open().prepare([])
    assert names(backing) == texts(0, tag="b")
    assert backing.leftovers() == []


@pytest.mark.parametrize(
    ("call", "part"),
    [("chmod", "incoming"), ("replace", "ledger.json"), ("replace", ".sync.hauser"),
     ("unlink", "commit.json")],
)  # fmt: skip
def test_whatever_stops_a_commit_another_run_ends_it(
    backing: LocalBacking, run: Run, monkeypatch: pytest.MonkeyPatch, call: str, part: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    with monkeypatch.context() as patched:
        failing(patched, call, part, errno.ENOSPC)
        with pytest.raises(DiskFull):
            run.load(hour(0))
    other = Run(backing.open(), tmp_path)
    other.load(hour(1))
    assert names(backing) == texts(0, 1)
    assert [e.window for e in backing.open().ledger().entries] == [hour(0), hour(1)]
    assert backing.hauser_checkpoint() == hour(1).stop
    assert backing.leftovers() == []


# --- Readers without the lock ---


def test_a_reader_beside_loads_never_sees_a_loaded_window_missing(
    backing: LocalBacking, run: Run, tmp_path: Path
) -> None:
    """Nor takes our own loads for a run of hauser."""
    for number in range(4):
        run.load(hour(number))
    over = threading.Event()
    seen: list[int] = []

    def read() -> None:
        destination = backing.open()
        while not over.is_set():
            seen.append(len(destination.ledger().entries))

    def write() -> None:
        for turn in range(15):
            run.load(hour(turn % 4), tag=str(turn), kind=EntryKind.BACKFILL, replace_loaded=True)
            run.destination.advance(hour(4 + turn).stop, expected=frozenset())
        over.set()

    with ThreadPoolExecutor(3) as threads:
        for job in [threads.submit(f) for f in (read, read, write)]:
            job.result(90)
    assert set(seen) == {4}


def test_a_reader_between_the_ledger_and_the_mark(
    backing: LocalBacking, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Deterministically: a whole load happens just after the ledger's bytes were read."""
    run.load(hour(0))
    other = Run(backing.open(), tmp_path)
    real = files.decode
    met: list[bytes] = []

    def decode(document: bytes, place: str, scope: Scope) -> Ledger:
        if not met:
            met.append(document)
            other.load(hour(1))
        return real(document, place, scope)

    monkeypatch.setattr(files, "decode", decode)
    assert len(backing.open().ledger().entries) == 2


# --- Marks ---


def test_the_mark_is_kept_in_step_and_rewritten_when_it_is_behind(
    backing: LocalBacking, run: Run
) -> None:
    run.load(hour(0))
    mark = backing.folder / ".sync.hauser"
    assert mark.read_text() == "2026-11-01T01:00:00Z"
    for text in ("2026-11-01T00:30:00Z", ""):
        mark.write_text(text)
        backing.open().prepare([])
        assert mark.read_text() == "2026-11-01T01:00:00Z"


def test_with_a_prefix_both_of_hausers_marks_count(backing: LocalBacking, tmp_path: Path) -> None:
    """hauser writes the one with the prefix, and reads the one without."""
    backing.folder.mkdir()
    settings = replace(backing.settings, file_prefix="fs_")
    (backing.folder / ".sync.hauser").write_text("2026-11-01T01:00:00Z")
    (backing.folder / "fs_.sync.hauser").write_text("2026-11-01T02:00:00Z")
    run = Run(Local(settings, clock=lambda: NOW), tmp_path)
    assert run.destination.ledger().checkpoint == hour(1).stop
    run.load(hour(2))
    for name in (".sync.hauser", "fs_.sync.hauser"):
        assert (backing.folder / name).read_text() == "2026-11-01T03:00:00Z"


# --- Checks ---


def test_checks_tell_whether_every_file_is_whole(backing: LocalBacking, run: Run) -> None:
    assert all(check.ok for check in backing.open().checks())
    run.load(hour(0))
    run.load(hour(1))
    before = sorted(backing.folder.rglob("*"))
    assert all(check.ok for check in run.destination.checks())
    first, second = sorted(backing.folder.glob("*.csv"))
    data = first.read_bytes()
    first.write_bytes(data.replace(b"click", b"clack"))
    failed = [check for check in run.destination.checks() if not check.ok]
    assert [first.name in check.detail for check in failed] == [True]
    first.write_bytes(data)
    second.unlink()
    assert all(check.ok for check in run.destination.checks()), "files may be taken elsewhere"
    second.write_bytes(b"")
    assert sorted(backing.folder.rglob("*")) == before
