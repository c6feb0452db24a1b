"""Generation 1 of the export API: the list of bundles, and their bodies."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hauserpy.mockapi.answers import Encoding, as_json, body, error, literal_body
from hauserpy.mockapi.faults import Fault
from hauserpy.mockapi.server import Request, Response
from hauserpy.mockapi.store import Store, StoredBundle


@dataclass(frozen=True, slots=True)
class Style:
    """The ways in which real answers of generation 1 differ."""

    keys: Literal["title", "upper", "lower"] = "title"
    """Of the listed bundles: ``Id``, ``ID`` or ``id``, and so on."""
    text_numbers: bool = False
    """Start, Stop and Id as decimal strings."""
    encoding: Encoding = "gzip"
    rate_limit: int | None = None
    """Downloads a minute, then 429 with Retry-After; the real API allows 2."""


class Generation1:
    """Answers ``/api/v1/export/list`` and ``/api/v1/export/get``."""

    def __init__(self, store: Store, style: Style, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._style = style
        self._clock = clock
        self._lock = threading.Lock()
        self._downloads: deque[float] = deque()

    def number(self, id: str) -> int | None:
        """Which bundle that is, from 1."""
        found = self._store.find(id, self._clock())
        return found[0] if found else None

    def list(self, request: Request) -> Response:
        """The first 20 bundles whose end is after ``start``, oldest first."""
        start = request.query.get("start", "0")
        try:
            since = float(start)
        except ValueError:
            return error(400, f"start must be Unix seconds, not {start!r}")
        exports = [self._listed(b) for b in self._store.page(since, self._clock())]
        return as_json({"exports": exports})

    def _listed(self, bundle: StoredBundle) -> dict[str, int | str]:
        values = {
            "Start": int(bundle.window.start.timestamp()),
            "Stop": int(bundle.window.stop.timestamp()),
            "Id": bundle.id,
        }
        change = {"title": str.title, "upper": str.upper, "lower": str.lower}[self._style.keys]
        return {
            change(key): str(value) if self._style.text_numbers else value
            for key, value in values.items()
        }

    def get(self, request: Request, fault: Fault | None) -> Response:
        """One bundle, with the fault that is to be in it."""
        id = request.query.get("id")
        if not id:
            return error(400, "id is missing")
        found = self._store.find(id, self._clock())
        if found is None:
            return error(404, f"there is no export {id}")
        wait = self._wait()
        if wait:
            return error(429, "too many downloads a minute", {"Retry-After": str(wait)})
        bundle = found[1]
        if bundle.literal is not None:
            return literal_body(bundle.literal, bundle.is_packed, self._style.encoding, fault)
        return body(bundle.text(), bundle.about_bytes, self._style.encoding, fault)

    def _wait(self) -> int:
        """Seconds until the next download is allowed; 0 when this one is, which is noted."""
        limit = self._style.rate_limit
        if limit is None:
            return 0
        now = self._clock().timestamp()
        with self._lock:
            while self._downloads and self._downloads[0] <= now - 60:
                self._downloads.popleft()
            if len(self._downloads) >= limit:
                return max(1, int(self._downloads[0] + 60 - now + 0.999))
            self._downloads.append(now)
        return 0
