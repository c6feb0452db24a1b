"""Batches to records, cut in two where that has been learned and pays, else whole."""

from __future__ import annotations

from hauserpy.decode.cut import Cut, learned
from hauserpy.decode.records import Records, parse
from hauserpy.decode.scenes import CutRecords, cut_apart
from hauserpy.decode.split import Batch

_PATIENCE = 4


class Reader:
    """Reads the batches of one bundle, in any order; what is read is the same whether cut or not.

    ``cut`` is where records are cut: that of a bundle before this one, or learned from a batch that
    was parsed whole. ``patience`` is how many more batches in a row may show that it does not pay,
    before no more are cut. ``exact``: see `hauserpy.decode.records.parse`.
    """

    def __init__(
        self,
        fields: frozenset[str],
        most_record_bytes: int,
        *,
        cuts: bool,
        cut: Cut | None = None,
        exact: bool = True,
    ) -> None:
        self.cut = cut if cut is not None and cut.fields == fields else None
        self.patience = _PATIENCE if cuts else 0
        self._fields = fields
        self._most_bytes = most_record_bytes
        self._exact = exact

    def read(self, batch: Batch) -> Records | CutRecords:
        """Raises Unproved or CorruptBundle (see `hauserpy.decode.records.parse`)."""
        if self.cut is not None and self.patience:
            cut_records = cut_apart(batch, self.cut, most_bytes=self._most_bytes, exact=self._exact)
            if cut_records is not None:
                return cut_records
        records = parse(batch, most_bytes=self._most_bytes, exact=self._exact)
        if self.patience:
            self.paid(False)
        if self.patience and records.plain:
            self.cut = learned(batch, records.values, self._fields)
        return records

    def paid(self, worth: bool) -> None:
        """Tell whether the last batch was worth its cut; if not, another is learned."""
        if worth:
            self.patience = _PATIENCE
        else:
            self.patience -= 1
            self.cut = None
