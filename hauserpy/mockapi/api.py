"""The mock API as one object: start it, point a client at it, see what was asked of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from hauserpy.config.durations import format_duration
from hauserpy.errors import ConfigError
from hauserpy.mockapi import synthetic
from hauserpy.mockapi.answers import Encoding
from hauserpy.mockapi.faults import Fault, FaultBox
from hauserpy.mockapi.files import SpooledWindows
from hauserpy.mockapi.generation1 import Generation1, Style
from hauserpy.mockapi.generation2 import Generation2, Operation
from hauserpy.mockapi.router import Router
from hauserpy.mockapi.server import LoopbackServer, Request
from hauserpy.mockapi.store import Store, StoredBundle, literal_bundle
from hauserpy.model import BEGINNING, Bundle, Window, rfc3339

DEFAULT_KEY = "na1.mock"
"""The API key that is asked for when no other is given."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MockApi:
    """Both generations of the export API on 127.0.0.1, from `start` to `close` or in a ``with``.

    Data: ``bodies`` (windows with literal bodies), else ``data`` (files of events, cut into windows
    of ``window``), else ``bundles`` synthetic windows of ``window`` each, from ``start_time`` on,
    with ``events`` records each, or ``bundle_bytes`` of JSON text each, the same for the same
    ``seed``. Bundles are offered ``delay`` after their end, by ``clock``.

    Faults are specs or `Fault`; see `hauserpy.mockapi.faults`. ``polls`` is how often an operation
    of generation 2 answers PENDING. ``heard`` is told of each request, from the thread that answers
    it. ConfigError when a fault or a file cannot be read, or the port is taken.
    """

    def __init__(
        self,
        *,
        bundles: int = 3,
        events: int = 200,
        bundle_bytes: int | None = None,
        seed: int = 1,
        data: Iterable[Path | str] = (),
        bodies: Mapping[Window, bytes] | None = None,
        window: timedelta = timedelta(days=1),
        start_time: datetime | None = None,
        token: str = DEFAULT_KEY,
        port: int = 0,
        faults: Iterable[Fault | str] = (),
        rate_limit: int | None = None,
        list_keys: Literal["title", "upper", "lower"] = "title",
        list_text: bool = False,
        encoding: Encoding = "gzip",
        chunked: bool = False,
        polls: int = 3,
        location_ttl: timedelta = timedelta(minutes=5),
        delay: timedelta = timedelta(hours=24),
        clock: Callable[[], datetime] = _utc_now,
        heard: Callable[[Request], None] | None = None,
    ) -> None:
        if window <= timedelta(0):
            raise ConfigError("a window must be longer than nothing.", "Give 30m to 24h.")
        self.token = token
        self.faults = FaultBox(faults)
        self._clock = clock
        self._spool: SpooledWindows | None = None
        paths = [Path(path) for path in data]
        if bodies is not None:
            stored = [literal_bundle(span, body) for span, body in bodies.items()]
        elif paths:
            spool = self._spool = SpooledWindows(paths, window)
            stored = [
                StoredBundle(span, partial(spool.batches, span), spool.about_bytes(span))
                for span in spool.windows()
            ]
        else:
            if start_time is None and (synthetic.END - BEGINNING) / window < bundles:
                raise ConfigError(
                    f"{bundles} bundles of {format_duration(window)} would begin before 1970.",
                    "Give fewer, or shorter ones.",
                )
            first = start_time or synthetic.END - bundles * window
            stored = [
                _synthetic(Window(first + n * window, first + (n + 1) * window), seed, events,
                           bundle_bytes)
                for n in range(bundles)
            ]  # fmt: skip
        self._store = Store(stored, delay)
        self._two = Generation2(
            self._store, clock=clock, polls=polls, location_ttl=location_ttl, encoding=encoding
        )
        self._router = Router(
            Generation1(self._store, Style(list_keys, list_text, encoding, rate_limit), clock),
            self._two,
            self.faults,
            token=token,
            chunked=chunked,
            clock=clock,
            redirects_last=location_ttl,
        )
        try:
            self._api = LoopbackServer("api", self._router.api, clock, port, heard)
        except OSError as error:
            self._close_spool()
            raise ConfigError(
                f"port {port} cannot be listened on: {error.strerror}.", "Choose another --port."
            ) from error
        self._storage = LoopbackServer("storage", self._router.storage, clock, heard=heard)
        self._two.storage_url = self.storage_url
        self._running = False

    def start(self) -> Self:
        """Begin to serve. Called again, it does nothing."""
        if not self._running:
            self._running = True
            self._api.start()
            self._storage.start()
        return self

    def close(self) -> None:
        """Stop serving and end every connection, also those that hang. May be called again."""
        for server in (self._api, self._storage):
            server.stop()
        self._close_spool()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Base URL of generation 1: what ``ApiURL`` is for ``ExportApi = "bundles"``."""
        return f"{self.segments_url}/api/v1"

    @property
    def segments_url(self) -> str:
        """Base URL of generation 2: what ``ApiURL`` is for ``ExportApi = "segments"``."""
        return f"http://127.0.0.1:{self._api.port}"

    @property
    def storage_url(self) -> str:
        """The other host, where signed locations are."""
        return f"http://127.0.0.1:{self._storage.port}"

    @property
    def requests(self) -> list[Request]:
        """Every request so far, on both hosts, in order of arrival."""
        return self._router.requests()

    def requests_to(self, *endpoints: str) -> list[Request]:
        """Those to the endpoints named: list, get, create, poll, cancel, locate, download."""
        return [request for request in self.requests if request.endpoint in endpoints]

    def forget_requests(self) -> None:
        """Empty `requests`."""
        self._router.forget()

    @property
    def bundles(self) -> list[Bundle]:
        """Every bundle there is, also those not yet offered, oldest first."""
        return [stored.bundle for stored in self._store.all()]

    @property
    def operations(self) -> list[Operation]:
        """Generation 2's operations, in the order they were created."""
        return self._two.operations()

    def records(self, window: Window | None = None) -> list[dict[str, Any]]:
        """The events of the bundle of that window, or of all: what a client should end up with."""
        return [
            json.loads(text)
            for stored in self._store.all()
            if window in (None, stored.window)
            for batch in stored.batches()
            for text in batch
        ]

    def add(self, window: Window, body: bytes) -> None:
        """Offer one more bundle with that body (JSON text or gzip); it replaces one of its id."""
        self._store.add(literal_bundle(window, body))

    def config(self, api: Literal["bundles", "segments"] = "bundles") -> str:
        """Lines of TOML that point hauserpy at this mock."""
        lines = [f"FsApiToken = {json.dumps(self.token)}", f'ExportApi = "{api}"']
        url = self.url if api == "bundles" else self.segments_url
        lines.append(f'ApiURL = "{url}"')
        if api == "segments" and self.bundles:
            lines.append(f'StartTime = "{rfc3339(self.bundles[0].window.start)}"')
        return "\n".join(lines) + "\n"

    def _close_spool(self) -> None:
        if self._spool is not None:
            self._spool.close()


def _synthetic(window: Window, seed: int, events: int, size: int | None) -> StoredBundle:
    count = events if size is None else None
    return StoredBundle(
        window,
        partial(synthetic.records, window, seed=seed, events=count, bytes=size),
        events * synthetic.ABOUT if size is None else size,
    )
