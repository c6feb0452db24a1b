"""Reading answers: a bundle as a checked stream of raw bytes, a JSON document within bounds."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from hauserpy.errors import ApiUnavailable
from hauserpy.export.retry import Again
from hauserpy.export.source import BundleTooSlow, SourceClosed
from hauserpy.waiting import Timing, span

CHUNK = 256 * 1024
"""The most bytes of one read; fewer come when fewer are there."""

MAX_JSON = 64 * 1024 * 1024
"""The most bytes of a JSON answer: a list of 20 bundles has about two thousand."""

_GZIP = b"\x1f\x8b"
_GZIP_WBITS = 31
_MOST_LAYERS = 3
_LONGEST_HEADER = 64 * 1024
"""A gzip whose own header (a file name, a comment) is longer is left as it is."""

READ_ERRORS = (HTTPError, HTTPException, OSError)
"""What reading from urllib3 raises when the line breaks."""


class HttpBody:
    """A body as the wire brings it, read once. See `hauserpy.export.source.Body`.

    urllib3 is read below its content decoding: requests takes a gunzipped body that was cut for a
    whole one (zlib says nothing when a stream just ends), and the gzip is wanted as it is anyway.
    The bytes are counted against Content-Length here, whatever urllib3 enforces.
    """

    def __init__(
        self,
        response: requests.Response,
        what: str,
        *,
        limit: float,
        idle: float,
        timing: Timing,
        closed: Callable[[], bool],
    ) -> None:
        """``limit`` is the whole body's time in seconds from now; ``idle`` only goes into a
        message, the sockets enforce it. ``closed`` tells whether a broken line is our own doing.
        """
        self._response = response
        self._what = what
        self._idle = idle
        self._limit = limit
        self._deadline = timing.monotonic() + limit
        self._timing = timing
        self._closed = closed
        self._length: int | None = response.raw.length_remaining
        self._layers = _layers(response.headers.get("Content-Encoding", ""), what)
        self.total: int | None = self._length

    def __iter__(self) -> Iterator[bytes]:
        chunks: Iterator[bytes] = self._wire()
        for _ in range(self._layers):
            chunks = _peel(chunks, self._cut)
        return chunks

    def _wire(self) -> Iterator[bytes]:
        got = 0
        while True:
            self._timing.sleep(0)
            if self._timing.monotonic() > self._deadline:
                raise BundleTooSlow(
                    f"{self._what}: not whole after {span(self._limit)} (BundleTimeout);"
                    f" {self._progress(got)} came.",
                    "Run again when the network is faster, or raise BundleTimeout.",
                )
            try:
                chunk = self._response.raw.read1(CHUNK, decode_content=False)
            except ReadTimeoutError:
                raise self._cut(
                    f"nothing came for {span(self._idle)} after {self._progress(got)}"
                ) from None
            except READ_ERRORS:
                raise self._cut(f"the connection broke after {self._progress(got)}") from None
            if not chunk:
                break
            got += len(chunk)
            yield chunk
        if self._length is not None and got != self._length:
            raise self._cut(f"the connection ended after {self._progress(got)}")

    def _progress(self, got: int) -> str:
        return f"{got} bytes" if self._length is None else f"{got} of {self._length} bytes"

    def _cut(self, problem: str) -> ApiUnavailable:
        if self._closed():
            return SourceClosed(f"{self._what}: the session was closed.", "Run again.")
        return ApiUnavailable(
            f"{self._what}: {problem}.", "Run again later; nothing of it was loaded."
        )


def _layers(encoding: str, what: str) -> int:
    """How many times the transport says that it gzipped the body. Raises ApiUnavailable, naming
    ``what``, for an encoding that was not asked for."""
    names = [name.strip().lower() for name in encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    strange = [name for name in names if name not in ("gzip", "x-gzip")]
    if strange or len(names) > _MOST_LAYERS:
        raise ApiUnavailable(
            f"{what}: the answer came in the encoding {encoding[:40]!r}, but gzip alone was asked for.",
            "A proxy on the way may compress what passes through it: let it leave the API's answers"
            " as they are, and run again. Nothing of it was loaded.",
        )
    return len(names)


def _peel(chunks: Iterator[bytes], cut: Callable[[str], ApiUnavailable]) -> Iterator[bytes]:
    """Take off the transport's gzip when there is another gzip inside; else change nothing.

    A gzip file that was compressed once more for its way would be gzip still after `decode` has
    gunzipped it.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        if _inner(head) is not None or len(head) > _LONGEST_HEADER:
            break
    if _inner(head) != _GZIP:
        if head:
            yield head
        yield from chunks
        return
    yield from _gunzip(head, chunks, cut)


