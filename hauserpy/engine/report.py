"""What a run tells while it goes, and what it was in the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from hauserpy.entries import LedgerEntry
from hauserpy.ledger import Step
from hauserpy.model import Bundle, Changes, Window, rfc3339


class Reporter(Protocol):
    """Told from several threads; must not raise, and must not hold anybody up."""

    def note(self, message: str) -> None:
        """Something that the operator may want to know: a wait, a retry, an inference."""
        ...

    def began(self, bundle: Bundle) -> None: ...

    def fetched(self, bundle: Bundle, bytes: int, total: int | None) -> None:
        """So many bytes of the body have come; ``total`` as the server announced it."""
        ...

    def staged(self, bundle: Bundle, records: int, bytes: int, read: int) -> None:
        """So many records and bytes of text are staged, from so many bytes of the body."""
        ...

    def loading(self, bundle: Bundle) -> None: ...

    def loaded(self, entry: LedgerEntry, seconds: float) -> None: ...


@dataclass(slots=True)
class Summary:
    """What a run did. ``to_json`` is the documented object of ``--json``."""

    loaded: list[LedgerEntry] = field(default_factory=list)
    passed: list[Window] = field(default_factory=list)
    """Windows that were loaded already, over which only the checkpoint moved."""
    planned: list[Step] = field(default_factory=list)
    """A dry run's steps."""
    checkpoint: datetime | None = None
    seconds: float = 0.0

    def add(self, other: Summary) -> None:
        """Take another run's results in."""
        self.loaded += other.loaded
        self.passed += other.passed
        self.checkpoint = other.checkpoint or self.checkpoint
        self.seconds += other.seconds

    @property
    def bundles(self) -> int:
        """How many were loaded; one in parts is one."""
        return len({e.bundle or e.load for e in self.loaded})

    @property
    def records(self) -> int:
        return sum(e.records for e in self.loaded)

    @property
    def bytes(self) -> int:
        return sum(e.bytes for e in self.loaded)

    @property
    def changes(self) -> Changes:
        return Changes.total(e.changes for e in self.loaded)

    def to_json(self) -> dict[str, Any]:
        return {
            "bundles": self.bundles,
            "records": self.records,
            "bytes": self.bytes,
            "changes": self.changes.to_json(),
            "checkpoint": None if self.checkpoint is None else rfc3339(self.checkpoint),
            "seconds": round(self.seconds, 3),
            "loaded": [e.to_json() for e in self.loaded],
            "passed": [window_json(w) for w in self.passed],
            "planned": steps_json(self.planned),
        }


def window_json(window: Window) -> dict[str, str]:
    return {"start": rfc3339(window.start), "stop": rfc3339(window.stop)}


def steps_json(steps: Iterable[Step]) -> list[dict[str, Any]]:
    return [
        {
            "bundle": step.bundle.id,
            **window_json(step.window),
            "clipped": step.clip is not None,
            "replaces": sorted(step.expected),
        }
        for step in steps
    ]
