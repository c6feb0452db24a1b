"""The runs: sync, backfill and skip; when to load, to plan again, and to move the checkpoint."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hauserpy import disk
from hauserpy.destinations.base import Destination
from hauserpy.engine.line import Fetch, Line, Ready
from hauserpy.engine.plans import Backfill, Plan, Sync
from hauserpy.engine.report import Reporter, Summary
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import ConfigError, CorruptBundle, Interrupted, LedgerMoved
from hauserpy.export.source import Source
from hauserpy.fields import Field
from hauserpy.layout import Layout
from hauserpy.ledger import Ledger, Step
from hauserpy.model import BEGINNING, Window, rfc3339
from hauserpy.owner import Owner, leftovers, owned_folder
from hauserpy.pipeline.pool import Pool
from hauserpy.waiting import Waiter

_REPLANS = 8
"""How often in a row another run may load what this one planned, before it gives up."""


@dataclass(frozen=True, slots=True)
class Plant:
    """What a run works with; the clock and the waits are the caller's."""

    source: Source
    destination: Destination
    fetch: Fetch
    fields: Sequence[Field]
    temp: Path
    """A folder of its own is made in it, and swept of what dead runs left."""
    workers: int
    most_record_bytes: int
    clock: Callable[[], datetime]
    reporter: Reporter
    stop: Waiter
    api_is_default: bool = False
    """Nothing tells which of the two export APIs is meant: over what the Go hauser has loaded, which
    used one of them, no load is planned."""


def sync(
    plant: Plant,
    summary: Summary,
    *,
    start: datetime | None = None,
    keep_start: bool = False,
    from_start: bool = False,
    tell_before: bool = False,
    max_bundles: int | None = None,
    dry_run: bool = False,
) -> None:
    """Load everything that is due, in order, and move the checkpoint with each load.

    With ``keep_start``, ``start`` becomes the first checkpoint, so that later runs begin there too
    whatever they think "30 days ago" is; for ``from_start`` and what follows it see
    `hauserpy.engine.plans.Sync`. ``summary`` is filled as the run goes: on an error, what was loaded
    before stays loaded and is told there.
    """
    if start is not None and start > plant.clock():
        plant.reporter.note(
            f"StartTime {rfc3339(start)} lies in the future; nothing is due before then."
        )
    plan = Sync(
        plant.source, plant.reporter, start,
        from_start=from_start, tell_before=tell_before,
    )  # fmt: skip
    origin = start if keep_start else None
    _carry_out(plan, plant, summary, max_bundles=max_bundles, dry_run=dry_run, origin=origin)


def backfill(
    plant: Plant,
    summary: Summary,
    since: datetime,
    until: datetime | None = None,
    *,
    replace_loaded: bool = False,
    dry_run: bool = False,
) -> None:
    """Load the missing windows of a span, or with ``replace_loaded`` all of them anew.

    The checkpoint stays where it is. Run again, it goes on where it stopped. Raises ConfigError
    for a span that has not begun.
    """
    if since >= plant.clock():
        raise ConfigError(
            f"{rfc3339(since)} lies in the future; nothing has happened since then.",
            "Give an earlier --since.",
        )
    plan = Backfill(
        plant.source, plant.destination, plant.reporter, since, until,
        replace_loaded=replace_loaded,
    )  # fmt: skip
    _carry_out(plan, plant, summary, dry_run=dry_run)


