"""Uploads to ``/upload/…``: multipart in one request, resumable in chunks.

A resumable session that has ended answers a repeated last chunk with the same final answer, or,
with ``forget_finished``, with 404 as services do that have thrown the session away.
"""

from __future__ import annotations

import email
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email import policy
from typing import Any

from tests.standins.bigquery.errors import Refused, not_found

Finish = Callable[[dict[str, Any], bytes], dict[str, Any]]

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)\Z")
_CHUNK = 256 * 1024
"""All chunks but the last are multiples of this."""


@dataclass
class Answer:
    status: int
    body: dict[str, Any] | None = None
    headers: Mapping[str, str] | None = None


@dataclass
class _Session:
    metadata: dict[str, Any]
    finish: Finish
    content: bytearray
    final: dict[str, Any] | None = None


class Uploads:
    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self.forget_finished = False

    def multipart(self, content_type: str, body: bytes, finish: Finish) -> Answer:
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        parts = list(email.message_from_bytes(head + body, policy=policy.HTTP).iter_parts())
        if len(parts) != 2:
            raise Refused("invalid", "A multipart upload has two parts")
        # Taken from the bytes, since the mail parser would rewrite line ends of the media.
        boundary = re.search(r'boundary="?([^";]+)"?', content_type)
        assert boundary is not None
        media = body.split(b"--" + boundary.group(1).encode())[2]
        media = media.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
        metadata = json.loads(parts[0].get_payload(decode=True))
        return Answer(200, finish(metadata, media))

    def begin(self, url: str, body: bytes, finish: Finish) -> Answer:
        key = uuid.uuid4().hex
        with self._guard:
            self._sessions[key] = _Session(json.loads(body or b"{}"), finish, bytearray())
        return Answer(200, None, {"Location": f"{url}&upload_id={key}"})

    def put(self, key: str, content_range: str, body: bytes) -> Answer:
        with self._guard:
            session = self._sessions.get(key)
        if session is None:
            raise not_found("Upload", key)
        if session.final is not None:
            if self.forget_finished:
                raise not_found("Upload", key)
            return Answer(200, session.final)
        found = _RANGE.match(content_range)
        if found is None:
            raise Refused("invalid", f"Invalid Content-Range: {content_range}")
        first, last, total = found.groups()
        if first is not None:
            start, stop = int(first), int(last) + 1
            if stop - start != len(body) or start > len(session.content):
                raise Refused("invalid", f"Content-Range {content_range} does not fit")
            if total == "*" and len(body) % _CHUNK:
                raise Refused("invalid", "Chunks are multiples of 256 KB")
            session.content[start:] = body
        if total != "*" and len(session.content) == int(total):
            session.final = session.finish(session.metadata, bytes(session.content))
            return Answer(200, session.final)
        held = len(session.content)
        return Answer(308, None, {"Range": f"bytes=0-{held - 1}"} if held else {})
