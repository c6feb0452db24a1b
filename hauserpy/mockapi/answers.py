"""Answers that both generations give: JSON, errors, an HTML page, bodies of events."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson

from hauserpy.mockapi.content import HELD_AT_MOST, Content, gzipped
from hauserpy.mockapi.damage import OBJECT, in_bytes, in_text
from hauserpy.mockapi.faults import Fault
from hauserpy.mockapi.server import Response, Transport

Encoding = Literal["gzip", "content-encoding", "plain"]
"""How a body goes out: as a gzip file, as gzip that the transport undoes, or gunzipped."""

_HTML = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>
"""
_ENDS: dict[str, Literal["cut", "hang", "reset"]] = {
    "cut": "cut",
    "hang": "hang",
    "reset": "reset",
}
_INSTEAD = {"null": b"null", "object": OBJECT}
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}


def as_json(value: Any) -> Response:
    """200 with a JSON body."""
    return Response(200, {"Content-Type": "application/json"}, Content.of(orjson.dumps(value)))


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the shape of the API's second version."""
    body = orjson.dumps({"message": message, "code": _CODES.get(status, f"http_{status}")})
    return Response(
        status, {"Content-Type": "application/json", **(headers or {})}, Content.of(body)
    )


def html() -> Response:
    """200 with a page, as a captive portal or a wrong address gives it."""
    return Response(200, {"Content-Type": "text/html; charset=utf-8"}, Content.of(_HTML))


_FURTHEST = 200 * 10**9
"""Seconds from now to a date that a calendar still has, in the year 8364."""


def for_status(fault: Fault, now: datetime) -> Response:
    """The answer of a fault that is a status."""
    status = fault.status or 500
    headers = {}
    if status in {429, 503} and fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
        if fault.date:
            later = now + timedelta(seconds=min(fault.retry_after, _FURTHEST))
            headers["Retry-After"] = email.utils.format_datetime(later, usegmt=True)
    return error(status, "a fault of the mock API", headers)


def body(text: Content, about_bytes: int, encoding: Encoding, fault: Fault | None) -> Response:
    """A body of events, of known length when it is small, with the fault that lies in it."""
    content = in_text(text, fault)
    if encoding != "plain":
        content = gzipped(content)
    if about_bytes <= HELD_AT_MOST:
        content = content.held()
    return _download(in_bytes(content, fault), encoding)


def literal_body(
    literal: bytes, is_packed: bool, encoding: Encoding, fault: Fault | None
) -> Response:
    """A body as it was given: JSON text, or ``is_packed`` what is gzip or claims to be."""
    if is_packed:
        return _download(in_bytes(Content.of(literal), fault), encoding)
    return body(Content.of(literal), len(literal), encoding, fault)


def _download(content: Content, encoding: Encoding) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="DataExport.json.gz"'}
    if encoding == "gzip":
        headers["Content-Type"] = "application/gzip"
    else:
        headers["Content-Type"] = "application/json"
        headers["Content-Disposition"] = 'attachment; filename="DataExport.json"'
    if encoding == "content-encoding":
        headers["Content-Encoding"] = "gzip"
    return Response(200, headers, content, events=True)


def struck(response: Response, fault: Fault | None, slow: Fault | None, chunked: bool) -> Response:
    """The answer, with what the faults do to its JSON or to the connection."""
    if fault is not None and not response.events and fault.kind in _INSTEAD:
        response = replace(response, content=Content.of(_INSTEAD[fault.kind]))
    wire = Transport(chunked=chunked and response.events, rate=slow.value if slow else None)
    if slow is not None and slow.chunked:
        wire = replace(wire, chunked=True)
    if fault is not None:
        if fault.chunked:
            wire = replace(wire, chunked=True)
        if fault.kind == "wrong-length":
            wire = replace(wire, announced_short=10)
        if fault.at is not None and fault.kind in _ENDS:
            wire = replace(wire, ends_at=fault.at, ends_by=_ENDS[fault.kind])
    return replace(response, transport=wire)
