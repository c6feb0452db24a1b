"""The ledger object: the ledger of files, and the objects that are to be removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from hauserpy.destinations import files
from hauserpy.destinations.scope import Scope
from hauserpy.entries import StoredFile
from hauserpy.errors import LedgerUnreadable
from hauserpy.ledger import Ledger


@dataclass(frozen=True, slots=True)
class State:
    """What is committed. Writing a new one is conditional on ``version``."""

    ledger: Ledger
    remove: tuple[StoredFile, ...]
    """Objects that belong to no entry any more, and perhaps still exist. They are committed with
    the load that replaced them, so that whoever comes next can remove them if that run dies."""
    version: str
    """ABSENT when there is no ledger object yet."""
    marks: Mapping[str, bytes]
    """Hauser's marks as they were found, by name."""

    @property
    def names(self) -> frozenset[str]:
        """The objects that hold the rows of an entry."""
        return frozenset(f.name for e in self.ledger.entries for f in e.files)


def encode(ledger: Ledger, scope: Scope, remove: Iterable[StoredFile]) -> bytes:
    """The document of `files.encode`, with one key more when there is something to remove."""
    document = files.encode(ledger, scope)
    listed = [{"name": f.name, "size": f.size, "digest": f.digest} for f in remove]
    if not listed:
        return document
    return b'%b,"remove":%b}\n' % (document.rstrip()[:-1], orjson.dumps(listed))


def decode(document: bytes, place: str, scope: Scope) -> tuple[Ledger, tuple[StoredFile, ...]]:
    """The inverse of `encode`; raises what `files.decode` does."""
    ledger = files.decode(document, place, scope)
    try:
        data: Any = orjson.loads(document)
        listed = data.get("remove", [])
        remove = tuple(StoredFile(str(f["name"]), int(f["size"]), str(f["digest"])) for f in listed)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LedgerUnreadable(
            f'{place} cannot be read: "remove" must be a list of objects, each with name, size and'
            " digest.",
            "It is never taken for an empty ledger: restore it from a backup.",
        ) from error
    return ledger, remove
