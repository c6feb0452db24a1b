"""Generation 2 of the export API: exports of a segment, their operations and signed locations."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

from hauserpy.mockapi import answers
from hauserpy.mockapi.content import Content, json_array, json_lines
from hauserpy.mockapi.faults import Fault
from hauserpy.mockapi.selection import Selection, selected
from hauserpy.mockapi.server import Request, Response
from hauserpy.mockapi.store import Store
from hauserpy.model import BEGINNING, Window, rfc3339

Format = Literal["FORMAT_JSON", "FORMAT_NDJSON"]

SLOW_POLLS = 50
"""PENDING polls of the fault slow-operation without a value."""

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_MONTH = timedelta(days=30)
_KEPT_FOR = timedelta(days=1)


@dataclass(slots=True)
class Operation:
    """One export in the making. ``polls`` counts how often it was asked for."""

    id: str
    number: int
    """Which distinct time range it is for, from 1 in the order they were asked for."""
    span: Window
    selection: Selection
    format: Format
    pending_polls: int
    created: datetime
    fails: bool = False
    polls: int = 0
    cancelled: bool = False

    @property
    def export_id(self) -> str:
        return f"se{self.id}"

    @property
    def state(self) -> str:
        """PENDING, COMPLETED, FAILED or CANCELED, after the polls so far."""
        if self.cancelled:
            return "CANCELED"
        if self.polls <= self.pending_polls:
            return "PENDING"
        return "FAILED" if self.fails else "COMPLETED"


@dataclass
class Refusal(Exception):
    """What is wrong with the body of a request for an export."""

    message: str


@dataclass(slots=True)
class _Wanted:
    span: Window
    selection: Selection
    format: Format
    bounds: tuple[str, str]


class Generation2:
    """Answers the segment export's endpoints; the signed locations are the storage host's."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        polls: int,
        location_ttl: timedelta,
        encoding: answers.Encoding,
    ) -> None:
        self._store = store
        self._clock = clock
        self._polls = polls
        self._ttl = location_ttl
        self._encoding = encoding
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._operations: dict[str, Operation] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self.storage_url = ""

    def operations(self) -> list[Operation]:
        """All that were created, in order."""
        with self._lock:
            return list(self._operations.values())

    def number(self, id: str) -> int | None:
        """Which bundle an operation or an export is for."""
        operation = self._find(id)
        return operation.number if operation else None

    def number_of_body(self, request: Request) -> int | None:
        """Which bundle the body of a request for an export is for; a new range gets a new number."""
        try:
            wanted = self._wanted(request.body)
        except Refusal:
            return None
        return self._number(wanted.bounds)

    def create(self, request: Request, fault: Fault | None) -> Response:
        try:
            wanted = self._wanted(request.body)
        except Refusal as refusal:
            return answers.error(400, refusal.message)
        kind = fault.kind if fault else ""
        polls = self._polls
        if kind == "slow-operation" and fault is not None:
            polls = SLOW_POLLS if fault.value is None else fault.value
        number = self._number(wanted.bounds)
        with self._lock:
            operation = Operation(
                id=f"{number:04}{secrets.token_hex(6)}",
                number=number,
                span=wanted.span,
                selection=wanted.selection,
                format=wanted.format,
                pending_polls=polls,
                created=self._clock(),
                fails=kind == "failed",
            )
            self._operations[operation.id] = operation
        return answers.as_json({"operationId": operation.id})

    def poll(self, id: str, fault: Fault | None) -> Response:
        operation = self._find(id)
        if operation is None:
            return answers.error(404, f"there is no operation {id}")
        with self._lock:
            operation.polls += 1
            if fault is not None and fault.kind == "failed":
                operation.fails, operation.pending_polls = True, 0
            polls, state = operation.polls, operation.state
        done = (
            100 if state == "COMPLETED" else min(99, polls * 100 // (operation.pending_polls + 1))
        )
        answer: dict[str, Any] = {
            "type": "SEARCH_EXPORT",
            "state": state,
            "estimatePctComplete": done,
        }
        if fault is not None and fault.kind == "unknown-state":
            answer["state"] = "REHEATING"
        elif state == "FAILED":
            answer["errorDetails"] = "the search ran out of memory (a fault of the mock API)"
        elif state == "COMPLETED":
            expires = rfc3339(self._clock() + _KEPT_FOR)
            answer["results"] = {"searchExportId": operation.export_id, "expires": expires}
        return answers.as_json(answer)

    def cancel(self, id: str) -> Response:
        operation = self._find(id)
        if operation is None:
            return answers.error(404, f"there is no operation {id}")
        with self._lock:
            operation.cancelled = operation.cancelled or operation.state == "PENDING"
        return answers.as_json({})

    def locate(self, id: str, fault: Fault | None) -> Response:
        operation = self._find(id)
        if operation is None or id != operation.export_id or operation.state != "COMPLETED":
            return answers.error(404, f"there is no export {id}")
        now = self._clock()
        stale = fault is not None and fault.kind == "expired"
        expires = now + (-timedelta(seconds=1) if stale else self._ttl)
        # A stale location that says so would be no test: a client finds out by the 403.
        said = rfc3339(now + self._ttl)
        location = self.storage_url + self.sign(f"/exports/{id}.json.gz", expires)
        return answers.as_json({"location": location, "expires": said})

    def download(self, id: str, fault: Fault | None) -> Response:
        operation = self._find(id)
        if operation is None or operation.state != "COMPLETED":
            return answers.error(404, f"there is no export {id}")
        span, selection = operation.span, operation.selection
        bundles = [b for b in self._store.all() if b.window.overlaps(span)]
        for bundle in bundles:
            if bundle.literal is not None and not bundle.has_records:
                # What is no array of records cannot be selected from: it goes out as it is.
                return answers.literal_body(bundle.literal, bundle.is_packed, self._encoding, fault)
        about = sum(b.about_bytes for b in bundles)

        def batches() -> Any:
            return selected(bundles, span, selection)

        text: Content
        text = json_array(batches) if operation.format == "FORMAT_JSON" else json_lines(batches)
        return answers.body(text, about, self._encoding, fault)

    def sign(self, target: str, expires: datetime) -> str:
        """The path and query with an expiry in Unix seconds and a signature over all of it."""
        mark = "&" if "?" in target else "?"
        signed = f"{target}{mark}expires={expires.timestamp():.0f}"
        return f"{signed}&signature={self._signature(signed)}"

    def signed(self, target: str) -> bool:
        """Whether the path and query carry a signature of ours that is still good."""
        signed, _, signature = target.rpartition("&signature=")
        if not hmac.compare_digest(signature, self._signature(signed)):
            return False
        expires = signed.rpartition("expires=")[2]
        return self._clock().timestamp() < int(expires)

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def _find(self, id: str) -> Operation | None:
        with self._lock:
            return self._operations.get(id.removeprefix("se"))

    def _number(self, bounds: tuple[str, str]) -> int:
        with self._lock:
            return self._numbers.setdefault(bounds, len(self._numbers) + 1)

    def _wanted(self, body: bytes) -> _Wanted:
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Refusal(f"the body is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise Refusal("the body must be an object")
        known = {
            "segmentId",
            "type",
            "format",
            "timeRange",
            "segmentTimeRange",
            "fields",
            "timezone",
        }
        strange = sorted(data.keys() - known)
        if strange:
            raise Refusal(f"unknown parameters: {', '.join(strange)}")
        segment = data.get("segmentId")
        if not isinstance(segment, str) or not segment:
            raise Refusal("segmentId is missing")
        if data.get("type") != "TYPE_EVENT":
            raise Refusal("type must be TYPE_EVENT: the mock serves events only")
        format = data.get("format")
        if format not in {"FORMAT_JSON", "FORMAT_NDJSON"}:
            raise Refusal("format must be FORMAT_JSON or FORMAT_NDJSON: the mock serves no other")
        start, stop = _range(data, "timeRange")
        if "segmentTimeRange" in data:
            _range(data, "segmentTimeRange")
        elif segment == "everyone":
            # Fullstory's own segment then means the last 30 days, and older events are not in it.
            start = max(start, self._clock() - _MONTH)
        fields = data.get("fields")
        if fields is not None and not (
            isinstance(fields, list) and all(isinstance(name, str) for name in fields)
        ):
            raise Refusal("fields must be a list of names")
        try:
            selection = Selection.of(fields or None)
        except ValueError as error:
            raise Refusal(str(error)) from error
        bounds = (data["timeRange"]["start"], data["timeRange"]["end"])
        return _Wanted(Window(start, max(start, stop)), selection, format, bounds)


def _range(data: dict[str, Any], name: str) -> tuple[datetime, datetime]:
    value = data.get(name)
    if not isinstance(value, dict) or not {"start", "end"} <= value.keys():
        raise Refusal(f'{name} must be {{"start": …, "end": …}}')
    start = _bound(value["start"], f"{name}.start", BEGINNING)
    stop = _bound(value["end"], f"{name}.end", _END_OF_TIME)
    if stop <= start:
        raise Refusal(f"{name} ends before it starts")
    return start, stop


def _bound(text: Any, name: str, open_end: datetime) -> datetime:
    if text == "":
        return open_end
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise Refusal(f"{name} is not RFC 3339: {text!r}") from error
    if moment.tzinfo is None or "T" not in text.upper():
        raise Refusal(f"{name} is not RFC 3339: {text!r}")
    return moment.astimezone(UTC)
