"""Batches to records, and what their form is as long as knowing it pays."""

from __future__ import annotations

from typing import Any

from hauserpy.decode.form import SAMPLE, Form, learned
from hauserpy.decode.records import Records, parse
from hauserpy.decode.split import Batch

_PATIENCE = 4


class Reader:
    """Parses the batches of one bundle, in any order, and learns the form of their records.

    ``form`` is that of a bundle before this one, or, where it ``learns``, learned from a batch that
    was parsed. After some batches in a row that had to be read, none is learned any more. ``exact``:
    see `hauserpy.decode.records.parse`.
    """

    def __init__(
        self,
        fields: frozenset[str],
        most_record_bytes: int,
        *,
        learns: bool,
        form: Form | None = None,
        exact: bool = True,
    ) -> None:
        self._form = form if form is not None and form.fields == fields else None
        self._patience = _PATIENCE if learns else 0
        self._sample: tuple[list[dict[str, Any]], bytes] | None = None
        self._fields = fields
        self._most_bytes = most_record_bytes
        self._exact = exact

    @property
    def form(self) -> Form | None:
        """The form of records, if there is one; learned only now, since many a bundle is over after
        its first batch."""
        if self._form is None and self._sample is not None:
            self._form = learned(*self._sample, self._fields)
            self._sample = None
        return self._form

    def read(self, batch: Batch) -> Records:
        """Raises Unproved or CorruptBundle (see `hauserpy.decode.records.parse`)."""
        records = parse(batch, most_bytes=self._most_bytes, exact=self._exact)
        self._form = None
        # The array's last batch does not tell what is between two.
        if self._patience and records.plain and batch.separator:
            self._sample = records.values[:SAMPLE], batch.separator
        self._patience = max(self._patience - 1, 0)
        return records

    def paid(self) -> None:
        """Tell that the form has served for the last batch."""
        self._patience = _PATIENCE
