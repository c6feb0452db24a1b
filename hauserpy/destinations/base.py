"""The seam behind which every destination stands, and the promises that it makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from hauserpy.entries import LedgerEntry
from hauserpy.errors import DestinationRefused
from hauserpy.fields import Field
from hauserpy.layout import Layout
from hauserpy.ledger import Ledger
from hauserpy.model import Check, Part


class Destination(Protocol):
    """Where rows go, and where the ledger and the checkpoint live with them.

    Promises that the engine builds on, and that `tests/destinations/` checks for each one:

    - A load is atomic: rows, ledger entry and checkpoint are all there or none, whenever the
      process, the connection or the machine dies.
    - It may be called twice with the same entry: after an answer was lost, the second call finds
      its own ``load`` id and returns the stored entry without loading again.
    - Two runs at once are settled by compare-and-set on ``expected``; the loser gets LedgerMoved
      and has written nothing.
    - Nothing is left behind: staging files, objects and tables of this load are removed at its
      end, and those of dead runs at the next `prepare`.

    Errors: ConfigError (no such bucket, a ledger of another scope), AccessDenied,
    DestinationUnavailable (after its own retries), DestinationRefused, LedgerError, LedgerMoved,
    DiskFull; never an SDK's own.
    """

    @property
    def name(self) -> str:
        """For messages: ``local ./data``, ``redshift dev.public.fsexport``."""
        ...

    @property
    def replaces_baseline(self) -> bool:
        """Whether rows that the Go hauser loaded can be replaced by window (SQL: yes)."""
        ...

    def prepare(self, fields: Sequence[Field]) -> Layout:
        """Create or extend what must be there (folder, tables, columns); sweep dead leftovers.

        Called once a run, before `load`; calling it twice changes nothing more. Refuses a column
        of the wrong type with DestinationRefused before anything is uploaded.
        """
        ...

    def ledger(self) -> Ledger:
        """What is loaded, and the checkpoint, as committed now. Writes nothing, and works before
        the first `prepare` (an empty ledger, or the baseline of the Go hauser).

        Raises LedgerUnreadable rather than take garbage for an empty ledger, HauserHasRun when the
        Go hauser's checkpoint is ahead of ours.
        """
        ...

    def load(
        self,
        entry: LedgerEntry,
        parts: Sequence[Part],
        *,
        expected: frozenset[str],
        checkpoint: datetime | None,
    ) -> LedgerEntry:
        """Replace ``entry.window`` by the rows of ``parts``, in one atomic step.

        The rows and entries of every loaded window inside it go, the new rows and ``entry`` come,
        and the checkpoint is raised to ``checkpoint`` unless that is None (backfill, or a skip
        behind it); it never decreases. ``expected`` are the ``load`` ids that the caller saw in
        windows that overlap this one, all of them inside it; where others are found, LedgerMoved.
        ``parts`` may be empty (a skip, or an empty bundle). Rows loaded must equal
        ``entry.records`` or nothing is written (DestinationRefused). Returns the entry as stored.
        """
        ...

    def advance(self, checkpoint: datetime, *, expected: frozenset[str]) -> None:
        """Raise the checkpoint over windows that are loaded already.

        ``expected`` are the load ids between the old checkpoint and the new one; where others are
        found, LedgerMoved. Never decreases; raising it to where it is does nothing.
        """
        ...

    def checks(self) -> Iterator[Check]:
        """Try what a load will need, one `Check` each; nothing is left behind. Errors of what is
        tried are checks that failed, not raised."""
        ...

    def close(self) -> None:
        """Release connections and locks; may be called twice, and after an error."""
        ...


def refuse_miscounted(entry: LedgerEntry, parts: Sequence[Part]) -> None:
    """Raise DestinationRefused unless the parts hold as many rows as the entry says records."""
    rows = sum(part.records for part in parts)
    if rows != entry.records:
        raise DestinationRefused(
            f"bundle {entry.bundle}: {entry.records} records were read and {rows} rows written;"
            " nothing was loaded.",
            "Please report this as a bug.",
        )
