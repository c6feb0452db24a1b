"""From the ledger as it was read to the one transaction that changes it. Pure."""

from __future__ import annotations

from datetime import datetime

from hauserpy.destinations.bigquery.script import Plan
from hauserpy.destinations.sql import Stored, sync_id
from hauserpy.entries import EntryKind, LedgerEntry, not_among
from hauserpy.ledger import Ledger
from hauserpy.model import BEGINNING, Window


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
    seen = before.overlapping(entry.window)
    cuts = any(e.kind is EntryKind.HAUSER for e in seen)
    left = strays_until is not None and entry.window.start <= strays_until
    return Plan(
        load=entry.load,
        window=entry.window,
        seen=() if stored.first_contact else seen,
        added=_added(stored, after),
        scope=scope,
        known_scope=stored.scope,
        checkpoint=checkpoint,
        sync_id=sync_id(entry),
        adopted=stored.synced if stored.first_contact else None,
        records=entry.records,
        replaced=tuple(e for e in seen if e.kind is not EntryKind.HAUSER and e.records),
        strays=entry.window if cuts or left else None,
        reach=_reach(entry) if look else None,
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
        window=window,
        seen=() if stored.first_contact else before.overlapping(window),
        added=_added(stored, after) if stored.first_contact else (),
        keep_seen=True,
        scope=scope,
        known_scope=stored.scope,
        checkpoint=checkpoint,
        adopted=stored.synced if stored.first_contact else None,
    )


def stored_after(stored: Stored, plan: Plan) -> Stored:
    """What the tables hold once the plan is carried out."""
    gone = () if plan.keep_seen else plan.seen
    reached = [m for m in (stored.checkpoint, plan.adopted, plan.checkpoint) if m is not None]
    checkpoint = max(reached, default=None)
    synced = [m for m in (stored.synced, plan.checkpoint) if m is not None]
    return Stored(
        (*not_among(stored.entries, gone), *plan.added),
        checkpoint,
        max(synced, default=None),
        plan.known_scope or plan.scope,
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
