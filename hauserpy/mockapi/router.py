"""Which endpoint a request is for; token, faults and answer, on the API host and on the storage."""

from __future__ import annotations

import hmac
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hauserpy.mockapi import answers
from hauserpy.mockapi.faults import Fault, FaultBox
from hauserpy.mockapi.generation1 import Generation1
from hauserpy.mockapi.generation2 import Generation2
from hauserpy.mockapi.server import Request, Response

_ROUTES = (
    ("list", "GET", re.compile(r"/api/v1/export/list")),
    ("get", "GET", re.compile(r"/api/v1/export/get")),
    ("create", "POST", re.compile(r"/segments/v1/exports")),
    ("cancel", "POST", re.compile(r"/operations/v1/([^/]+)/cancel")),
    ("poll", "GET", re.compile(r"/operations/v1/([^/]+)")),
    ("locate", "GET", re.compile(r"/search/v1/exports/([^/]+)/results")),
)
_KEPT = 100_000
_DOWNLOAD = re.compile(r"/exports/([^/]+)\.json\.gz")


class Router:
    """The application behind both servers. Keeps requests for assertions, the last 100 000."""

    def __init__(
        self,
        generation1: Generation1,
        generation2: Generation2,
        faults: FaultBox,
        *,
        token: str,
        chunked: bool,
        clock: Callable[[], datetime],
        redirects_last: timedelta,
    ) -> None:
        self._one = generation1
        self._two = generation2
        self._faults = faults
        self._token = token
        self._chunked = chunked
        self._clock = clock
        self._redirects_last = redirects_last
        self._lock = threading.Lock()
        self._requests: deque[Request] = deque(maxlen=_KEPT)

    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def forget(self) -> None:
        with self._lock:
            self._requests.clear()

    def api(self, request: Request) -> Response:
        """The API host: the token is required."""
        self._note(request)
        endpoint, id, mistake = _route(request)
        request.endpoint = endpoint
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Basic {self._token}".encode()):
            return answers.error(401, "the API key is missing or wrong")
        if mistake is not None:
            return mistake
        fault, slow = self._faults.take(endpoint, self._number(endpoint, id, request))
        return self._met(endpoint, id, request, fault, slow)

    def storage(self, request: Request) -> Response:
        """The other host: signed locations only, and never a token."""
        self._note(request)
        if "authorization" in request.headers:
            return answers.error(400, "only one way to authenticate is allowed: the signature")
        if not self._two.signed(request.raw_target):
            return answers.error(403, "the signature is wrong or has expired")
        match = _DOWNLOAD.fullmatch(request.path)
        if match is None:
            # The far end of a redirect from the API.
            request.endpoint, id, mistake = _route(request)
            return mistake or self._answer(request.endpoint, id, request, None)
        request.endpoint, id = "download", match[1]
        fault, slow = self._faults.take("download", self._two.number(id))
        return self._met("download", id, request, fault, slow)

    def _note(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def _number(self, endpoint: str, id: str, request: Request) -> int | None:
        if endpoint == "get":
            return self._one.number(id)
        if endpoint == "create":
            return self._two.number_of_body(request)
        return self._two.number(id) if id else None

    def _met(
        self,
        endpoint: str,
        id: str,
        request: Request,
        fault: Fault | None,
        slow: Fault | None,
    ) -> Response:
        """The answer, or what the fault makes of it."""
        if fault is not None:
            if fault.status is not None:
                return answers.for_status(fault, self._clock())
            if fault.kind == "html":
                return answers.html()
            if fault.kind == "hang" and fault.at is None:
                return Response(silent="hang")
            if fault.kind == "reset" and fault.at is None:
                return Response(silent="reset")
            if fault.kind == "redirect":
                return self._redirect(request)
            if fault.kind == "expired" and endpoint == "download":
                return answers.error(403, "the signature has expired")
        response = self._answer(endpoint, id, request, fault)
        return answers.struck(response, fault, slow, self._chunked)

    def _redirect(self, request: Request) -> Response:
        target = self._two.sign(request.raw_target, self._clock() + self._redirects_last)
        return replace(
            answers.error(302, "moved"), headers={"Location": self._two.storage_url + target}
        )

    def _answer(self, endpoint: str, id: str, request: Request, fault: Fault | None) -> Response:
        match endpoint:
            case "list":
                return self._one.list(request)
            case "get":
                return self._one.get(request, fault)
            case "create":
                return self._two.create(request, fault)
            case "poll":
                return self._two.poll(id, fault)
            case "cancel":
                return self._two.cancel(id)
            case "locate":
                return self._two.locate(id, fault)
        return self._two.download(id, fault)


def _route(request: Request) -> tuple[str, str, Response | None]:
    """Endpoint and id; an answer instead when there is none of that path or method."""
    for endpoint, method, pattern in _ROUTES:
        match = pattern.fullmatch(request.path)
        if match is None:
            continue
        if method != request.method:
            return "", "", answers.error(405, f"use {method}", {"Allow": method})
        id = request.query.get("id", "") if endpoint == "get" else "".join(match.groups())
        return endpoint, id, None
    return "", "", answers.error(404, f"there is nothing at {request.path}")
