"""Generation 2 of the export API: windows of our own, exported on demand, fetched by signed URL."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import requests

from hauserpy.errors import AccessDenied, ApiUnavailable, HauserpyError
from hauserpy.export.http import Http, host_of
from hauserpy.export.operations import (
    NotReady,
    Operation,
    OperationFailed,
    Operations,
    Preparing,
)
from hauserpy.export.request import Request
from hauserpy.export.retry import Again
from hauserpy.export.source import Body, SourceClosed
from hauserpy.export.windows import bundle_of, first_start, windows
from hauserpy.fields import request_fields
from hauserpy.model import Bundle, Window, rfc3339
from hauserpy.waiting import Timing

if TYPE_CHECKING:
    from hauserpy.config import Settings
    from hauserpy.fields import Field

_log = logging.getLogger(__name__)

MOST_OUTSTANDING = 2
"""Exports that the API makes for us at one time: one in hand, and the next."""

_MOST_CREATED = 3
"""How often one window's export is created in a run: once, and twice more when it failed."""

_MOST_LOCATIONS = 3
"""How many signed URLs in a row may be refused by the storage host."""

_REFUSED = (400, 401, 403, 404, 410)
"""What storage hosts answer to a signed URL that has expired, or that they never heard of."""

_KEPT = 8
"""Finished exports that are remembered, for a download that has to start again."""

_CREATING_SECONDS = 1.0
"""How long `close` waits for the answer to a request for an export that is on its way."""