def skip(plant: Plant, summary: Summary, window: Window, reason: str) -> None:
    """Give ``window`` up: its parts that are not loaded are entered as skipped, without rows.

    The checkpoint moves over it when it had come to its beginning. Where sync has not begun yet, it
    stays unset: sync begins with the first bundle that is offered, and passes over the window.
    """
    if window.stop > plant.clock():
        raise ConfigError(
            f"{window} ends in the future; only what has happened can be given up.",
            "Give an earlier --until.",
        )
    plant.destination.prepare(plant.fields)
    ledger = _ledger(plant)
    reaches = ledger.checkpoint is not None and ledger.checkpoint >= window.start
    moved = 0
    while missing := next(iter(ledger.missing(window)), None):
        entry = LedgerEntry(
            window=missing,
            kind=EntryKind.SKIP,
            bundle="",
            load=str(uuid.uuid4()),
            loaded_at=plant.clock(),
            reason=reason,
        )
        checkpoint = ledger.reach(missing.stop) if reaches else None
        expected = ledger.loads_in(missing)
        try:
            stored = plant.destination.load(entry, (), expected=expected, checkpoint=checkpoint)
        except LedgerMoved:
            moved += 1
            if moved > _REPLANS:
                raise
        else:
            summary.loaded.append(stored)
        ledger = _ledger(plant)
    summary.checkpoint = ledger.checkpoint


def _carry_out(
    plan: Plan,
    plant: Plant,
    summary: Summary,
    *,
    max_bundles: int | None = None,
    dry_run: bool = False,
    origin: datetime | None = None,
) -> None:
    """All of the plan, or what is to do about the first ``max_bundles``; ``origin`` becomes the
    checkpoint when there is none."""
    began = time.monotonic()
    try:
        if dry_run:
            ledger = _to_plan_from(plant)
            summary.planned = list(_of_first(max_bundles, plan.steps(ledger)))
            summary.checkpoint = ledger.checkpoint
        else:
            layout = plant.destination.prepare(plant.fields)
            _Run(plan, plant, summary, layout, max_bundles, origin).to_its_end()
    finally:
        summary.seconds = time.monotonic() - began


def _of_first(
    most: int | None, planned: Iterator[Sequence[Step]], begun: Iterable[str] = ()
) -> Iterator[Step]:
    """The steps of so many bundles, those among them of which a part was loaded before; None: all."""
    counted = set(begun)
    for steps in planned:
        counted.add(steps[0].bundle.id)
        if most is not None and len(counted) > most:
            return
        yield from steps


