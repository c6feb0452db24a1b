"""A local folder: one file a window, the ledger beside them.

A load is a write-ahead commit: the data file waits whole under a temporary name, and the instant at
which ``.hauserpy/commit.json`` appears, the load has happened. What it says (new ledger, renames,
removals, hauser's mark) is then carried out, by whoever takes the lock next if this process dies.
So a reader sees the state before or after, and a crash leaves nothing to repair by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hauserpy import disk
from hauserpy.config import Settings
from hauserpy.destinations import files
from hauserpy.errors import (
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    LedgerUnreadable,
)
from hauserpy.fields import Field
from hauserpy.ledger import Ledger
from hauserpy.model import Layout, LedgerEntry, Part, StoredFile
from hauserpy.owner import Owner, leftovers

_LOCK_SECONDS = 60.0
"""How long to wait for another run's commit, which takes milliseconds."""


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
        self._commit = self._own / "commit.json"
        self._ledger = self._folder / files.LEDGER

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
            for path in leftovers(self._incoming):
                shutil.rmtree(path, ignore_errors=True)
            with self._lock():
                self._redo()
                self._write_marks(self._read())
        return files.layout(self._settings, tuple(fields))

    def ledger(self) -> Ledger:
        with disk.explained(f"the ledger in {self._own} cannot be read"):
            return self._present(self._read())

    def load(
        self,
        entry: LedgerEntry,
        parts: Sequence[Part],
        *,
        expected: frozenset[str],
        checkpoint: datetime | None,
    ) -> LedgerEntry:
        counted = sum(part.records for part in parts)
        if counted != entry.records:
            raise DestinationRefused(
                f"bundle {entry.bundle}: {entry.records} records were read and {counted} rows"
                " written; nothing was loaded.",
                "Please report this as a bug.",
            )
        with disk.explained(f"bundle {entry.bundle} cannot be written to {self._folder}"):
            moves, stored = self._receive(entry, parts)
            try:
                return self._load(entry.with_files(stored), moves, expected, checkpoint)
            finally:
                for source, _ in moves:
                    shutil.rmtree(source.parent, ignore_errors=True)

    def advance(self, checkpoint: datetime, *, expected: frozenset[str]) -> None:
        with disk.explained(f"the checkpoint in {self._own} cannot be moved"), self._lock():
            self._redo()
            before = self._read()
            after = self._present(before).advanced(checkpoint, expected)
            if after.checkpoint != before.checkpoint:
                self._carry_out(Ledger(before.entries, after.checkpoint), [], [])

    def close(self) -> None:
        """Nothing is held between calls."""

    @property
    def _incoming(self) -> Path:
        return self._own / "incoming"

    def _lock(self) -> _Lock:
        return _Lock(self._own / "ledger.lock")

    def _receive(
        self, entry: LedgerEntry, parts: Sequence[Part]
    ) -> tuple[list[tuple[Path, Path]], list[StoredFile]]:
        """Bring the parts into SaveDir's file system, under names that nobody reads."""
        if not parts:
            return [], []
        settings = self._settings
        folder = self._incoming / Owner.of_this_process(entry.load).name
        folder.mkdir(mode=0o700, exist_ok=True)
        (part,) = parts
        name = files.file_name(
            settings.file_prefix, entry.window, settings.format, settings.compression
        )
        temp = folder / "0"
        _bring(part.path, temp)
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return [(temp, target)], [StoredFile(name, part.size, f"sha256:{part.sha256}")]

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
            after = self._with_absent(
                present.after(entry, expected=expected, checkpoint=checkpoint), before, present
            )
            kept = {f.name for e in after.entries for f in e.files}
            gone = [f.name for e in before.entries for f in e.files if f.name not in kept]
            self._carry_out(after, moves, gone)
            return entry

    def _carry_out(self, after: Ledger, moves: list[tuple[Path, Path]], gone: list[str]) -> None:
        """Commit, then do what was committed."""
        commit = {
            "ledger": files.encode(after).decode(),
            "moves": [[self._relative(s), self._relative(t)] for s, t in moves],
            "remove": gone,
        }
        disk.write_atomically(self._commit, json.dumps(commit).encode())
        self._redo()

    def _redo(self) -> None:
        """Carry out what a commit says; each step may have been done already. Needs the lock."""
        commit = self._read_commit()
        if commit is None:
            return
        mode = 0o666 & ~_umask()
        for source, target in commit["moves"]:
            if (self._folder / source).exists():
                (self._folder / source).chmod(mode)
                (self._folder / source).replace(self._folder / target)
                disk.fsync_folder((self._folder / target).parent)
        disk.write_atomically(self._ledger, commit["ledger"].encode())
        for name in commit["remove"]:
            disk.remove(self._folder / name)
        self._write_marks(files.decode(commit["ledger"].encode(), str(self._commit)))
        disk.remove(self._commit)
        disk.fsync_folder(self._own)

    def _read_commit(self) -> dict[str, Any] | None:
        try:
            commit: dict[str, Any] = json.loads(self._commit.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise LedgerUnreadable(
                f"{self._commit} cannot be read ({error}).", "Restore it from a backup."
            ) from error
        return commit

    def _read(self) -> Ledger:
        """The ledger as committed, the Go hauser's mark taken into account."""
        commit = self._read_commit()
        if commit is not None:
            return files.decode(commit["ledger"].encode(), str(self._commit))
        try:
            ours = files.decode(self._ledger.read_bytes(), str(self._ledger))
        except FileNotFoundError:
            ours = None
        return files.settle(
            ours, self._read_mark(known=ours), str(self._folder / files.HAUSER_MARK)
        )

    def _marks(self) -> list[Path]:
        # hauser reads the one without the prefix, and writes the one with it.
        prefix = self._settings.file_prefix
        names = dict.fromkeys((files.HAUSER_MARK, prefix + files.HAUSER_MARK))
        return [self._folder / name for name in names]

    def _read_mark(self, known: Ledger | None) -> datetime | None:
        found = []
        for path in self._marks():
            try:
                text = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            if known is not None and known.checkpoint is not None and not text.strip():
                # A crash of hauser leaves it empty; our ledger knows, and writes it anew.
                continue
            found.append(files.read_hauser_mark(text, str(path)))
        return max(found, default=None)

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
        moving = {t for _, t in (self._read_commit() or {"moves": []})["moves"]}
        kept = [e for e in ledger.entries if all(self._is_there(f, moving) for f in e.files)]
        return Ledger(tuple(kept), ledger.checkpoint)

    def _with_absent(self, after: Ledger, before: Ledger, present: Ledger) -> Ledger:
        """``after`` with the history of files that were moved away, unless they were replaced."""
        absent = [e for e in before.entries if e not in present.entries]
        kept = [e for e in absent if not after.overlapping(e.window)]
        return Ledger.of([*after.entries, *kept], after.checkpoint)

    def _is_there(self, file: StoredFile, moving: set[str]) -> bool:
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
    except OSError:
        shutil.copyfile(source, target)
        with target.open("rb") as copied:
            os.fsync(copied.fileno())
    disk.fsync_folder(target.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
