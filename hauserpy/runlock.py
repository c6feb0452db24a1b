"""One sync at a time for a destination on this machine: a lock that dies with its holder."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from hauserpy import disk
from hauserpy.errors import AlreadyRunning
from hauserpy.model import rfc3339
from hauserpy.owner import host_name


class RunLock:
    """A context manager; raises AlreadyRunning, naming the holder, when another run is inside."""

    def __init__(self, path: Path, what: str, now: datetime) -> None:
        self._path = path
        self._what = what
        self._now = now
        self._holder = path.with_suffix(".holder")
        self._lock = FileLock(path, timeout=0)

    def __enter__(self) -> None:
        with disk.explained(f"the lock {self._path} cannot be taken"):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._lock.acquire()
            except Timeout:
                raise AlreadyRunning(
                    f"another sync of {self._what} is running: {self._described()}.",
                    "Let it finish; nothing was done.",
                ) from None
            holder = {"pid": os.getpid(), "host": host_name(), "since": rfc3339(self._now)}
            disk.write_atomically(self._holder, json.dumps(holder).encode())

    def __exit__(self, *_: object) -> None:
        disk.remove(self._holder)
        self._lock.release()

    def _described(self) -> str:
        try:
            holder = json.loads(self._holder.read_bytes())
            return f"pid {holder['pid']} on {holder['host']}, since {holder['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "it has only just begun"
