"""What a run has to do about which bundles: sync's way through them, and a backfill's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from hauserpy.destinations.base import Destination
from hauserpy.engine.report import Reporter
from hauserpy.entries import EntryKind
from hauserpy.errors import DestinationRefused
from hauserpy.export.source import Source
from hauserpy.ledger import Ledger, Step, steps_for
from hauserpy.model import Bundle, Window, rfc3339


class Plan(Protocol):
    """What to load, and as what."""

    @property
    def kind(self) -> EntryKind:
        """Of the entries of what is loaded. Only sync moves the checkpoint."""
        ...

    @property
    def offered_until(self) -> datetime | None:
        """The latest end of the bundles that `steps` has gone through, whether there was anything to
        load of them; None while there are none."""
        ...

    def steps(self, ledger: Ledger) -> Iterator[Sequence[Step]]:
        """What there is to do about each bundle, in the order in which to do it. Asked again when
        another run has moved the ledger."""
        ...

    def done(self, step: Step) -> None:
        """The step is loaded."""
        ...


class Sync:
    """All that is offered from the checkpoint on, or else from ``start`` (None: the first bundle).

    With ``from_start`` it counts even when there is a checkpoint, and what is loaded is still passed
    over. With ``tell_before``, a ``start`` before all that is loaded, which sync will not come back
    to, is told with what to do about it.
    """

    kind = EntryKind.SYNC

    def __init__(
        self,
        source: Source,
        reporter: Reporter,
        start: datetime | None,
        *,
        from_start: bool = False,
        tell_before: bool = False,
    ) -> None:
        self._source = source
        self._reporter = reporter
        self._start = start
        self._from_start = from_start
        self._tells_before = tell_before
        self.offered_until: datetime | None = None

    def steps(self, ledger: Ledger) -> Iterator[Sequence[Step]]:
        self.offered_until = None
        if ledger.is_hausers:
            (baseline,) = ledger.entries
            self._reporter.note(
                "there is no ledger of hauserpy's here yet: sync goes on from the Go hauser's checkpoint,"
                f" and all before {rfc3339(baseline.window.stop)} counts as loaded"
            )
        if self._from_start:
            self._tell_left_out(ledger)
        elif self._tells_before:
            self._tell_before(ledger)
        begin = self._start if self._from_start or ledger.checkpoint is None else ledger.checkpoint
        loaded = [e.window for e in ledger.entries]
        planned: list[Window] = []
        reach = None if ledger.checkpoint is None else ledger.reach(begin or ledger.checkpoint)
        for bundle in self._source.due(begin, loaded=loaded):
            # Bundles overlap where an account's bundle length was changed.
            planned = [w for w in planned if w.stop > bundle.window.start]
            if steps := steps_for(ledger, bundle, planned=planned):
                planned += [step.window for step in steps]
                self._tell_gap(reach, steps[0].window.start)
                yield steps
            stop = bundle.window.stop
            reach = max(reach or stop, ledger.reach(stop))
            self.offered_until = max(stop, self.offered_until or stop)

    def done(self, step: Step) -> None:
        """The checkpoint knows."""

    def _tell_gap(self, reach: datetime | None, start: datetime) -> None:
        if reach is not None and reach < start:
            since, until = rfc3339(reach), rfc3339(start)
            self._reporter.note(
                f"the API offers nothing between {since} and {until}, and sync goes on behind it. If"
                f" something comes there later: `hauserpy backfill --since {since} --until {until}`"
            )

    def _tell_left_out(self, ledger: Ledger) -> None:
        """With ``from_start``, since nothing else tells of it while sync goes on from there."""
        if self._start is None or ledger.checkpoint is None:
            return
        reach = ledger.reach(ledger.checkpoint)
        if self._start > reach:
            since, until = rfc3339(reach), rfc3339(self._start)
            self._reporter.note(
                f"StartTime {until} lies past the checkpoint, and UseStartTime begins there."
                f" `hauserpy backfill --since {since} --until {until}` loads what lies between."
            )

    def _tell_before(self, ledger: Ledger) -> None:
        start = self._start
        if start is None or ledger.checkpoint is None:
            return
        first = min([ledger.checkpoint, *(e.window.start for e in ledger.entries[:1])])
        if start < first:
            self._reporter.note(
                f"StartTime {rfc3339(start)} lies before all that is loaded, and sync goes on from"
                f" the checkpoint. `hauserpy backfill --since {rfc3339(start)} --until"
                f" {rfc3339(first)}` loads what lies between."
            )


class Backfill:
    """The windows of a span that are not loaded, or with ``replace_loaded`` all of them anew."""

    kind = EntryKind.BACKFILL
    offered_until: datetime | None = None

    def __init__(
        self,
        source: Source,
        destination: Destination,
        reporter: Reporter,
        since: datetime,
        until: datetime | None,
        *,
        replace_loaded: bool = False,
    ) -> None:
        self._source = source
        self._destination = destination
        self._reporter = reporter
        self._span = since, until
        self._replaces = replace_loaded
        self._done: set[Window] = set()

    def steps(self, ledger: Ledger) -> Iterator[Sequence[Step]]:
        loaded = [e.window for e in ledger.entries]
        planned: list[Window] = []
        for bundle in self._source.due(*self._span, loaded=loaded, replace=self._replaces):
            if self._replaces:
                self._tell_kept(ledger, bundle)
            planned = [w for w in planned if w.stop > bundle.window.start]
            steps = steps_for(ledger, bundle, replace_loaded=self._replaces, planned=planned)
            planned += [step.window for step in steps]
            # What was replaced already is not to be replaced again.
            if left := [step for step in steps if step.window not in self._done]:
                for step in left:
                    self._about_baseline(ledger, step)
                yield left

    def done(self, step: Step) -> None:
        self._done.add(step.window)

    def _tell_kept(self, ledger: Ledger, bundle: Bundle) -> None:
        for entry in ledger.overlapping(bundle.window):
            if entry.kind is not EntryKind.HAUSER and not bundle.window.covers(entry.window):
                self._reporter.note(
                    f"the loaded window {entry.window} reaches beyond bundle {bundle} and is kept:"
                    " a part of it cannot be replaced"
                )

    def _about_baseline(self, ledger: Ledger, step: Step) -> None:
        """Raises DestinationRefused where what the Go hauser loaded cannot be replaced; elsewhere
        tells which of it cannot."""
        for entry in ledger.overlapping(step.window):
            if entry.kind is not EntryKind.HAUSER:
                continue
            if not self._destination.replaces_baseline:
                raise DestinationRefused(
                    f"{step.window} lies in what the Go hauser loaded (up to"
                    f" {rfc3339(entry.window.stop)}), whose files cannot be replaced by window.",
                    "Backfill into another folder or bucket path instead.",
                )
            self._reporter.note(
                f"of what the Go hauser loaded, the rows whose EventStart lies in {step.window} are"
                " replaced; any whose time it could not read (year 1) stay."
            )