class Segments:
    """The `Source` of ``ExportApi = "segments"``. Safe to use from several threads.

    Within a run a window's export is created once: a download that starts again polls the same
    operation and asks for a fresh location. `close` cancels those that are not ready.
    """

    def __init__(
        self,
        settings: Settings,
        fields: Sequence[Field],
        timing: Timing | None = None,
        preparing: Preparing | None = None,
    ) -> None:
        """``preparing`` is called with (bundle, per cent or None) at each poll. Raises ConfigError
        for a URL, token or header that cannot be used."""
        self._timing = timing or Timing()
        self._http = Http(settings, self._timing)
        self._start_time = settings.start_time
        self._duration = settings.export_duration
        self._delay = settings.export_delay
        self._operations = Operations(
            self._http,
            self._timing,
            segment=settings.segment_id,
            fields=request_fields(fields),
            poll_timeout=settings.poll_timeout,
            preparing=preparing,
        )
        self._begun: dict[Window, Operation] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._creating = threading.Lock()

    def due(
        self,
        after: datetime | None,
        until: datetime | None = None,
        *,
        loaded: Sequence[Window] = (),
        replace: bool = False,
    ) -> Iterator[Bundle]:
        """See `Source.due` and `hauserpy.export.windows.windows`. Reaches to now − ExportDelay;
        begins at ``after``, else StartTime, else 30 days ago. Asks the API nothing."""
        limit = self._timing.clock() - self._delay
        start = after or self._start_time
        if start is None:
            start = first_start(self._timing.clock(), self._duration)
        for window in windows(
            start, limit, self._duration, until=until, loaded=loaded, replace=replace
        ):
            yield bundle_of(window)

    @contextmanager
    def open(self, bundle: Bundle) -> Iterator[Body]:
        """See `Source.open`: create or go on with the export, poll, get a location, download it
        without the token."""
        what = f"the export of {bundle.window}"
        response = self._http.patience.run(lambda: self._download(bundle, what), what)
        try:
            yield self._http.body(response, what)
        finally:
            response.close()

    def announce(self, bundle: Bundle) -> None:
        """Have the API begin with the bundle's export, unless enough are outstanding. One request
        at most, and no wait; what goes wrong comes up again when the bundle is opened."""
        if not self._creating.acquire(blocking=False):
            return
        try:
            with self._lock:
                if self._closed:
                    return
                outstanding = sum(o.export_id is None for o in self._begun.values())
                known = bundle.window in self._begun
            if not known and outstanding < MOST_OUTSTANDING:
                self._remember(bundle, self._operations.create(bundle, hurried=True))
        except HauserpyError as error:
            _log.info("%s is not begun ahead of time: %s", bundle, error.reason)
        finally:
            self._creating.release()

    def close(self) -> None:
        """See `Source.close`: cancel what is not ready, one request each, and hang up."""
        # An export that is being asked for at this moment is waited for, to be cancelled as well.
        asking = not self._creating.acquire(timeout=_CREATING_SECONDS)
        with self._lock:
            # From here on nothing is created any more, also not by a thread that still polls and
            # learns that its export was cancelled.
            self._closed = True
            unfinished = [o for o in self._begun.values() if o.export_id is None]
            self._begun.clear()
        if not asking:
            self._creating.release()
        for operation in unfinished:
            self._operations.cancel(operation)
        self._http.close()

    def _download(self, bundle: Bundle, what: str) -> requests.Response:
        """One try at the head of the body, with a fresh location of the same export."""
        status, host = 0, ""
        for _ in range(_MOST_LOCATIONS):
            request = Request(
                what=what,
                endpoint="download",
                url=self._location(bundle, what),
                ours=False,
                allow=_REFUSED,
                first_byte=self._http.first_byte,
            )
            response = self._http.attempt(request)
            if response.status_code == 200:
                return response
            status, host = response.status_code, host_of(response)
            response.close()
            _log.info("%s: %s answered %d to its location; asking anew", what, host, status)
        said = f"{what}: {host} answered {status} to {_MOST_LOCATIONS} fresh locations in a row."
        if status in (401, 403):
            raise AccessDenied(
                said, f"A proxy or firewall may forbid {host}, or this machine's clock is wrong."
            )
        raise ApiUnavailable(said, "Run again later; it is exported anew then.")

    def _location(self, bundle: Bundle, what: str) -> str:
        """A fresh signed URL, once the export is ready; one that failed is created anew."""

        def attempt() -> str:
            operation = self._operation(bundle)
            try:
                self._operations.finish(bundle, operation)
                return self._operations.location(operation, what)
            except OperationFailed as failed:
                self._refuse_closed(what)
                self._forget(bundle, operation)
                raise Again(failed.reason.rstrip(".")) from None
            except NotReady:
                self._forget(bundle, operation)
                self._operations.cancel(operation)
                raise

        return self._http.patience.run(
            attempt,
            what,
            tries=_MOST_CREATED,
            instruction="Run again later. If it stays so, ask Fullstory, or give the window up with"
            f" `hauserpy skip --since {rfc3339(bundle.window.start)}"
            f" --until {rfc3339(bundle.window.stop)} --reason …`.",
        )

    def _operation(self, bundle: Bundle) -> Operation:
        """The window's export, created when there is none in this run."""
        with self._creating:
            with self._lock:
                found = self._begun.get(bundle.window)
            if found is None:
                self._refuse_closed(f"the export of {bundle.window}")
                found = self._remember(bundle, self._operations.create(bundle))
            return found

    def _refuse_closed(self, what: str) -> None:
        if self._closed:
            raise SourceClosed(f"{what}: the session was closed.", "Run again.")

    def _remember(self, bundle: Bundle, operation: Operation) -> Operation:
        with self._lock:
            late = self._closed
            if not late:
                self._begun[bundle.window] = operation
            finished = [w for w, o in self._begun.items() if o.export_id is not None]
            for window in finished[:-_KEPT]:
                del self._begun[window]
        if late:
            # It was on its way when `close` counted what there is.
            self._operations.cancel(operation)
            self._refuse_closed(f"the export of {bundle.window}")
        return operation

    def _forget(self, bundle: Bundle, operation: Operation) -> None:
        with self._lock:
            if self._begun.get(bundle.window) is operation:
                del self._begun[bundle.window]
