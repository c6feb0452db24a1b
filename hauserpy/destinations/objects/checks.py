"""What `hauserpy check` tries in a bucket: each thing that a load does, with a probe object."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress

from hauserpy.destinations.objects.leftovers import NOTES
from hauserpy.destinations.objects.store import ABSENT, Conflict, ObjectStore
from hauserpy.errors import (
    AccessDenied,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
)
from hauserpy.model import Check
from hauserpy.owner import Owner


def run(store: ObjectStore) -> Iterator[Check]:
    """One Check for each thing tried. The probe lies where notes of uploads lie, and is named like
    one, so that even a check that is killed leaves nothing for long."""
    for check in store.checks():
        yield check
        if not check.ok:
            return
    probe = _Probe(store)
    try:
        yield (written := _tried("write objects", probe.write))
        if not written.ok:
            return
        yield _tried("read objects", probe.read)
        yield _tried("list objects", probe.list)
        yield _tried("preconditions", probe.preconditions)
        yield _tried("delete objects", probe.delete)
        yield _tried("list uploads", probe.uploads)
    finally:
        probe.clean()


def _tried(name: str, attempt: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, detail=attempt())
    except HauserpyError as error:
        return Check(name, ok=False, detail=error.reason, remedy=error.instruction)
    except Conflict:
        detail = "a write was refused although nobody else writes there"
        return Check(name, ok=False, detail=detail, remedy="Run again, or use another store.")


class _Probe:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._name = NOTES + Owner.of_this_process(str(uuid.uuid4())).name
        self._version = ABSENT

    def write(self) -> str:
        try:
            self._version = self._store.write(self._name, b"1", only_if=ABSENT)
        except Conflict:
            raise DestinationUnavailable(
                f"a probe of a new name cannot be written to {self._store.place}: the store finds"
                " one there.",
                "Run again.",
            ) from None
        return f"a probe in {self._store.place}"

    def read(self) -> str:
        found = self._store.read(self._name)
        if found is None or found[0] != b"1":
            raise DestinationRefused(
                f"what was written to {self._store.place} is not read back.",
                "hauserpy needs a store whose reads see the last write.",
            )
        return "as it was written"

    def list(self) -> str:
        if self._name not in (found.name for found in self._store.list(self._name)):
            raise DestinationRefused(
                f"what was written to {self._store.place} is not in its listing.",
                "hauserpy needs a store whose listings see the last write.",
            )
        return "the probe is in the listing"

    def preconditions(self) -> str:
        """Both kinds: create if absent, and replace if unchanged."""
        if self._conflicts(ABSENT):
            stale = self._version
            self._version = self._store.write(self._name, b"2", only_if=stale)
            if self._conflicts(stale):
                return "honoured, both for new objects and for changed ones"
        raise DestinationRefused(
            f"{self._store.place} ignores preconditions: of two runs at once, one could undo the"
            " other's ledger.",
            "Use a store that honours If-None-Match and If-Match on PUT, or see to it that only"
            " one hauserpy runs at a time.",
        )

    def _conflicts(self, only_if: str) -> bool:
        try:
            self._version = self._store.write(self._name, b"3", only_if=only_if)
        except Conflict:
            return True
        return False

    def delete(self) -> str:
        self._store.delete(self._name)
        if self._store.read(self._name) is not None:
            raise AccessDenied(
                f"the probe {self._name} in {self._store.place} cannot be deleted.",
                "Allow it to delete objects; then remove the probe.",
            )
        return "the probe is gone"

    def uploads(self) -> str:
        count = sum(1 for _ in self._store.uploads())
        return f"{count} unfinished"

    def clean(self) -> None:
        with suppress(HauserpyError):
            self._store.delete(self._name)
