"""What a run that died left in the bucket: notes of its uploads, and what they lead to.

Before a data object is uploaded, a note under ``.hauserpy/uploads/`` names it, in an object whose
own name carries host, pid and load; it goes when the load is over. The sweep therefore reads a
short listing rather than every object's metadata.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

import orjson

from hauserpy.destinations.objects.store import Object, ObjectStore
from hauserpy.errors import HauserpyError
from hauserpy.owner import FORGOTTEN, Owner

_log = logging.getLogger(__name__)

NOTES = ".hauserpy/uploads/"

_DATA = re.compile(r"(?:.*/)?[^/]*[0-9]{9,}[^/]*\.(?:csv|jsonl|parquet|json)(?:\.gz)?")
"""Names that may be data objects of ours: other uploads in the bucket are nobody's business."""


@dataclass(frozen=True, slots=True)
class Note:
    """An upload that some run began: of which object, and under which upload id, if any."""

    owner: Owner
    name: str
    upload: str

    @property
    def key(self) -> str:
        return NOTES + self.owner.name

    def encode(self) -> bytes:
        return orjson.dumps({"name": self.name, "upload": self.upload})


class Leftovers:
    """Notes in one store. ``clock`` gives the time now, aware."""

    def __init__(self, store: ObjectStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def note(self, note: Note) -> None:
        self._store.write(note.key, note.encode(), only_if=None)

    def forget(self, note: Note) -> None:
        """The load is over, one way or the other. Never fails: the next sweep removes the note."""
        try:
            self._store.delete(note.key)
        except HauserpyError as error:
            _log.warning("the note of a finished upload stays behind: %s", error.reason)

    def notes(self) -> tuple[list[Note], list[Note]]:
        """Those of runs that are known to be dead or are older than 48 hours, and the others."""
        dead: list[Note] = []
        alive: list[Note] = []
        for found in self._store.list(NOTES):
            owner = Owner.from_name(found.name)
            read = self._store.read(found.name) if owner is not None else None
            if owner is None or read is None:
                continue
            over = owner.is_gone(self._clock() - found.modified)
            (dead if over else alive).append(Note(owner, *_parsed(read[0])))
        return dead, alive

    def object_of(self, note: Note) -> Object | None:
        """The data object that the noted load has made, if it is there."""
        found = self._store.stat(note.name) if note.name else None
        return found if found is not None and found.load == note.owner.load else None

    def abort(self, note: Note) -> None:
        if note.upload:
            self._store.abort(note.name, note.upload)

    def abort_old(self, but: Collection[Note]) -> None:
        """Abort the uploads that nobody completed within 48 hours, ``but`` for those of a run that
        may be at it still."""
        kept = {note.upload for note in but}
        for upload in self._store.uploads():
            ours = upload.id not in kept and _DATA.fullmatch(upload.name)
            if ours and self._clock() - upload.began > FORGOTTEN:
                self._store.abort(upload.name, upload.id)


def _parsed(data: bytes) -> tuple[str, str]:
    """A note that cannot be read leads nowhere; it is only removed."""
    try:
        read = orjson.loads(data)
        return str(read["name"]), str(read["upload"])
    except (ValueError, KeyError, TypeError):
        return "", ""
