"""Faults for crash tests: at a chosen statement the stand-in waits, hangs up or answers an error."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

from tests.standins.redshift.wire import SqlError


@dataclass(eq=False)
class Fault:
    """What happens at the ``nth`` statement that matches ``pattern`` (from its first word on).

    ``when``: before the statement is given to the database; during a COPY, when some of its rows
    have been written; or after it was executed and before the client hears of it. ``action``:
    ``hold`` waits until `release`, or until the client is gone; ``drop`` closes both connections,
    as a broken network does; ``error`` answers ``error``, and the transaction is aborted.
    """

    pattern: str
    when: Literal["before", "during", "after"] = "before"
    action: Literal["hold", "drop", "error"] = "drop"
    error: SqlError | None = None
    nth: int = 1
    times: int = 1
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    seen: int = 0

    def release(self) -> None:
        self.released.set()


class Faults:
    """The faults to come; each statement is compared with all of them."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            for fault in self._faults:
                fault.release()
            self._faults.clear()

    def due(self, sql: str, when: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.when != when or not re.match(
                    fault.pattern, sql.lstrip(), re.IGNORECASE | re.DOTALL
                ):
                    continue
                fault.seen += 1
                if fault.nth <= fault.seen < fault.nth + fault.times:
                    fault.reached.set()
                    return fault
        return None
