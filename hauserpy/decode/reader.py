"""Batches to records, and what their form is as long as knowing it pays."""

from __future__ import annotations

import re
from typing import Any

import orjson

from hauserpy.decode.form import SAMPLE, Form, learned
from hauserpy.decode.records import Records, parse
from hauserpy.decode.split import Batch

_PATIENCE = 4
_FEWEST = SAMPLE // 2
"""Records of a bundle that is one batch, below which what they have in common is chance."""
_LEAD = re.compile(rb'\{\s*"[^"\\]*"\s*:')


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
        if self._patience and (between := _between(batch, records)):
            sample = records.values[:SAMPLE]
            if not records.plain:
                # Those that the copying would leave to the parser tell nothing.
                sample = [record for record in sample if _is_usual(record)]
            self._sample = sample, between
        self._patience = max(self._patience - 1, 0)
        return records

    def paid(self) -> None:
        """Tell that the form has served for the last batch."""
        self._patience = _PATIENCE


def _between(batch: Batch, records: Records) -> bytes:
    """What is between two records; nothing where that cannot be told. If it is guessed wrongly, no
    record matches."""
    if not batch.last:
        return batch.separator
    # Behind the array's last batch there is no other record, so it is looked for within.
    lead = _LEAD.match(batch.text)
    if lead is None or len(records.values) < _FEWEST:
        return b""
    following = re.search(rb"\}(\s*,\s*)" + re.escape(lead[0]), batch.text)
    return following[1] if following is not None else b""


def _is_usual(record: dict[str, Any]) -> bool:
    """Whether orjson writes it: it has no half of a character, nor an integer beyond 64 bits."""
    try:
        orjson.dumps(record)
    except orjson.JSONEncodeError:
        return False
    return True
