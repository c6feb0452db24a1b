"""A source that offers what a test says, and a plant around it and a local folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hauserpy.config import LocalSettings, Settings
from hauserpy.destinations import Destination
from hauserpy.destinations.local import Local
from hauserpy.engine.report import Summary
from hauserpy.engine.runs import Plant, sync
from hauserpy.entries import LedgerEntry
from hauserpy.errors import HauserpyError
from hauserpy.export.source import Body
from hauserpy.fields import catalogue
from hauserpy.ledger import Step
from hauserpy.model import Bundle, Part, Window
from hauserpy.pipeline.spool import Spool
from hauserpy.waiting import Waiter

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = datetime(2026, 11, 1, tzinfo=UTC)


def hour(number: int) -> Window:
    return Window(DAY + timedelta(hours=number), DAY + timedelta(hours=number + 1))


def text_of(bundle: Bundle) -> bytes:
    """Two events that tell their bundle."""
    return json.dumps([{"EventTargetText": f"{bundle.id}/{n}"} for n in range(2)]).encode()


class Silent:
    """A Reporter that says nothing."""

    def note(self, message: str) -> None: ...

    def began(self, bundle: Bundle) -> None: ...

    def fetched(self, bundle: Bundle, bytes: int, total: int | None) -> None: ...

    def staged(self, bundle: Bundle, records: int, bytes: int, read: int) -> None: ...

    def loading(self, bundle: Bundle) -> None: ...

    def loaded(self, entry: LedgerEntry, seconds: float) -> None: ...


@dataclass
class Scripted:
    """A `Source` and a fetch: bundles in order, each with a body or an error."""

    windows: Sequence[Window] = tuple(hour(n) for n in range(5))
    errors: dict[str, HauserpyError] = field(default_factory=dict)
    """By bundle id: raised by its download. ``list:N`` is raised by the list behind N bundles."""
    fetched: list[str] = field(default_factory=list)
    listed: int = 0
    before_fetch: Callable[[Bundle], None] = lambda bundle: None

    @property
    def bundles(self) -> list[Bundle]:
        return [Bundle(str(n), window) for n, window in enumerate(self.windows)]

    def due(
        self,
        after: datetime | None,
        until: datetime | None = None,
        *,
        loaded: Sequence[Window] = (),
        replace: bool = False,
    ) -> Iterator[Bundle]:
        self.listed += 1
        for number, bundle in enumerate(self.bundles):
            if f"list:{number}" in self.errors:
                raise self.errors[f"list:{number}"]
            if after is None or bundle.window.stop > after:
                yield bundle

    @contextmanager
    def _open(self) -> Iterator[Body]:
        raise RuntimeError("the scripted source is fetched from, not opened")
        yield

    def open(self, bundle: Bundle) -> AbstractContextManager[Body]:
        return self._open()

    def announce(self, bundle: Bundle) -> None: ...

    def close(self) -> None: ...

    def fetch(self, step: Step, spool: Spool) -> None:
        self.before_fetch(step.bundle)
        self.fetched.append(step.bundle.id)
        if step.bundle.id in self.errors:
            raise self.errors[step.bundle.id]
        spool.write(text_of(step.bundle))


class Watched(Local):
    """A local folder that calls ``before_load`` and ``after_load`` around each load."""

    before_load: Callable[[LedgerEntry], None] = staticmethod(lambda entry: None)
    after_load: Callable[[LedgerEntry], None] = staticmethod(lambda entry: None)

    def load(
        self,
        entry: LedgerEntry,
        parts: Sequence[Part],
        *,
        expected: frozenset[str],
        checkpoint: datetime | None,
    ) -> LedgerEntry:
        self.before_load(entry)
        stored = super().load(entry, parts, expected=expected, checkpoint=checkpoint)
        self.after_load(entry)
        return stored


def folder_of(base: Path) -> Watched:
    return Watched(Settings(local=LocalSettings(save_dir=base / "data")), clock=lambda: NOW)


def plant(source: Scripted, destination: Destination, base: Path) -> Plant:
    return Plant(
        source=source,
        destination=destination,
        fetch=source.fetch,
        fields=catalogue(),
        temp=base / "tmp",
        workers=1,
        most_record_bytes=1 << 24,
        clock=lambda: NOW,
        reporter=Silent(),
        stop=Waiter(),
    )


def synced(made: Plant, summary: Summary | None = None) -> Summary:
    told = summary or Summary()
    sync(made, told)
    return told


def with_fetch(made: Plant, fetch: Callable[[Step, Spool], None]) -> Plant:
    return replace(made, fetch=fetch)
