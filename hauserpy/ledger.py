"""The ledger of loaded windows: overlaps, gaps, and what there is to do about a bundle. Pure."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from hauserpy.entries import EntryKind, LedgerEntry, not_among
from hauserpy.errors import LedgerMoved, LedgerUnreadable
from hauserpy.model import BEGINNING, Bundle, Clip, Window, rfc3339

BASELINE_LOAD = "hauser-baseline"
"""The load id of the entry that stands for what the Go hauser loaded before we came."""

_ROWLESS = (EntryKind.HAUSER, EntryKind.SKIP)
"""Entries with no rows known by window: another window can be cut out of them."""

_CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Entries in the order of their windows, which are disjoint; and how far sync has come. Where
    the rows of the first ones are gone, ``begins`` is the start of what was loaded once."""

    entries: tuple[LedgerEntry, ...] = ()
    checkpoint: datetime | None = None
    begins: datetime | None = None

    @classmethod
    def of(
        cls,
        entries: Iterable[LedgerEntry],
        checkpoint: datetime | None,
        place: str = "the ledger",
    ) -> Self:
        """Sorted and checked; raises LedgerUnreadable, naming ``place``, when two windows overlap."""
        ordered = sorted(entries, key=lambda e: e.window)
        for before, after in itertools.pairwise(ordered):
            if before.window.overlaps(after.window):
                raise LedgerUnreadable(
                    f"{place}: the windows {before.window} and {after.window} overlap.",
                    "Restore it from a backup; hauserpy never writes such a ledger.",
                )
        return cls(tuple(ordered), checkpoint)

    def overlapping(self, window: Window) -> tuple[LedgerEntry, ...]:
        entries = self.entries
        # Disjoint windows in order are in the order of their ends as well.
        first = bisect.bisect_right(entries, window.start, key=lambda e: e.window.stop)
        after = bisect.bisect_left(entries, window.stop, lo=first, key=lambda e: e.window.start)
        return entries[first:after]

    def loads_in(self, window: Window) -> frozenset[str]:
        """The load ids of the entries that overlap ``window``: what a load compares by."""
        return frozenset(e.load for e in self.overlapping(window))

    def missing(self, window: Window) -> tuple[Window, ...]:
        """The parts of ``window`` that are not loaded, in order."""
        return tuple(_without(window, (e.window for e in self.overlapping(window))))

    def gaps(self) -> tuple[Window, ...]:
        """What is not loaded between the first window that ever was and the last, or the
        checkpoint."""
        ends = [self.begins, *(e.window.start for e in self.entries[:1])]
        start = min(filter(None, ends), default=None)
        ends = [self.checkpoint, *(e.window.stop for e in self.entries[-1:])]
        stop = max(filter(None, ends), default=None)
        if start is None or stop is None or start >= stop:
            return ()
        return self.missing(Window(start, stop))

    def without(self, gone: Collection[str]) -> Self:
        """Without the loads whose rows are ``gone``: they count as not loaded."""
        kept = tuple(e for e in self.entries if e.load not in gone)
        first = self.entries[0] if self.entries else None
        begins = first.window.start if first and first.load in gone else self.begins
        return replace(self, entries=kept, begins=begins)

    def reach(self, moment: datetime) -> datetime:
        """The end of the loaded windows that follow one another from ``moment`` on."""
        first = bisect.bisect_right(self.entries, moment, key=lambda e: e.window.stop)
        for entry in itertools.islice(self.entries, first, None):
            if moment < entry.window.start:
                break
            moment = entry.window.stop
        return moment

    def baseline(self) -> tuple[LedgerEntry, ...]:
        """What the Go hauser loaded: one entry, or several when backfills were cut out of it."""
        return tuple(e for e in self.entries if e.kind is EntryKind.HAUSER)

    def with_baseline(self, checkpoint: datetime, loaded_at: datetime | None = None) -> Self:
        """An empty ledger that takes over from the Go hauser at its checkpoint."""
        entry = LedgerEntry(
            window=Window(BEGINNING, checkpoint),
            kind=EntryKind.HAUSER,
            bundle="",
            load=BASELINE_LOAD,
            loaded_at=loaded_at,
            reason="loaded by the Go hauser before hauserpy",
        )
        return replace(self, entries=(entry,), checkpoint=checkpoint)

    def replaced_by(self, entry: LedgerEntry, expected: frozenset[str]) -> tuple[LedgerEntry, ...]:
        """The entries that a load of ``entry`` removes or cuts; raises LedgerMoved unless their
        load ids are those that the caller expected."""
        found = self.overlapping(entry.window)
        if frozenset(e.load for e in found) != expected:
            raise LedgerMoved(
                f"another run has loaded part of {entry.window} meanwhile; nothing was written.",
                "Run again.",
            )
        for old in found:
            if old.kind not in _ROWLESS and not entry.window.covers(old.window):
                raise ValueError(f"a load of {entry.window} would cut {old.window} in two")
        return found

    def after(
        self, entry: LedgerEntry, *, expected: frozenset[str], checkpoint: datetime | None
    ) -> Self:
        """The ledger as it is once ``entry`` is loaded: compare-and-set, in memory."""
        gone = self.replaced_by(entry, expected)
        kept = not_among(self.entries, gone)
        for old in gone:
            if old.kind in _ROWLESS:
                kept += [replace(old, window=w) for w in _without(old.window, [entry.window])]
        made = type(self).of([*kept, entry], self.checkpoint)
        return made.raised_to(checkpoint)

    def raised_to(self, checkpoint: datetime | None) -> Self:
        """With the checkpoint there, unless it is further already."""
        if checkpoint is None or (self.checkpoint is not None and checkpoint <= self.checkpoint):
            return self
        return replace(self, checkpoint=checkpoint)

    def advanced(self, checkpoint: datetime, expected: frozenset[str]) -> Self:
        """With the checkpoint moved over loaded windows, if they are those that were expected."""
        start = self.checkpoint or BEGINNING
        if checkpoint > start and self.loads_in(Window(start, checkpoint)) != expected:
            raise LedgerMoved(
                f"another run has loaded windows before {rfc3339(checkpoint)} meanwhile.",
                "Run again.",
            )
        return self.raised_to(checkpoint)

    @property
    def is_hausers(self) -> bool:
        """Whether nothing is in it but what the Go hauser has loaded: we have not begun yet."""
        return [e.load for e in self.entries] == [BASELINE_LOAD]

    def refuse_future(self, now: datetime, place: str) -> None:
        """Raise LedgerUnreadable, naming ``place``, when it claims to have loaded what has not
        happened yet."""
        reach = [e.window.stop for e in self.entries]
        if self.checkpoint is not None:
            reach.append(self.checkpoint)
        latest = max(reach, default=now)
        if latest <= now + _CLOCK_SKEW:
            return
        future = f"{rfc3339(latest)}, which lies in the future (now it is {rfc3339(now)})"
        if self.is_hausers:
            # What is wrong stands where hauser keeps it.
            raise LedgerUnreadable(
                f"{place}: the Go hauser's own checkpoint, in .sync.hauser or a warehouse's SyncTable,"
                f" is {future}.",
                "Check this machine's clock; if it is right, write there where hauser's last window"
                " ended (like 2026-11-23T04:00:00Z), and run again.",
            )
        raise LedgerUnreadable(
            f"{place}: the ledger reaches to {future}.",
            "Check this machine's clock; if it is right, the ledger or the checkpoint was edited:"
            " restore it from a backup.",
        )


