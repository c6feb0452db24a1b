"""A bundle's body on disk: written at the speed of the wire, and read while it grows.

A slow transform must not keep the connection open: multi-gigabyte bundles are seen to lose theirs
after ten minutes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_READ_BYTES = 1 << 16


class Restarted(Exception):
    """The download began again from its first byte: what was read so far counts for nothing."""


class Spool:
    """One file with one writer and one reader, which may be threads of their own.

    The writer calls `write`, `restart` when the download begins again, and at the end `finish` or
    `fail`; the reader iterates over `chunks`. An OSError of the disk goes to whoever met it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changed = threading.Condition()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._out: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
        self._attempt = 0
        self._size = 0
        self._done = False
        self._error: BaseException | None = None
        self._closed = False
        self.read = 0
        """How far the reader has come, in bytes."""

    @property
    def size(self) -> int:
        return self._size

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[self._out.write(view) :]
        with self._changed:
            self._size += len(chunk)
            self._changed.notify_all()

    def restart(self) -> None:
        """Forget everything that was written."""
        with self._changed:
            if self._size == 0:
                return
            self._out.seek(0)
            self._out.truncate()
            self._attempt += 1
            self._size = 0
            self._changed.notify_all()

    def finish(self) -> None:
        with self._changed:
            self._done = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Let the reader raise ``error`` too."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def chunks(self) -> Iterator[bytes]:
        """The body as far as it has come, waiting for more until it is whole.

        Raises Restarted when the download began again (iterate anew), or what `fail` was given.
        """
        with self._changed:
            attempt, at = self._attempt, 0
        with self.path.open("rb", buffering=0) as body:
            while True:
                ready, done = self._wait_beyond(at, attempt)
                if not ready and done:
                    return
                chunk = body.read(min(ready, _READ_BYTES))
                with self._changed:
                    if self._attempt != attempt:
                        raise Restarted
                at += len(chunk)
                self.read = at
                yield chunk

    def _wait_beyond(self, at: int, attempt: int) -> tuple[int, bool]:
        """Wait for more than ``at`` bytes, or the end: (bytes ready, whether that is all)."""
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if self._attempt != attempt:
                    raise Restarted
                if self._size > at or self._done:
                    return self._size - at, self._done
                self._changed.wait()

    def close(self) -> None:
        """Remove the file; may be called twice."""
        if not self._closed:
            self._closed = True
            self._out.close()
            self.path.unlink(missing_ok=True)
