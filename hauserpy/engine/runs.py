"""The runs: sync, backfill and skip; what to load, in which order, and when the checkpoint moves."""

from __future__ import annotations

import itertools
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hauserpy import disk
from hauserpy.destinations.base import Destination
from hauserpy.engine.line import Fetch, Line, Ready
from hauserpy.engine.report import Reporter, Summary
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import (
    ConfigError,
    CorruptBundle,
    DestinationRefused,
    Interrupted,
    LedgerMoved,
)
from hauserpy.export.source import Source
from hauserpy.fields import Field
from hauserpy.ledger import Ledger, Step, steps_for
from hauserpy.model import BEGINNING, Bundle, Window, rfc3339
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

    ``start`` is where to begin when there is no checkpoint yet (None: with the first bundle that
    is offered); with ``keep_start`` it becomes the checkpoint, so that later runs begin there too
    whatever they think "30 days ago" is. With ``from_start`` it counts even when there is a
    checkpoint, and what is loaded is still passed over. With ``tell_before``, a ``start`` before
    all that is loaded, which sync will not come back to, is told with what to do about it.
    ``summary`` is filled as the run goes: on an error, what was loaded before stays loaded and is
    told there.
    """

    seen: list[datetime] = []
    if start is not None and start > plant.clock():
        plant.reporter.note(
            f"StartTime {rfc3339(start)} lies in the future; nothing is due before then."
        )

    def plan(ledger: Ledger) -> Iterator[Sequence[Step]]:
        seen.clear()
        if tell_before and not from_start:
            _tell_before(plant.reporter, ledger, start)
        after = start if from_start or ledger.checkpoint is None else ledger.checkpoint
        loaded = [e.window for e in ledger.entries]
        for bundle in plant.source.due(after, loaded=loaded):
            if steps := steps_for(ledger, bundle):
                yield steps
            seen.append(bundle.window.stop)

    _run(
        plant, plan, EntryKind.SYNC, summary, max_bundles=max_bundles, dry_run=dry_run,
        origin=start if keep_start else None, seen=seen,
    )  # fmt: skip


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

    done: set[Window] = set()

    def plan(ledger: Ledger) -> Iterator[Sequence[Step]]:
        loaded = [e.window for e in ledger.entries]
        for bundle in plant.source.due(since, until, loaded=loaded, replace=replace_loaded):
            if replace_loaded:
                _tell_kept(plant, ledger, bundle)
            steps = steps_for(ledger, bundle, replace_loaded=replace_loaded)
            # After another run moved the ledger, only what is left is planned again.
            if left := [step for step in steps if step.window not in done]:
                for step in left:
                    _about_baseline(plant, ledger, step)
                yield left

    _run(plant, plan, EntryKind.BACKFILL, summary, dry_run=dry_run, done=done)


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
    for missing in ledger.missing(window):
        entry = LedgerEntry(
            window=missing,
            kind=EntryKind.SKIP,
            bundle="",
            load=str(uuid.uuid4()),
            loaded_at=plant.clock(),
            reason=reason,
        )
        stored = plant.destination.load(
            entry,
            (),
            expected=ledger.loads_in(missing),
            checkpoint=ledger.reach(missing.stop) if reaches else None,
        )
        summary.loaded.append(stored)
        ledger = _ledger(plant)
    summary.checkpoint = ledger.checkpoint


Plan = Callable[[Ledger], Iterator[Sequence[Step]]]
"""What there is to do about each bundle."""


def _run(
    plant: Plant,
    plan: Plan,
    kind: EntryKind,
    summary: Summary,
    *,
    max_bundles: int | None = None,
    dry_run: bool = False,
    done: set[Window] | None = None,
    origin: datetime | None = None,
    seen: Sequence[datetime] = (),
) -> None:
    began = time.monotonic()
    try:
        if dry_run:
            ledger = _ledger(plant)
            summary.planned = list(_of_first(max_bundles, plan(ledger)))
            summary.checkpoint = ledger.checkpoint
            return
        layout = plant.destination.prepare(plant.fields)
        run = _Run(plant, kind, summary, done if done is not None else set(), seen)
        in_vain = 0
        twice: set[str | None] = set()
        while True:
            begun = len({entry.bundle for entry in summary.loaded})
            left = None if max_bundles is None else max_bundles - begun
            before = len(summary.loaded)
            try:
                # Of this line alone: a thread of it that hangs in a download is left behind when
                # another one begins, and must meet neither its workers nor its files.
                with _temp_folder(plant.temp) as temp, closing(Pool(plant.workers)) as pool:
                    ledger = _begun(plant, _ledger(plant), origin)
                    summary.checkpoint = ledger.checkpoint
                    steps = _of_first(left, plan(ledger))
                    with closing(
                        Line(
                            steps, plant.fetch, announce=plant.source.announce, layout=layout, folder=temp, pool=pool,
                            most_record_bytes=plant.most_record_bytes,
                            reporter=plant.reporter, stop=plant.stop,
                        )
                    ) as line:  # fmt: skip
                        try:
                            run.load_all(ledger, line)
                        except Interrupted:
                            # Reads that hang end now; the line waits for its threads.
                            plant.source.close()
                            raise
                    return
            except LedgerMoved as moved:
                in_vain = 0 if len(summary.loaded) > before else in_vain + 1
                if in_vain > _REPLANS:
                    raise
                plant.reporter.note(f"{moved.reason} Planning again.")
            except CorruptBundle as corrupt:
                # Bundles are made on demand, and a proxy's page of the moment is no bundle.
                if corrupt.bundle in twice:
                    raise
                twice.add(corrupt.bundle)
                plant.reporter.note(f"{corrupt.reason} Fetching it anew.")
    finally:
        summary.seconds = time.monotonic() - began


def _of_first(bundles: int | None, planned: Iterator[Sequence[Step]]) -> Iterator[Step]:
    """The steps of so many bundles, or of all."""
    return itertools.chain.from_iterable(itertools.islice(planned, bundles))


@dataclass(slots=True)
class _Run:
    plant: Plant
    kind: EntryKind
    summary: Summary
    done: set[Window]
    seen: Sequence[datetime]
    """The ends of the bundles that sync has planned wholly, whether there was anything to load."""

    def load_all(self, ledger: Ledger, line: Line) -> None:
        ledger = self._pass_over(ledger)
        for ready in line:
            ledger = self._load(ledger, ready)
            self.plant.stop(0)
        # What was offered last may be loaded already, and lie behind a gap or the very beginning.
        self._pass_over(ledger, max(self.seen, default=None))

    def _load(self, ledger: Ledger, ready: Ready) -> Ledger:
        plant, step, staged = self.plant, ready.step, ready.staged
        began = time.monotonic()
        plant.reporter.loading(step.bundle)
        entry = LedgerEntry(
            window=step.window,
            kind=self.kind,
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
        if self.kind is EntryKind.SYNC:
            checkpoint = ledger.reach(step.window.stop)
        stored = plant.destination.load(
            entry, staged.parts, expected=step.expected, checkpoint=checkpoint
        )
        ready.done()
        self.done.add(step.window)
        self.summary.loaded.append(stored)
        after = ledger.after(stored, expected=step.expected, checkpoint=checkpoint)
        self.summary.checkpoint = after.checkpoint
        plant.reporter.loaded(stored, time.monotonic() - began)
        return after

    def _pass_over(self, ledger: Ledger, seen: datetime | None = None) -> Ledger:
        """Move the checkpoint over what a backfill has loaded behind it, and to the end of what was
        ``seen`` when all of that is loaded."""
        if self.kind is not EntryKind.SYNC or (ledger.checkpoint is None and seen is None):
            return ledger
        start = ledger.checkpoint or BEGINNING
        reach = ledger.reach(max(start, seen or start))
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


def _ledger(plant: Plant) -> Ledger:
    ledger = plant.destination.ledger()
    ledger.refuse_future(plant.clock(), plant.destination.name)
    return ledger


def _begun(plant: Plant, ledger: Ledger, origin: datetime | None) -> Ledger:
    if origin is None or ledger.checkpoint is not None:
        return ledger
    window = Window(BEGINNING, origin)
    plant.destination.advance(origin, expected=ledger.loads_in(window))
    return ledger.raised_to(origin)


def _tell_before(reporter: Reporter, ledger: Ledger, start: datetime | None) -> None:
    if start is None or ledger.checkpoint is None:
        return
    first = min([ledger.checkpoint, *(e.window.start for e in ledger.entries[:1])])
    if start < first:
        reporter.note(
            f"StartTime {rfc3339(start)} lies before all that is loaded, and sync goes on from the"
            f" checkpoint. `hauserpy backfill --since {rfc3339(start)} --until {rfc3339(first)}`"
            " loads what lies between."
        )


def _tell_kept(plant: Plant, ledger: Ledger, bundle: Bundle) -> None:
    for entry in ledger.overlapping(bundle.window):
        if entry.kind is not EntryKind.HAUSER and not bundle.window.covers(entry.window):
            plant.reporter.note(
                f"the loaded window {entry.window} reaches beyond bundle {bundle} and is kept: a"
                " part of it cannot be replaced"
            )


def _about_baseline(plant: Plant, ledger: Ledger, step: Step) -> None:
    """Raises DestinationRefused where what the Go hauser loaded cannot be replaced; elsewhere tells
    which of it cannot."""
    for entry in ledger.overlapping(step.window):
        if entry.kind is not EntryKind.HAUSER:
            continue
        if not plant.destination.replaces_baseline:
            raise DestinationRefused(
                f"{step.window} lies in what the Go hauser loaded (up to"
                f" {rfc3339(entry.window.stop)}), whose files cannot be replaced by window.",
                "Backfill into another folder or bucket path instead.",
            )
        plant.reporter.note(
            f"of what the Go hauser loaded, the rows whose EventStart lies in {step.window} are"
            " replaced; any whose time it could not read (year 1) stay."
        )


@contextmanager
def _temp_folder(parent: Path) -> Iterator[Path]:
    with disk.explained(f"TmpDir {parent} cannot be used"):
        parent.mkdir(parents=True, exist_ok=True)
        for path in leftovers(parent):
            shutil.rmtree(path, ignore_errors=True)
        folder = parent / Owner.of_this_process(str(uuid.uuid4())).name
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with disk.explained(f"TmpDir {parent} cannot be used"):
            stack.enter_context(owned_folder(folder))
        yield folder
