"""Memory that the parent and its workers share, in slots of equal size."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path


class Slots:
    """``count`` slots of ``size`` bytes behind one file descriptor that no name leads to, so that
    nothing is left when the processes die."""

    def __init__(self, fd: int, count: int, size: int) -> None:
        self.fd = fd
        self.count = count
        self.size = size
        self._memory = mmap.mmap(fd, count * size)

    @classmethod
    def create(cls, count: int, size: int) -> Slots:
        fd = _nameless()
        os.ftruncate(fd, count * size)
        return cls(fd, count, size)

    def put(self, slot: int, data: bytes) -> bool:
        """Copy ``data`` into the slot; False when it does not fit."""
        if len(data) > self.size:
            return False
        start = slot * self.size
        self._memory[start : start + len(data)] = data
        return True

    def get(self, slot: int, length: int) -> bytes:
        start = slot * self.size
        return self._memory[start : start + length]

    def close(self) -> None:
        self._memory.close()
        os.close(self.fd)


def _nameless() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("hauserpy")
    fd, path = tempfile.mkstemp(prefix="hauserpy-")
    Path(path).unlink()
    return fd
