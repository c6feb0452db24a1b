"""The write-ahead commit of a local folder: what was decided, until all of it is done.

A load has happened at the instant at which ``.hauserpy/commit.json`` appears. Everything that it
says can be carried out any number of times, by whoever holds the ledger's lock.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauserpy import disk
from hauserpy.destinations import files
from hauserpy.destinations.reading import Damaged, parsed
from hauserpy.destinations.scope import Scope
from hauserpy.errors import LedgerUnreadable
from hauserpy.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Commit:
    """What a load decided. Names are relative to SaveDir."""

    ledger: Ledger
    moves: tuple[tuple[str, str], ...] = ()
    """(a whole file that waits, the name under which it is to be read)."""
    remove: tuple[str, ...] = ()
    """Files of the entries that were replaced."""

    @property
    def sources(self) -> frozenset[str]:
        return frozenset(source for source, _ in self.moves)

    @property
    def targets(self) -> frozenset[str]:
        return frozenset(target for _, target in self.moves)


class Journal:
    """The commit and the ledger in ``folder``. What writes needs the ledger's lock."""

    def __init__(self, folder: Path, scope: Scope) -> None:
        self._folder = folder
        self._scope = scope
        self._path = folder / files.LEDGER.replace("ledger", "commit")
        self._ledger = folder / files.LEDGER
        # Read once, before there are threads: it can only be read by setting it.
        self._mode = 0o666 & ~_umask()
        # The document that was read or written last: after years it has tens of thousands of
        # entries, too many to parse again and again with each load.
        self._known: tuple[bytes, Ledger] | None = None

    def ledger(self) -> Ledger | None:
        """``.hauserpy/ledger.json`` as it is; None when there is none. Raises LedgerUnreadable."""
        try:
            return self._decoded(self._ledger.read_bytes(), self._ledger)
        except FileNotFoundError:
            return None

    def read(self) -> Commit | None:
        """What is decided and perhaps not done. Raises LedgerUnreadable for garbage."""
        try:
            ledger, moves, remove = _decided(parsed(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except Damaged as damaged:
            raise LedgerUnreadable(
                f"{self._path} cannot be read: {damaged}.",
                "Restore it from a backup; hauserpy never takes a commit for none.",
            ) from damaged
        return Commit(self._decoded(ledger, self._path), moves, remove)

    def write(self, commit: Commit) -> None:
        """Decide: from here on the load has happened, whatever dies."""
        data = {
            "ledger": self._encoded(commit.ledger).decode(),
            "moves": commit.moves,
            "remove": commit.remove,
        }
        disk.write_atomically(self._path, json.dumps(data).encode())

    def carry_out(self, commit: Commit) -> None:
        """Do what is decided: files in place, then the ledger, then the replaced files away. Each
        step may have been done before."""
        for source, target in commit.moves:
            waiting, place = self._folder / source, self._folder / target
            if waiting.exists():
                waiting.chmod(self._mode)
                waiting.replace(place)
                with suppress(OSError):
                    waiting.parent.rmdir()
            # Also when a run that died has renamed it: it may not be on the disk yet.
            disk.fsync_folder(place.parent)
        disk.write_atomically(self._ledger, self._encoded(commit.ledger))
        for name in commit.remove:
            disk.remove(self._folder / name)

    def forget(self) -> None:
        """All is done."""
        disk.remove(self._path)
        disk.fsync_folder(self._path.parent)

    def sweep(self) -> None:
        """Remove what a run left that died while it wrote."""
        disk.sweep_temps(self._path)
        disk.sweep_temps(self._ledger)

    def _decoded(self, document: bytes, path: Path) -> Ledger:
        if self._known is None or self._known[0] != document:
            self._known = document, files.decode(document, str(path), self._scope)
        return self._known[1]

    def _encoded(self, ledger: Ledger) -> bytes:
        if self._known is None or self._known[1] is not ledger:
            self._known = files.encode(ledger, self._scope), ledger
        return self._known[0]

    def stamp(self) -> tuple[object, ...]:
        """Changes with each commit that is decided, and with each that is done."""
        return _stamp(self._path), _stamp(self._ledger)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _decided(data: Any) -> tuple[bytes, tuple[tuple[str, str], ...], tuple[str, ...]]:
    """(the ledger's document, the moves, what to remove). Raises Damaged."""
    try:
        return (
            data["ledger"].encode(),
            tuple((str(source), str(target)) for source, target in data["moves"]),
            tuple(str(name) for name in data["remove"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(
            'it is no commit, which is a JSON object with "ledger", "moves" and "remove"'
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
