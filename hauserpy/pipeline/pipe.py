"""Messages between the parent and a worker, over one end of a socket pair.

What `multiprocessing.connection` does, without the eighth of a worker's start that its import
takes.
"""

from __future__ import annotations

import os
import pickle
from typing import Any

_LENGTH_BYTES = 8


class Pipe:
    """One end, by its file descriptor, which is the pipe's own from here on."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def send(self, message: Any) -> None:
        """Raises OSError when the other end is gone."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        left = memoryview(len(data).to_bytes(_LENGTH_BYTES, "little") + data)
        while left:
            left = left[os.write(self._fd, left) :]

    def recv(self) -> Any:
        """Wait for a message and give it. Raises EOFError or OSError when the other end is gone."""
        data = self._read(int.from_bytes(self._read(_LENGTH_BYTES), "little"))
        return pickle.loads(data)  # noqa: S301 - from our own process

    def close(self) -> None:
        os.close(self._fd)

    def _read(self, size: int) -> bytearray:
        data = bytearray()
        while len(data) < size:
            more = os.read(self._fd, size - len(data))
            if not more:
                raise EOFError
            data += more
        return data
