"""A plain client for the mock, on http.client: what arrives, nothing made good."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hauserpy.fields import catalogue, request_fields
from hauserpy.mockapi import MockApi
from hauserpy.model import Window, rfc3339

TIMEOUT = 20
"""Seconds; far beyond any answer, so that a hang fails a test instead of stopping the suite."""


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def records(self) -> list[dict[str, Any]]:
        return json.loads(gzip.decompress(self.body))


def send(
    api: MockApi,
    target: str,
    *,
    method: str = "GET",
    body: Any = None,
    token: str | None = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own. ``target``: a path of the API host, or a whole URL.

    ``token``: the right one by default, None for none.
    """
    url = urlsplit(target if target.startswith("http") else api.segments_url + target)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT)
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"Basic {token or api.token}"
    payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        path = url.path + (f"?{url.query}" if url.query else "")
        connection.request(method, path, payload, sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def listing(api: MockApi, start: int = 0) -> list[dict[str, Any]]:
    return send(api, f"/api/v1/export/list?start={start}").json["exports"]


def get(api: MockApi, number: int = 1) -> Answer:
    """Download the Nth bundle through generation 1."""
    return send(api, f"/api/v1/export/get?id={api.bundles[number - 1].id}")


def export_request(window: Window, **changes: Any) -> dict[str, Any]:
    """The body that hauserpy sends to generation 2; a change to None leaves the key out."""
    made = {
        "segmentId": "everyone",
        "type": "TYPE_EVENT",
        "format": "FORMAT_JSON",
        "segmentTimeRange": {"start": "", "end": ""},
        "timeRange": {"start": rfc3339(window.start), "end": rfc3339(window.stop)},
        "fields": request_fields(catalogue()),
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


def create(api: MockApi, window: Window, **changes: Any) -> Answer:
    return send(api, "/segments/v1/exports", method="POST", body=export_request(window, **changes))


def completed(api: MockApi, operation: str) -> dict[str, Any]:
    """Poll until the operation is no longer PENDING; its last answer."""
    while (answer := send(api, f"/operations/v1/{operation}").json)["state"] == "PENDING":
        pass
    return answer


def locate(api: MockApi, window: Window, **changes: Any) -> str:
    """Create, poll and locate: the signed location of an export."""
    answer = completed(api, create(api, window, **changes).json["operationId"])
    export = answer["results"]["searchExportId"]
    return send(api, f"/search/v1/exports/{export}/results").json["location"]


def export(api: MockApi, window: Window, **changes: Any) -> list[dict[str, Any]]:
    """The whole way of generation 2."""
    return send(api, locate(api, window, **changes), token=None).records
