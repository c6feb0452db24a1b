"""Bundles for the contract suite: records, staged by the real pipeline, and the engine's own steps."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hauserpy.destinations import Destination
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.fields import catalogue
from hauserpy.layout import Layout
from hauserpy.ledger import steps_for
from hauserpy.model import Bundle, Clip, Staged, Window, rfc3339
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Spool
from hauserpy.pipeline.stage import stage

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def hours(first: float, last: float) -> Window:
    """From one hour of the first of November to another."""
    return Window(DAY + timedelta(hours=first), DAY + timedelta(hours=last))


def hour(number: int) -> Window:
    return hours(number, number + 1)


def events(window: Window, tag: str = "") -> list[dict[str, Any]]:
    """Two records for each hour of the window, named ``<hour><tag>/0`` and ``/1``."""
    made = []
    first = round((window.start - DAY) / timedelta(hours=1))
    last = round((window.stop - DAY) / timedelta(hours=1))
    for number in range(first, last):
        for half in range(2):
            start = hour(number).start + timedelta(minutes=30 * half)
            made.append(
                {
                    "EventStart": rfc3339(start),
                    "EventType": "click",
                    "UserId": 2**62 + number,
                    "EventTargetText": f"{number}{tag}/{half}",
                    "user_plan_str": "gold",
                }
            )
    return made


def texts(*numbers: int, tag: str = "") -> list[str]:
    """The names of those hours' events, sorted."""
    return sorted(f"{number}{tag}/{half}" for number in numbers for half in range(2))


def staged(
    layout: Layout,
    window: Window,
    records: Sequence[Any],
    folder: Path,
    clip: Clip | None = None,
) -> Staged:
    """The records as a bundle, through decode, transform and staging."""
    folder = folder / uuid.uuid4().hex
    (folder / "parts").mkdir(parents=True)
    spool = Spool(folder / "spool")
    spool.write(gzip.compress(json.dumps(records).encode()))
    spool.finish()
    pool = Pool(1)
    try:
        return stage(spool, Job(layout, window, clip, 16 * 2**20), folder / "parts", pool)
    finally:
        spool.close()
        pool.close()


def entry_for(
    window: Window, rows: Staged | None = None, kind: EntryKind = EntryKind.SYNC, **given: Any
) -> LedgerEntry:
    made = LedgerEntry(
        window=window, kind=kind, bundle=str(int(window.start.timestamp())), load=str(uuid.uuid4())
    )
    if rows is not None:
        made = replace(
            made,
            records=rows.records,
            bytes=rows.bytes,
            changes=rows.changes,
            first_event=rows.first_event,
            last_event=rows.last_event,
        )
    return replace(made, **given)


class Run:
    """What the engine does with a destination, one bundle at a time."""

    def __init__(self, destination: Destination, folder: Path) -> None:
        self.destination = destination
        self.folder = folder
        self.layout = destination.prepare(catalogue())

    def stage(self, window: Window, records: Sequence[Any] | None = None, tag: str = "") -> Staged:
        given = events(window, tag) if records is None else records
        return staged(self.layout, window, given, self.folder)

    def load(
        self,
        window: Window,
        records: Sequence[Any] | None = None,
        *,
        tag: str = "",
        kind: EntryKind = EntryKind.SYNC,
        replace_loaded: bool = False,
    ) -> list[LedgerEntry]:
        """Plan the bundle against the ledger and load what there is to load of it."""
        given = events(window, tag) if records is None else records
        made = []
        bundle = Bundle(str(int(window.start.timestamp())), window)
        ledger = self.destination.ledger()
        for step in steps_for(ledger, bundle, replace_loaded=replace_loaded):
            rows = staged(self.layout, step.window, given, self.folder, step.clip)
            made.append(
                self.destination.load(
                    entry_for(step.window, rows, kind, bundle=bundle.id),
                    rows.parts,
                    expected=step.expected,
                    checkpoint=step.window.stop if kind is EntryKind.SYNC else None,
                )
            )
        return made
