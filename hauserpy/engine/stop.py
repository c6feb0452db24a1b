"""How a run is told to stop: a flag that waits can be woken by."""

from __future__ import annotations

import threading

from hauserpy.errors import Interrupted


class Stop:
    """Set by a signal handler, looked at between steps, and waited on instead of sleeping."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._signum = 0

    def set(self, signum: int) -> None:
        self._signum = signum
        self._event.set()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise Interrupted once it is set."""
        if self._event.is_set():
            raise Interrupted(self._signum)

    def sleep(self, seconds: float) -> None:
        """Wait; raise Interrupted as soon as it is set."""
        self._event.wait(seconds)
        self.check()
