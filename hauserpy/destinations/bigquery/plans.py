"""From the ledger as it was read to what the one transaction does that changes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hauserpy.destinations.bigquery.schema import Export
from hauserpy.destinations.sql import Stored, sync_id
from hauserpy.entries import EntryKind, LedgerEntry, not_among
from hauserpy.ledger import Ledger
from hauserpy.model import BEGINNING, Window


@dataclass(frozen=True, slots=True)
class Seen:
    """The ledger as the client saw it, which must still be so.

    ``entries`` are all those of ``window``; ``scope`` is what the ledger says that it is of
    (`hauserpy.destinations.scope`), None while it says nothing. At first contact with hauser it must
    be empty, and SyncTable's checkpoint be ``adopted``.
    """

    window: Window
    entries: tuple[LedgerEntry, ...]
    scope: str | None
    adopted: datetime | None


@dataclass(frozen=True, slots=True)
class Rows:
    """What becomes of the export table: ``records`` rows of ``window`` come, and those of the windows
    of the entries ``replaced`` go.

    With ``strays`` the rows without BundleStartTime go whose events are of the window. And with
    ``reach`` those of it that the ledger has lost, looked for among events from when to when.
    """

    window: Window
    records: int
    replaced: tuple[LedgerEntry, ...]
    strays: bool
    reach: tuple[datetime, datetime] | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one transaction does, under the id ``load``, if the ledger is as it was ``seen``.

    Of the ledger the entries ``gone`` go and those ``added`` come; where it does not say yet what it
    is of, it is of ``scope``. ``rows`` is None where only the checkpoint moves. That is raised to
    ``checkpoint``, and told to hauser's SyncTable with the number ``sync_id``; None leaves it.
    """

    load: str
    seen: Seen
    scope: str
    rows: Rows | None = None
    gone: tuple[LedgerEntry, ...] = ()
    added: tuple[LedgerEntry, ...] = ()
    checkpoint: datetime | None = None
    sync_id: int = -1


def to_load(
    stored: Stored,
    before: Ledger,
    entry: LedgerEntry,
    expected: frozenset[str],
    checkpoint: datetime | None,
    strays_until: datetime | None,
    *,
    scope: str,
    look: bool = False,
) -> Plan:
    """How ``entry`` is loaded; ``before`` is the ledger that ``stored`` means.

    ``strays_until`` is the latest EventStart of rows without BundleStartTime past the checkpoint,
    which a crash of the Go hauser left; None when there are none. ``scope`` is what the ledger is of
    when it does not say so yet (`hauserpy.destinations.scope`). ``look`` says to look for rows of
    the window that the ledger has lost. Raises LedgerMoved.
    """
    after = before.after(entry, expected=expected, checkpoint=checkpoint)
    overlapped = before.overlapping(entry.window)
    cuts = any(e.kind is EntryKind.HAUSER for e in overlapped)
    left = strays_until is not None and entry.window.start <= strays_until
    rows = Rows(
        window=entry.window,
        records=entry.records,
        replaced=tuple(e for e in overlapped if e.kind is not EntryKind.HAUSER and e.records),
        strays=cuts or left,
        reach=_reach(entry) if look else None,
    )
    seen = _seen(stored, before, entry.window)
    return Plan(
        load=entry.load,
        seen=seen,
        scope=scope,
        rows=rows,
        gone=seen.entries,
        added=_added(stored, after),
        checkpoint=checkpoint,
        sync_id=sync_id(entry),
    )


def to_advance(
    stored: Stored,
    before: Ledger,
    load: str,
    checkpoint: datetime,
    expected: frozenset[str],
    *,
    scope: str,
) -> Plan:
    """How the checkpoint is raised over windows that are loaded. Raises LedgerMoved."""
    after = before.advanced(checkpoint, expected)
    window = Window(min(before.checkpoint or BEGINNING, checkpoint), checkpoint)
    return Plan(
        load=load,
        seen=_seen(stored, before, window),
        scope=scope,
        added=_added(stored, after) if stored.first_contact else (),
        checkpoint=checkpoint,
    )


def stored_after(stored: Stored, plan: Plan) -> Stored:
    """What the tables hold once the plan is carried out."""
    told = (stored.checkpoint, plan.seen.adopted, plan.checkpoint)
    reached = [m for m in told if m is not None]
    checkpoint = max(reached, default=None)
    synced = [m for m in (stored.synced, plan.checkpoint) if m is not None]
    return Stored(
        (*not_among(stored.entries, plan.gone), *plan.added),
        checkpoint,
        max(synced, default=None),
        plan.seen.scope or plan.scope,
    )


def looks_for_lost(export: Export, kind: EntryKind) -> bool:
    """Whether a load looks for rows that the ledger has lost: not where it costs a look at the
    whole table for each bundle that sync loads, one after the other past the checkpoint."""
    return export.prunes or kind is not EntryKind.SYNC


def _seen(stored: Stored, before: Ledger, window: Window) -> Seen:
    # At first contact the baseline that overlaps is not in the table yet.
    return Seen(
        window,
        entries=() if stored.first_contact else before.overlapping(window),
        scope=stored.scope,
        adopted=stored.synced if stored.first_contact else None,
    )


def _reach(entry: LedgerEntry) -> tuple[datetime, datetime]:
    """From when to when events of the bundle may be. What it holds now is what it held before, so
    that events outside of the window are looked for as far as there are any."""
    window = entry.window
    return (
        min(window.start, entry.first_event or window.start),
        max(window.stop, entry.last_event or window.stop),
    )


def _added(stored: Stored, after: Ledger) -> tuple[LedgerEntry, ...]:
    """The entries that are not in the table yet; at first contact with hauser's baseline."""
    return tuple(not_among(after.entries, stored.entries))
