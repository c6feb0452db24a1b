"""What goes wrong on purpose, and the log of what was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    DROP_BEFORE = "drop_before"
    """The connection is closed and the request is never seen by the service."""
    DROP_AFTER = "drop_after"
    """The request is done and its answer lost."""
    STATUS = "status"
    """An error answer instead of doing it."""
    HOLD = "hold"
    """Wait for `Fault.release` before doing it."""


@dataclass
class Fault:
    """Befalls requests whose ``METHOD path?query`` matches ``pattern``: not the first ``skip``, then
    ``times`` of them."""

    pattern: str
    action: Action
    times: int = 1
    skip: int = 0
    status: int = 503
    reason: str = "backendError"
    retry_after: str | None = None
    hits: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self.released.set()


@dataclass(frozen=True)
class Request:
    """One request as it came in. ``path`` has its query, without the project's prefix."""

    method: str
    path: str
    size: int
    status: int | None
    """None when no answer was sent."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Faults:
    """The plan of faults and the log of requests. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._plan: list[Fault] = []
        self._log: list[Request] = []

    def add(self, pattern: str, action: Action | str, **options: object) -> Fault:
        made = Fault(pattern, Action(action), **options)  # type: ignore[arg-type]
        with self._guard:
            self._plan.append(made)
        return made

    def clear(self) -> None:
        with self._guard:
            for fault in self._plan:
                fault.release()
            self._plan.clear()

    def strike(self, request: str) -> Fault | None:
        """The fault that befalls this request: the first whose turn it is. All that match count."""
        with self._guard:
            found = None
            for fault in self._plan:
                if re.search(fault.pattern, request):
                    fault.hits += 1
                    if found is None and fault.skip < fault.hits <= fault.skip + fault.times:
                        fault.reached.set()
                        found = fault
            return found

    def record(self, request: Request) -> None:
        with self._guard:
            self._log.append(request)

    @property
    def log(self) -> list[Request]:
        with self._guard:
            return list(self._log)

    @contextmanager
    def recorded(self) -> Iterator[list[Request]]:
        """The requests that come in while the block runs, filled in when it ends."""
        start = len(self.log)
        found: list[Request] = []
        yield found
        found.extend(self.log[start:])


@dataclass
class Gate:
    """Stops a job's script before a statement that matches, until it is released."""

    pattern: str
    job: str = ""
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self.released.set()


class Gates:
    """Where scripts stop. A gate stops one job, once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._gates: list[Gate] = []

    def add(self, pattern: str, job: str = "") -> Gate:
        gate = Gate(pattern, job)
        with self._guard:
            self._gates.append(gate)
        return gate

    def clear(self) -> None:
        with self._guard:
            for gate in self._gates:
                gate.release()
            self._gates.clear()

    def pass_by(self, job: str, statement: str) -> None:
        with self._guard:
            found = next(
                (
                    g
                    for g in self._gates
                    if re.search(g.pattern, statement) and re.search(g.job, job)
                ),
                None,
            )
            if found is not None:
                self._gates.remove(found)
        if found is not None:
            found.reached.set()
            found.released.wait(timeout=60)
