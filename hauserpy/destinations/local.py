"""A local folder: one file a window, the ledger beside them.

A load is a write-ahead commit: the data file waits whole under a temporary name, and the instant at
which ``.hauserpy/commit.json`` appears, the load has happened. What it says (new ledger, renames,
removals, hauser's mark) is then carried out, by whoever takes the lock next if this process dies.
So a reader sees the state before or after, and a crash leaves nothing to repair by hand.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from filelock import FileLock, Timeout

from hauserpy import checksum, disk
from hauserpy.config import Settings
from hauserpy.destinations import files
from hauserpy.destinations.base import refuse_miscounted
from hauserpy.destinations.journal import Commit, Journal
from hauserpy.entries import LedgerEntry, StoredFile
from hauserpy.errors import (
    ConfigError,
    DestinationUnavailable,
    HauserpyError,
)
from hauserpy.fields import Field
from hauserpy.layout import Layout
from hauserpy.ledger import Ledger
from hauserpy.model import Check, Part
from hauserpy.owner import Owner, leftovers, owned_folder

_LOCK_SECONDS = 60.0
"""How long to wait for another run's commit, which takes milliseconds."""
_LOOKS = 20
"""How often to look again when another run commits while the ledger is read without its lock."""


class Local:
    """See `hauserpy.destinations.base.Destination`."""

    replaces_baseline = False

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._folder = settings.local.save_dir
        self._own = self._folder / ".hauserpy"
        self._journal = Journal(self._folder, files.file_scope(settings))

    @property
    def name(self) -> str:
        return f"local {self._folder}"

    def prepare(self, fields: Sequence[Field]) -> Layout:
        if self._folder.exists() and not self._folder.is_dir():
            raise ConfigError(
                f"SaveDir {self._folder} is a file, not a folder.", "Choose another SaveDir."
            )
        with disk.explained(f"SaveDir {self._folder} cannot be used"):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._own.mkdir(mode=0o700, exist_ok=True)
            self._incoming.mkdir(mode=0o700, exist_ok=True)
            disk.fsync_folder(self._folder)
            with self._lock():
                # First of all: what a dead run decided may still wait among what it left.
                self._redo()
                self._sweep()
                self._write_marks(self._read())
        return replace(files.layout(self._settings, tuple(fields)), durable=True)

    def ledger(self) -> Ledger:
        with disk.explained(f"the ledger in {self._own} cannot be read"):
            for _ in range(_LOOKS):
                before = self._journal.stamp()
                ledger = self._present(self._read())
                if self._journal.stamp() == before:
                    break
            return ledger

    def load(
        self,
        entry: LedgerEntry,
        parts: Sequence[Part],
        *,
        expected: frozenset[str],
        checkpoint: datetime | None,
    ) -> LedgerEntry:
        refuse_miscounted(entry, parts)
        with disk.explained(f"bundle {entry.bundle} cannot be written to {self._folder}"):
            if not all(part.path.exists() for part in parts):
                # A first call took the parts away.
                for old in self._read().entries:
                    if old.load == entry.load:
                        return old
            waiting = self._incoming / Owner.of_this_process(entry.load).name
            try:
                with owned_folder(waiting) if parts else nullcontext():
                    moves, stored = self._receive(entry, parts, waiting)
                    return self._load(entry.with_files(stored), moves, expected, checkpoint)
            finally:
                self._clear(waiting)

    def advance(self, checkpoint: datetime, *, expected: frozenset[str]) -> None:
        with disk.explained(f"the checkpoint in {self._own} cannot be moved"), self._lock():
            self._redo()
            before = self._read()
            after = self._present(before).advanced(checkpoint, expected)
            if after.checkpoint != before.checkpoint:
                self._carry_out(Ledger(before.entries, after.checkpoint), [], [])

    def checks(self) -> Iterator[Check]:
        folder = self._folder
        made = not folder.exists()
        try:
            with disk.explained(f"SaveDir {folder} cannot be used"):
                disk.probe(folder)
                if self._own.exists():
                    disk.probe(self._own)
        except HauserpyError as error:
            yield Check(
                "folder", ok=False, detail=error.reason, remedy=error.instruction, vital=True
            )
            return
        state = "can be made" if made else "is writable"
        yield Check("folder", ok=True, detail=f"SaveDir {folder} {state}")
        yield from self._check_files()

    def _check_files(self) -> Iterator[Check]:
        """Whether every file of the ledger is there, whole, by its digest."""
        try:
            with disk.explained(f"the ledger in {self._own} cannot be read"):
                entries = self._read().entries
        except HauserpyError:
            # The ledger has a check of its own.
            return
        yield files.check("files", entries, self._is_whole, " by their CRC-32")

    def _is_whole(self, file: StoredFile) -> bool | None:
        try:
            with (self._folder / file.name).open("rb") as data:
                return _digest(checksum.of_file(data).crc32) == file.digest
        except FileNotFoundError:
            return None
        except OSError:
            return False

    def close(self) -> None:
        """Nothing is held between calls."""

    @property
    def _incoming(self) -> Path:
        return self._own / "incoming"

    def _lock(self) -> _Lock:
        return _Lock(self._own / "ledger.lock")

    def _receive(
        self, entry: LedgerEntry, parts: Sequence[Part], folder: Path
    ) -> tuple[list[tuple[Path, Path]], list[StoredFile]]:
        """Bring the parts into SaveDir's file system, under names that nobody reads."""
        if not parts:
            return [], []
        settings = self._settings
        (part,) = parts
        name = files.file_name(
            settings.file_prefix, entry.window, settings.format, settings.compression
        )
        temp = folder / "0"
        _bring(part.path, temp)
        if (size := temp.stat().st_size) != part.size:
            raise DestinationUnavailable(
                f"bundle {entry.bundle}: {part.size} bytes were staged and {size} arrived in"
                f" {self._folder}; nothing was loaded.",
                "Check the disk; then run again.",
            )
        target = self._folder / name
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            for made in takewhile(lambda path: path != self._folder.parent, target.parents):
                disk.fsync_folder(made)
        return [(temp, target)], [StoredFile(name, part.size, _digest(part.crc32))]

    def _load(
        self,
        entry: LedgerEntry,
        moves: list[tuple[Path, Path]],
        expected: frozenset[str],
        checkpoint: datetime | None,
    ) -> LedgerEntry:
        with self._lock():
            self._redo()
            before = self._read()
            for old in before.entries:
                if old.load == entry.load:
                    return old
            present = self._present(before)
            files.refuse_baseline(present, entry.window)
            files.refuse_part(
                before, present, entry.window, lambda name: (self._folder / name).exists()
            )
            after = self._with_absent(
                present.after(entry, expected=expected, checkpoint=checkpoint), before, present
            )
            for waiting, _ in moves:
                if not waiting.exists():
                    raise DestinationUnavailable(
                        f"bundle {entry.bundle}: {waiting} is gone before it was loaded.",
                        "Find out what removes files there; then run again.",
                    )
            kept = {f.name for e in after.entries for f in e.files}
            gone = [f.name for e in before.entries for f in e.files if f.name not in kept]
            self._carry_out(after, moves, gone)
            return entry

    def _carry_out(self, after: Ledger, moves: list[tuple[Path, Path]], gone: list[str]) -> None:
        """Commit, then do what was committed."""
        named = tuple((self._relative(source), self._relative(target)) for source, target in moves)
        self._journal.write(Commit(after, named, tuple(gone)))
        with disk.explained(
            f"the load is committed, but cannot be put in its place in {self._folder} yet, which the"
            " next run does"
        ):
            self._redo()

    def _redo(self) -> None:
        """Carry out what is committed and perhaps not done. Needs the lock."""
        commit = self._journal.read()
        if commit is None:
            return
        self._journal.carry_out(commit)
        self._write_marks(commit.ledger)
        self._journal.forget()

    def _sweep(self) -> None:
        """Remove what dead runs left. Needs the lock, and nothing that waits to be done."""
        for path in leftovers(self._incoming):
            shutil.rmtree(path, ignore_errors=True)
        self._journal.sweep()
        for mark in self._marks():
            if mark.parent.is_dir():
                disk.sweep_temps(mark)

    def _clear(self, waiting: Path) -> None:
        """Remove the folder of one load, unless its file is committed and not in place yet."""
        try:
            commit = self._journal.read()
        except HauserpyError:
            return
        kept = commit.sources if commit is not None else frozenset()
        file = waiting / "0"
        if self._relative(file) not in kept or not file.exists():
            shutil.rmtree(waiting, ignore_errors=True)

    def _read(self) -> Ledger:
        """The ledger as committed, the Go hauser's mark taken into account."""
        # The marks first: they follow the ledger, so that a load between the two readings cannot
        # make them look ahead of it.
        marks = self._mark_texts()
        commit = self._journal.read()
        if commit is not None:
            return commit.ledger
        ours = self._journal.ledger()
        mark = _latest(marks, known=ours)
        return files.settle(ours, mark, str(self._folder / files.HAUSER_MARK))

    def _marks(self) -> list[Path]:
        return [self._folder / name for name in files.hauser_marks(self._settings.file_prefix)]

    def _mark_texts(self) -> dict[Path, bytes]:
        found = {}
        for path in self._marks():
            with suppress(FileNotFoundError, NotADirectoryError):
                found[path] = path.read_bytes()
        return found

    def _write_marks(self, ledger: Ledger) -> None:
        if ledger.checkpoint is None:
            return
        text = files.hauser_mark(ledger.checkpoint)
        for path in self._marks():
            if not path.exists() or path.read_bytes() != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                disk.write_atomically(path, text, mode=0o644)

    def _present(self, ledger: Ledger) -> Ledger:
        """Without the entries whose file is missing or of another size: they are not loaded."""
        commit = self._journal.read()
        moving = commit.targets if commit is not None else frozenset()
        entries = ledger.entries
        return ledger.without(
            {e.load for e in entries if not all(self._is_there(f, moving) for f in e.files)}
        )

    def _with_absent(self, after: Ledger, before: Ledger, present: Ledger) -> Ledger:
        """``after`` with the history of files that were moved away, unless they were replaced."""
        there = {e.load for e in present.entries}
        absent = [e for e in before.entries if e.load not in there]
        kept = [e for e in absent if not after.overlapping(e.window)]
        return Ledger.of([*after.entries, *kept], after.checkpoint)

    def _is_there(self, file: StoredFile, moving: frozenset[str]) -> bool:
        if file.name in moving:
            return True
        try:
            return (self._folder / file.name).stat().st_size == file.size
        except FileNotFoundError:
            return False

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self._folder))


class _Lock:
    """A short lock over processes and threads that gives up with an explanation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path, timeout=_LOCK_SECONDS)

    def __enter__(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            raise DestinationUnavailable(
                f"another run has held {self._path} for {_LOCK_SECONDS:.0f} seconds.",
                "Look for a hung hauserpy process; then run again.",
            ) from None

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _bring(source: Path, target: Path) -> None:
    """Move by rename, or by copy where TmpDir is another file system; whole and fsynced."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as copied, source.open("rb") as original:
            shutil.copyfileobj(original, copied)
            copied.flush()
            os.fsync(copied.fileno())
        disk.remove(source)
    disk.fsync_folder(target.parent)


def _digest(crc32: int) -> str:
    return f"crc32:{crc32:08x}"


def _latest(marks: dict[Path, bytes], known: Ledger | None) -> datetime | None:
    """The later of the Go hauser's marks. One that a crash of hauser left empty does not matter
    where our own ledger knows, and is written anew."""
    ours = known is not None and known.checkpoint is not None
    return max(
        (files.read_hauser_mark(t, str(p)) for p, t in marks.items() if t.strip() or not ours),
        default=None,
    )
