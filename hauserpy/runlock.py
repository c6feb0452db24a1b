"""One sync at a time for a destination on this machine: a lock that dies with its holder."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from hauserpy import disk
from hauserpy.errors import AlreadyRunning
from hauserpy.model import rfc3339
from hauserpy.owner import Owner

_LOOKS = 20
_LOOK_SECONDS = 0.05
"""A holder writes who it is as soon as it has the lock: wait for that so often, so long."""


class RunLock:
    """A context manager; raises AlreadyRunning, naming the holder, when another run is inside."""

    def __init__(self, path: Path, what: str, now: datetime, *, setting: str = "") -> None:
        """``setting`` says what the operator can choose another place for ``path`` with."""
        self._path = path
        self._setting = setting
        self._what = what
        self._now = now
        self._holder = path.with_suffix(".holder")
        self._lock = FileLock(path, timeout=0)

    def __enter__(self) -> None:
        with disk.explained(f"the lock {self._path} cannot be taken", setting=self._setting):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._lock.acquire()
            except Timeout:
                raise AlreadyRunning(
                    f"another sync of {self._what} is running: {self._described()}.",
                    "Let it finish; nothing was done.",
                ) from None
            own = Owner.of_this_process("")
            holder = {"pid": own.pid, "space": own.space, "host": own.host}
            holder["since"] = rfc3339(self._now)
            try:
                disk.sweep_temps(self._holder)
                disk.write_atomically(self._holder, json.dumps(holder).encode())
            except BaseException:
                self._lock.release()
                raise

    def __exit__(self, *_: object) -> None:
        # A note that stays behind says nothing while nobody has the lock.
        with suppress(OSError):
            disk.remove(self._holder)
        self._lock.release()

    def _described(self) -> str:
        for _ in range(_LOOKS):
            # What cannot be read, or is a dead run's, is about to be written.
            with suppress(OSError, ValueError, KeyError, TypeError):
                holder = json.loads(self._holder.read_bytes())
                owner = Owner(str(holder["host"]), int(holder["pid"]), "", str(holder["space"]))
                if not owner.known_dead():
                    return f"pid {owner.pid} on {owner.host}, since {holder['since']}"
            time.sleep(_LOOK_SECONDS)
        return "its process is not known"
