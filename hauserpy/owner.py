"""Whose leftovers a file is: names that carry host, process and load, and when they may be removed."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

_HELD = "held"
FORGOTTEN = timedelta(hours=48)
"""After so long, leftovers of an owner that cannot be asked (another host) are swept."""

_NAME = re.compile(
    r"hauserpy~(?P<host>[^~]+)~(?P<pid>[0-9]+)\.(?P<space>[0-9a-f]{8})~(?P<load>[0-9A-Za-z-]+)"
)


@cache
def pid_space() -> str:
    """Tells which pids are those of this process's neighbours: containers may have the same host name
    and each pids of its own, and after a restart of the machine all are given anew."""
    known = b""
    # Where there is no /proc, all processes of the machine share their pids.
    with suppress(OSError):
        known = Path("/proc/sys/kernel/random/boot_id").read_bytes()
        known += bytes(Path("/proc/self/ns/pid").readlink())
    return f"{zlib.crc32(known):08x}"


@dataclass(frozen=True, slots=True)
class Owner:
    """A run's process: ``host`` and ``pid``, which has a meaning in its ``space``; ``load`` is the
    attempt's uuid."""

    host: str
    pid: int
    load: str
    space: str = field(default_factory=pid_space)

    @classmethod
    def of_this_process(cls, load: str) -> Owner:
        return cls(host_name(), os.getpid(), load)

    @classmethod
    def from_name(cls, name: str) -> Owner | None:
        """The owner that a name made by `name` tells; None for any other name."""
        match = _NAME.search(name)
        if match is None:
            return None
        return cls(match["host"], int(match["pid"]), match["load"], match["space"])

    @property
    def name(self) -> str:
        """``hauserpy~host~pid.space~load``: safe in file names, object keys and URLs."""
        return f"hauserpy~{self.host}~{self.pid}.{self.space}~{self.load}"

    def is_gone(self, age: timedelta) -> bool:
        """Whether what it left, so old by now, is to be swept."""
        return self.known_dead() or age > FORGOTTEN

    def known_dead(self) -> bool:
        """Whether the process ran here, where its pid can be looked up, and runs no more."""
        if (self.host, self.space) != (host_name(), pid_space()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def host_name() -> str:
    return re.sub(r"[^0-9A-Za-z.-]", "-", socket.gethostname()) or "localhost"


@contextmanager
def owned_folder(path: Path) -> Iterator[None]:
    """Make a folder that is named after an owner, and hold it while inside: as long as this process
    lives, `leftovers` then leaves it alone, in whichever container it is asked."""
    path.mkdir(mode=0o700, exist_ok=True)
    new = path / f"{_HELD}.new"
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as held:
        # Under its name it is never seen unlocked, as long as it is held. Where the file system has
        # no such locks, the folder's name must do.
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX)
            new.rename(path / _HELD)
        yield


def leftovers(folder: Path) -> list[Path]:
    """The folders in ``folder`` of runs that are dead, or of which nobody knows for 48 hours."""
    found: list[Path] = []
    if not folder.is_dir():
        return found
    for path in folder.iterdir():
        owner = Owner.from_name(path.name)
        if owner is None:
            continue
        with suppress(FileNotFoundError):
            dead = _is_let_go(path)
            if dead is None:
                dead = owner.is_gone(timedelta(seconds=time.time() - path.stat().st_mtime))
            if dead:
                found.append(path)
    return found


def _is_let_go(folder: Path) -> bool | None:
    """Whether nobody holds a folder any more; None when it cannot be told, as of one just made."""
    try:
        held = (folder / _HELD).open("rb")
    except OSError:
        return None
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
    return True