def _without(window: Window, loaded: Iterable[Window]) -> Iterator[Window]:
    """``window`` minus the ``loaded`` ones."""
    start = window.start
    for other in sorted(loaded):
        if start < other.start and start < window.stop:
            yield Window(start, min(other.start, window.stop))
        start = max(start, other.stop)
    if start < window.stop:
        yield Window(start, window.stop)


@dataclass(frozen=True, slots=True)
class Step:
    """One load to make: ``window`` of ``bundle``, replacing the loads in ``expected``.

    ``clip`` is None when the window is the whole bundle.
    """

    bundle: Bundle
    window: Window
    clip: Clip | None
    expected: frozenset[str]


def steps_for(
    ledger: Ledger,
    bundle: Bundle,
    *,
    replace_loaded: bool = False,
    planned: Iterable[Window] = (),
) -> tuple[Step, ...]:
    """What to load of ``bundle``: nothing, the whole, or the parts that are not loaded yet, nor
    ``planned`` to be: disjoint windows, of bundles before this one.

    With ``replace_loaded``, windows that lie inside the bundle are loaded anew; one that reaches
    beyond it is kept, since a part of it cannot be replaced, except what has no rows known by
    window: out of the Go hauser's baseline, and out of what was given up, the bundle's is cut.
    """
    keep = ledger.overlapping(bundle.window)
    if replace_loaded:
        keep = tuple(
            e for e in keep if e.kind not in _ROWLESS and not bundle.window.covers(e.window)
        )
    taken = {*(e.window for e in keep), *(w for w in planned if w.overlaps(bundle.window))}
    windows = list(_without(bundle.window, taken))
    if windows == [bundle.window]:
        return (Step(bundle, bundle.window, None, ledger.loads_in(bundle.window)),)
    # The strays come with one part, which a run that died may have loaded, and what is left out is
    # counted with one.
    strays = all(e.bundle != bundle.id for e in keep)
    loaded = tuple(sorted(taken, key=lambda w: w.start))
    clips = [
        Clip(w, bundle.window, strays=strays and n == 0, loaded=loaded if strays and n == 0 else ())
        for n, w in enumerate(windows)
    ]
    return tuple(Step(bundle, c.keep, c, ledger.loads_in(c.keep)) for c in clips)