@dataclass(frozen=True, slots=True)
class _Run:
    plan: Plan
    plant: Plant
    summary: Summary
    layout: Layout
    max_bundles: int | None
    origin: datetime | None

    def to_its_end(self) -> None:
        """Plans anew where another run moved the ledger, and once for each bundle that is corrupt."""
        in_vain = 0
        twice: set[str | None] = set()
        while True:
            before = len(self.summary.loaded)
            try:
                self._load_all()
                return
            except LedgerMoved as moved:
                in_vain = 0 if len(self.summary.loaded) > before else in_vain + 1
                if in_vain > _REPLANS:
                    raise
                self.plant.reporter.note(f"{moved.reason} Planning again.")
            except CorruptBundle as corrupt:
                # Bundles are made on demand, and a proxy's page of the moment is no bundle.
                if corrupt.bundle in twice:
                    raise
                twice.add(corrupt.bundle)
                self.plant.reporter.note(f"{corrupt.reason} Fetching it anew.")

    def _load_all(self) -> None:
        """Load what the ledger, as it is now, leaves to be done."""
        ledger = self._begun(_to_plan_from(self.plant))
        self.summary.checkpoint = ledger.checkpoint
        ledger = self._pass_over(ledger)
        with self._line(ledger) as line:
            for ready in line:
                ledger = self._load(ledger, ready)
                self.plant.stop(0)
        # What was offered last may be loaded already, and lie behind a gap or the very beginning.
        self._pass_over(ledger, self.plan.offered_until)

    @contextmanager
    def _line(self, ledger: Ledger) -> Iterator[Line]:
        """What is to do, on its way."""
        plant = self.plant
        begun = [entry.bundle for entry in self.summary.loaded]
        steps = _of_first(self.max_bundles, self.plan.steps(ledger), begun)
        # Workers and files are of this line alone: a thread of it that hangs in a download is left
        # behind when another line begins, and must meet neither.
        with (
            _temp_folder(plant.temp) as temp,
            closing(Pool(plant.workers)) as pool,
            closing(
                Line(
                    steps, plant.fetch, announce=plant.source.announce, layout=self.layout,
                    folder=temp, pool=pool, most_record_bytes=plant.most_record_bytes,
                    reporter=plant.reporter, stop=plant.stop,
                )
            ) as line,
        ):  # fmt: skip
            try:
                yield line
            except Interrupted:
                # Reads that hang end now; the line waits for its threads.
                plant.source.close()
                raise

    def _begun(self, ledger: Ledger) -> Ledger:
        if self.origin is None or ledger.checkpoint is not None:
            return ledger
        window = Window(BEGINNING, self.origin)
        self.plant.destination.advance(self.origin, expected=ledger.loads_in(window))
        return ledger.raised_to(self.origin)

    def _load(self, ledger: Ledger, ready: Ready) -> Ledger:
        plant, step, staged = self.plant, ready.step, ready.staged
        began = time.monotonic()
        plant.reporter.loading(step.bundle)
        entry = LedgerEntry(
            window=step.window,
            kind=self.plan.kind,
            bundle=step.bundle.id,
            load=str(uuid.uuid4()),
            records=staged.records,
            bytes=staged.bytes,
            changes=staged.changes,
            first_event=staged.first_event,
            last_event=staged.last_event,
            loaded_at=plant.clock(),
        )
        checkpoint = None
        if self.plan.kind is EntryKind.SYNC:
            checkpoint = ledger.reach(step.window.stop)
        stored = plant.destination.load(
            entry, staged.parts, expected=step.expected, checkpoint=checkpoint
        )
        ready.done()
        self.plan.done(step)
        self.summary.loaded.append(stored)
        after = ledger.after(stored, expected=step.expected, checkpoint=checkpoint)
        self.summary.checkpoint = after.checkpoint
        plant.reporter.loaded(stored, time.monotonic() - began)
        return after

    def _pass_over(self, ledger: Ledger, offered_until: datetime | None = None) -> Ledger:
        """Move the checkpoint over what a backfill has loaded behind it, and to the end of what was
        offered when all of that is loaded."""
        known = ledger.checkpoint or offered_until
        if self.plan.kind is not EntryKind.SYNC or known is None:
            return ledger
        start = ledger.checkpoint or BEGINNING
        reach = ledger.reach(max(start, offered_until or start))
        if reach == ledger.checkpoint:
            return ledger
        window = Window(start, reach)
        expected = ledger.loads_in(window)
        self.plant.destination.advance(reach, expected=expected)
        loaded = ledger.overlapping(window)
        first = max(start, loaded[0].window.start) if loaded else start
        self.summary.passed.append(Window(first, reach))
        self.summary.checkpoint = reach
        return ledger.raised_to(reach)


def _to_plan_from(plant: Plant) -> Ledger:
    ledger = _ledger(plant)
    if plant.api_is_default:
        _refuse_guess(ledger)
    return ledger


def _refuse_guess(ledger: Ledger) -> None:
    """Raise ConfigError while only the Go hauser has loaded anything: which API it used is not to be
    guessed."""
    ours = {EntryKind.SYNC, EntryKind.BACKFILL}
    if ledger.baseline() and not any(entry.kind in ours for entry in ledger.entries):
        raise ConfigError(
            "the Go hauser has loaded here, and nothing in the configuration tells which of the two"
            " export APIs it used.",
            'Set ExportApi = "segments" if it was hauser 1.x, ExportApi = "bundles" if it was 0.x; then'
            " run again.",
        )


def _ledger(plant: Plant) -> Ledger:
    ledger = plant.destination.ledger()
    ledger.refuse_future(plant.clock(), plant.destination.name)
    return ledger


@contextmanager
def _temp_folder(parent: Path) -> Iterator[Path]:
    with disk.explained(f"TmpDir {parent} cannot be used"):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in leftovers(parent):
            shutil.rmtree(path, ignore_errors=True)
        folder = parent / Owner.of_this_process(str(uuid.uuid4())).name
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with disk.explained(f"TmpDir {parent} cannot be used"):
            stack.enter_context(owned_folder(folder))
        yield folder
