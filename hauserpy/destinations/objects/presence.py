"""Whether the objects that entries name are there, as they were uploaded: an entry whose object is
gone or differs is not loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hauserpy.destinations.objects.names import shared_prefix
from hauserpy.destinations.objects.store import Object, ObjectStore
from hauserpy.entries import LedgerEntry, StoredFile
from hauserpy.ledger import Ledger

_FEW = 8
"""Up to so many objects are asked for one by one rather than by listing."""


def look(store: ObjectStore, entries: Iterable[LedgerEntry]) -> dict[str, Object]:
    """The objects that ``entries`` name and that are there, by name."""
    names = {f.name for e in entries for f in e.files}
    if len(names) <= _FEW:
        asked = ((name, store.stat(name)) for name in names)
        return {name: found for name, found in asked if found is not None}
    listed = store.list(shared_prefix(names))
    return {found.name: found for found in listed if found.name in names}


def without_absent(
    ledger: Ledger, entries: Sequence[LedgerEntry], found: Mapping[str, Object]
) -> Ledger:
    """``ledger`` without those of ``entries`` whose object is not in ``found`` as it should be."""

    def is_there(file: StoredFile) -> bool:
        return file.name in found and found[file.name].is_file(file)

    return ledger.without({e.load for e in entries if not all(map(is_there, e.files))})


def only_present(store: ObjectStore, ledger: Ledger, entries: Sequence[LedgerEntry]) -> Ledger:
    """``ledger`` without those of ``entries`` whose object is gone or differs."""
    return without_absent(ledger, entries, look(store, entries))
