"""The seam behind which both generations of the export API stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from hauserpy.errors import ApiUnavailable
from hauserpy.model import Bundle, Window


class BundleTooSlow(ApiUnavailable):
    """A download took longer than ``BundleTimeout``: another try in the same run would as well."""


class SourceClosed(ApiUnavailable):
    """`Source.close` was called while something was asked for or read."""


class Body(Protocol):
    """The bytes of a bundle as the wire brings them, gzip or not: `hauserpy.decode` decides."""

    total: int | None
    """The length that the server announced, in bytes; None when it did not."""

    def __iter__(self) -> Iterator[bytes]:
        """Chunks as they come. Ends only when the body is whole by the transport's own measure
        (Content-Length, last chunk); else raises ApiUnavailable."""
        ...


class Source(Protocol):
    """Where bundles come from.

    Errors: AccessDenied (401, 403), BundleGone (404 of a bundle), RateLimited, ApiUnavailable
    (after its own retries; a download that is cut is retried by the caller, who starts it again).
    """

    def due(
        self,
        after: datetime | None,
        until: datetime | None = None,
        *,
        loaded: Sequence[Window] = (),
        replace: bool = False,
    ) -> Iterator[Bundle]:
        """Bundles whose window ends after ``after`` and starts before ``until``, oldest first.

        None means from the beginning, and all that is offered. Lazy: pages are asked for as they
        are needed. Called twice, it asks twice. ``loaded`` are the windows that the ledger holds:
        generation 2, whose windows are the client's own, makes them from the gaps between these
        (with ``replace`` also the loaded windows themselves, as they are); generation 1 offers its
        bundles whatever is loaded.
        """
        ...

    def open(self, bundle: Bundle) -> AbstractContextManager[Body]:
        """Begin the download of one bundle. Safe to call again after a failure: it then starts
        from the first byte, and costs the server as little as it can."""
        ...

    def announce(self, bundle: Bundle) -> None:
        """Say that ``bundle`` will be opened soon, so that the API can begin to make it ready.

        A hint: it never waits and never fails, and need not be given. Generation 1 ignores it.
        """
        ...

    def close(self) -> None:
        """Release connections, and cancel exports that nobody will fetch.

        May be called twice, and from another thread: reads that are blocked then end at once with
        ApiUnavailable.
        """
        ...