def _inner(head: bytes) -> bytes | None:
    """The first two bytes inside a gzip; b"" when it is none; None when that cannot be told yet."""
    if len(head) < len(_GZIP):
        return None
    if not head.startswith(_GZIP):
        return b""
    try:
        found = zlib.decompressobj(_GZIP_WBITS).decompress(head, len(_GZIP))
    except zlib.error:
        return b""
    return found if len(found) == len(_GZIP) else None


def _gunzip(
    head: bytes, chunks: Iterator[bytes], cut: Callable[[str], ApiUnavailable]
) -> Iterator[bytes]:
    """Gunzip one member, whole: its CRC and length are checked, nothing may follow it."""
    inflater = zlib.decompressobj(_GZIP_WBITS)
    data = head
    try:
        while True:
            while data and not inflater.eof:
                made = inflater.decompress(data, CHUNK)
                data = inflater.unconsumed_tail
                if made:
                    yield made
            if inflater.eof and (data or inflater.unused_data):
                raise cut("bytes follow the end of its transport encoding")
            chunk = next(chunks, None)
            if chunk is None:
                break
            data = chunk
    except zlib.error:
        raise cut("its transport encoding is broken") from None
    if not inflater.eof:
        raise cut("its transport encoding was cut")


def read_bytes(
    response: requests.Response, what: str, *, most: int, limit: float, timing: Timing
) -> bytes:
    """The whole body, transport decoding taken off. Raises Again when it breaks or takes longer
    than ``limit`` seconds, ApiUnavailable, naming ``what``, when it has more than ``most`` bytes or
    comes in an encoding that was not asked for."""
    layers = _layers(response.headers.get("Content-Encoding", ""), what)
    deadline = timing.monotonic() + limit
    parts: list[bytes] = []
    size = 0
    while True:
        timing.sleep(0)
        if timing.monotonic() > deadline:
            raise Again(f"the answer was not whole after {span(limit)}")
        try:
            chunk = response.raw.read1(CHUNK, decode_content=False)
        except ReadTimeoutError:
            raise Again("the answer stopped before its end") from None
        except READ_ERRORS:
            raise Again("the connection broke within the answer") from None
        if not chunk:
            break
        size += len(chunk)
        if size > most:
            raise _too_long(what, most)
        parts.append(chunk)
    data = b"".join(parts)
    for _ in range(layers):
        data = _gunzipped(data, what, most)
    return data


def _gunzipped(data: bytes, what: str, most: int) -> bytes:
    if not data.startswith(_GZIP):
        return data
    inflater = zlib.decompressobj(_GZIP_WBITS)
    try:
        made = inflater.decompress(data, most + 1)
    except zlib.error:
        raise Again("the answer's gzip is broken") from None
    if len(made) > most:
        raise _too_long(what, most)
    if not inflater.eof:
        raise Again("the answer's gzip was cut")
    return made


def _too_long(what: str, most: int) -> ApiUnavailable:
    return ApiUnavailable(
        f"{what}: the API's answer has more than {most // (1024 * 1024)} MB where a short JSON document"
        " was expected.",
        "Check ApiURL.",
    )


def parse_object(data: bytes, content_type: str) -> dict[str, Any]:
    """Raises Again for what is no JSON object: a page of a proxy, a maintenance notice."""
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        kind = content_type.partition(";")[0].strip()[:40]
        looks = "HTML" if b"<html" in data[:1024].lower() else kind or "something else"
        raise Again(f"answered with {looks} where JSON was expected") from None
    if not isinstance(found, dict):
        raise Again("answered with JSON that is no object")
    return found
