"""Exports in the making: created, polled until they are ready, cancelled when nobody wants them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from hauserpy.errors import ApiUnavailable, ConfigError, HauserpyError
from hauserpy.export.http import Http
from hauserpy.export.request import Request
from hauserpy.export.retry import Again
from hauserpy.model import Bundle, rfc3339
from hauserpy.waiting import LONG, NOTICE, Timing, span

_log = logging.getLogger(__name__)

_FIRST_INTERVAL = 1.0
_LONGEST_INTERVAL = 30.0
_GROWTH = 1.5
_LONGEST_ID = 1000
_CANCEL_PATIENCE = 5.0
_MOST_AHEAD_SECONDS = 300.0
"""Windows end ExportDelay before now by this machine's clock: one that is ahead makes them end before
all of their events are known."""

Preparing = Callable[[Bundle, int | None], None]


@dataclass(slots=True)
class Operation:
    """One export that the API was asked for; ``begun`` by the monotonic clock."""

    id: str
    begun: float
    export_id: str | None = None
    """What its results are fetched by, once it is complete."""


class OperationFailed(Exception):
    """The API gave the export up (or knows nothing of it): create it anew, or tell why not."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class NotReady(ApiUnavailable):
    """The export is not ready within PollTimeout."""


class Operations:
    """The calls of Segment Export that make an export, over one `Http`.

    Ids come from the network: they are quoted before they become part of a URL.
    """

    def __init__(
        self,
        http: Http,
        timing: Timing,
        *,
        segment: str,
        fields: Sequence[str],
        poll_timeout: timedelta,
        preparing: Preparing | None,
    ) -> None:
        self._http = http
        self._timing = timing
        self._segment = segment
        self._fields = list(fields)
        self._poll_timeout = poll_timeout.total_seconds()
        self._preparing = preparing

    def create(self, bundle: Bundle, *, hurried: bool = False) -> Operation:
        """Ask for the export of the bundle's window; ``hurried``: one try, and no waits.

        A request whose answer is lost is sent again; the first export then is one too many, which
        nobody downloads.
        """
        request = Request(
            what=f"the export of {bundle.window}",
            endpoint="create",
            url=self._http.url("segments/v1/exports"),
            method="POST",
            json=_wanted(bundle, self._segment, self._fields),
            hurried=hurried,
        )
        begun = self._timing.monotonic()
        _, answer = self._http.json(request, tries=1 if hurried else None)
        made = Operation(_text_of(answer, "operationId", request.what), begun)
        if self._http.ahead > _MOST_AHEAD_SECONDS:
            self.cancel(made)
            raise ConfigError(
                f"this machine's clock is {span(self._http.ahead)} ahead of the API's: what has not"
                " happened yet would be taken for loaded.",
                "Set the clock (NTP); then run again.",
            )
        return made

    def finish(self, bundle: Bundle, operation: Operation) -> str:
        """Poll until the export is complete; returns what its results are fetched by.

        Raises OperationFailed, or NotReady after PollTimeout (counted from its creation).
        The interval between two polls grows from 1 s to 30 s.
        """
        what = f"the export of {bundle.window}"
        interval = _FIRST_INTERVAL
        told = False
        while operation.export_id is None:
            answer = self._state(operation, what)
            state = str(answer.get("state", "")).upper()
            if state == "COMPLETED":
                results = answer.get("results")
                operation.export_id = _text_of(results, "searchExportId", what)
                break
            if state == "FAILED":
                raise OperationFailed(f"the API gave it up: {_details(answer, self._http.masked)}")
            if state in ("CANCELED", "CANCELLED"):
                raise OperationFailed("somebody cancelled it")
            percent = _percent(answer)
            if self._preparing is not None:
                self._preparing(bundle, percent)
            left = operation.begun + self._poll_timeout - self._timing.monotonic()
            if left <= 0:
                came = "" if percent is None else f", at {percent} %"
                raise NotReady(
                    f"{what}: not ready after {span(self._poll_timeout)} (PollTimeout){came}.",
                    "Run again later; raise PollTimeout or shorten ExportDuration if it stays so.",
                )
            if interval >= LONG and not told:
                told = True
                _log.log(NOTICE, "%s: the API is still making it", what)
            self._timing.sleep(min(interval, left))
            interval = min(interval * _GROWTH, _LONGEST_INTERVAL)
        return operation.export_id

    def location(self, operation: Operation, what: str) -> str:
        """A fresh signed URL of the export's file, good for some minutes. Raises OperationFailed
        when the API no longer has the export."""
        assert operation.export_id is not None
        request = Request(
            what=what,
            endpoint="locate",
            url=self._http.url(f"search/v1/exports/{quote(operation.export_id, safe='')}/results"),
            allow=(404, 410),
        )
        status, answer = self._http.json(request)
        if status in request.allow:
            raise OperationFailed(f"its results are gone ({status})")
        return _text_of(answer, "location", what, longest=100_000)

    def cancel(self, operation: Operation) -> None:
        """Tell the API that nobody will fetch it: once, without retry or long waits. Best effort:
        an export that goes on costs nothing but the API's own work."""
        request = Request(
            what="the cancelling of an export",
            endpoint="cancel",
            url=self._http.url(f"operations/v1/{quote(operation.id, safe='')}/cancel"),
            method="POST",
            allow=range(300, 600),
            first_byte=_CANCEL_PATIENCE,
            hurried=True,
        )
        try:
            self._http.exchange(request).close()
        except (Again, HauserpyError) as error:
            _log.info("export operation %s was not cancelled: %s", operation.id, error)

    def _state(self, operation: Operation, what: str) -> Mapping[str, Any]:
        request = Request(
            what=what,
            endpoint="poll",
            url=self._http.url(f"operations/v1/{quote(operation.id, safe='')}"),
            allow=(404, 410),
        )
        status, answer = self._http.json(request)
        if status in request.allow:
            raise OperationFailed(f"the API knows nothing of it any more ({status})")
        return answer


def _wanted(bundle: Bundle, segment: str, fields: Sequence[str]) -> dict[str, Any]:
    return {
        "segmentId": segment,
        "type": "TYPE_EVENT",
        "format": "FORMAT_JSON",
        # Without it, the segment `everyone` means people who were seen in the last 30 days.
        "segmentTimeRange": {"start": "", "end": ""},
        "timeRange": {
            "start": rfc3339(bundle.window.start),
            "end": rfc3339(bundle.window.stop),
        },
        "fields": list(fields),
    }


def _text_of(answer: Any, key: str, what: str, *, longest: int = _LONGEST_ID) -> str:
    found = answer.get(key) if isinstance(answer, Mapping) else None
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if not isinstance(found, str) or not found or len(found) > longest:
        raise _unreadable(what, f"the answer has no usable {key}")
    if found in (".", ".."):
        raise _unreadable(what, f"the answer has {found!r} as {key}")
    return found


def _unreadable(what: str, problem: str) -> ApiUnavailable:
    return ApiUnavailable(
        f"{what}: {problem}.",
        "Check that ApiURL is that of generation 2 (https://api.fullstory.com, without a path); if"
        " it is, tell Fullstory.",
    )


def _percent(answer: Mapping[str, Any]) -> int | None:
    found = answer.get("estimatePctComplete")
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return int(found) if 0 <= found <= 100 else None


def _details(answer: Mapping[str, Any], masked: Callable[[str], str]) -> str:
    """The API's own words on why it failed, short and on one line."""
    # Before it is cut: half a secret would not be known for one.
    text = masked(str(answer.get("errorDetails") or "no details were given"))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"{text[:300]}…" if len(text) > 300 else text
