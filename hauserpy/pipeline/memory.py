"""Memory that the parent and its workers share, in slots of equal size."""

from __future__ import annotations

import mmap
import os
from contextlib import suppress


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

    def put(self, slot: int, *pieces: bytes | memoryview) -> bool:
        """Copy the pieces into the slot, one behind the other; False when they do not fit."""
        at = slot * self.size
        if sum(map(len, pieces)) > self.size:
            return False
        for piece in pieces:
            self._memory[at : at + len(piece)] = piece
            at += len(piece)
        return True

    def get(self, slot: int, length: int) -> bytes:
        start = slot * self.size
        return self._memory[start : start + length]

    def view(self, slot: int, length: int) -> memoryview:
        """What `get` gives, where it lies; good until something else is put there."""
        start = slot * self.size
        return memoryview(self._memory)[start : start + length]

    def close(self) -> None:
        # What a view still shows, as in the frames of an error, goes with the view.
        with suppress(BufferError):
            self._memory.close()
        os.close(self.fd)


def _nameless() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("hauserpy")
    # Imported here since few need it: a worker's start is short without.
    from tempfile import TemporaryFile

    with TemporaryFile(prefix="hauserpy-") as file:
        return os.dup(file.fileno())
