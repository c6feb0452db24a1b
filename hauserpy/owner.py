"""Whose leftovers a file is: names that carry host, pid and load, and when they may be removed."""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

_FORGOTTEN_SECONDS = 48 * 3600
"""After so long, leftovers of an owner that cannot be asked (another host) are swept."""

_NAME = re.compile(r"hauserpy~(?P<host>[^~]+)~(?P<pid>[0-9]+)~(?P<load>[0-9A-Za-z-]+)")


@dataclass(frozen=True, slots=True)
class Owner:
    """A run's process: ``host`` and ``pid``; ``load`` is the attempt's uuid."""

    host: str
    pid: int
    load: str

    @classmethod
    def of_this_process(cls, load: str) -> Owner:
        return cls(host_name(), os.getpid(), load)

    @classmethod
    def from_name(cls, name: str) -> Owner | None:
        """The owner that a name made by `name` tells; None for any other name."""
        match = _NAME.search(name)
        return None if match is None else cls(match["host"], int(match["pid"]), match["load"])

    @property
    def name(self) -> str:
        """``hauserpy~host~pid~load``: safe in file names, object keys and URLs."""
        return f"hauserpy~{self.host}~{self.pid}~{self.load}"

    def known_dead(self) -> bool:
        """Whether the process ran on this host and runs no more."""
        if self.host != host_name():
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


def leftovers(folder: Path) -> list[Path]:
    """What in ``folder`` belongs to runs that are dead, or is older than 48 hours."""
    found: list[Path] = []
    if not folder.is_dir():
        return found
    for path in folder.iterdir():
        owner = Owner.from_name(path.name)
        if owner is None:
            continue
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue
        if owner.known_dead() or age > _FORGOTTEN_SECONDS:
            found.append(path)
    return found
