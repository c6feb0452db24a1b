"""What the load algorithm asks of an object store: a few requests, some of them conditional."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from hauserpy.entries import StoredFile
from hauserpy.model import Check, Part

ABSENT: Final = ""
"""As the version that a write demands: there is no object of that name yet."""

LOAD_LABEL: Final = "hauserpy-load"
"""The metadata key under which a data object carries the ``load`` id that made it."""


class Conflict(Exception):
    """The precondition of a write does not hold, or another write was under way: look again.

    It may also be our own first attempt, whose answer was lost, that is in the way.
    """


@dataclass(frozen=True, slots=True)
class Object:
    """An object as the store describes it. ``name`` is relative to the path in ``Bucket``."""

    name: str
    size: int
    digest: str
    """Of the content: ``etag:…`` or ``crc32c:…``. The same in a listing as for a single object."""
    version: str
    """What a conditional request names it by."""
    modified: datetime
    load: str = ""
    """The load id in its metadata. Listings leave it out."""

    def is_file(self, file: StoredFile) -> bool:
        return self.size == file.size and self.digest == file.digest

    def as_file(self) -> StoredFile:
        return StoredFile(self.name, self.size, self.digest)


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload in several requests that was begun and not completed."""

    name: str
    id: str
    began: datetime


class ObjectStore(Protocol):
    """A bucket, and a path in it that every name is relative to.

    Promises: an object is visible only whole; reads and listings see every write that was answered;
    a request may be made again after a lost answer. Requests are retried, and bounded in time.

    Errors: AccessDenied, ConfigError (no such bucket, the wrong region), DestinationUnavailable,
    DestinationRefused; never the SDK's own.
    """

    @property
    def place(self) -> str:
        """``s3://bucket/path/``, for messages."""
        ...

    def read(self, name: str) -> tuple[bytes, str] | None:
        """A small object's content and version; None when it is not there."""
        ...

    def write(self, name: str, data: bytes, *, only_if: str | None) -> str:
        """Put a small object, and return its version.

        ``only_if`` is the version that must be there now, ABSENT for none; None for whatever is
        there. Raises Conflict, and has written nothing, unless it holds.
        """
        ...

    def begin(self, name: str, part: Part, load: str) -> str:
        """Begin to upload a large file; the upload's id, or nothing when there is none to abort."""
        ...

    def write_file(self, name: str, part: Part, load: str, upload: str) -> None:
        """Put a data object that carries ``load`` in its metadata, whole, if there is none of that
        name; else raises Conflict. ``upload`` is what `begin` gave; it is over afterwards."""
        ...

    def stat(self, name: str) -> Object | None: ...

    def list(self, prefix: str) -> Iterator[Object]: ...

    def delete(self, name: str, version: str | None = None) -> None:
        """Remove it; one that is gone, or of another version than the one given, is left alone."""
        ...

    def uploads(self) -> Iterator[Upload]:
        """Those not completed, where such things take room until they are aborted."""
        ...

    def abort(self, name: str, upload: str) -> None: ...

    def checks(self) -> Iterator[Check]:
        """Credentials, the bucket and its region."""
        ...

    def close(self) -> None: ...
