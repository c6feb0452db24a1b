"""Bodies of answers: produced as they are sent, the same bytes each time, never held when big."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from isal import isal_zlib

HELD_AT_MOST = 8 << 20
"""Bytes of JSON text up to which a body is made before it is sent, so that its length is known."""

_GZIP = 31  # window bits that ask zlib for a gzip header and trailer
_CHUNK = 64 << 10


@dataclass(frozen=True, slots=True)
class Content:
    """A body: ``chunks()`` starts it anew each time; ``length`` in bytes, None when not known."""

    chunks: Callable[[], Iterator[bytes]]
    length: int | None = None

    @classmethod
    def of(cls, body: bytes) -> Content:
        return cls(lambda: iter((body,)), len(body))

    def measured(self) -> Content:
        """With its length, for which an unknown one is produced once and thrown away."""
        if self.length is not None:
            return self
        return replace(self, length=sum(map(len, self.chunks())))

    def held(self) -> Content:
        """The same body in memory."""
        return Content.of(b"".join(self.chunks()))


def json_array(batches: Callable[[], Iterator[list[bytes]]]) -> Content:
    """One JSON array of the records, one a line."""

    def chunks() -> Iterator[bytes]:
        lead = b"["
        for batch in batches():
            if batch:
                yield lead + b",\n".join(batch)
                lead = b",\n"
        yield b"]" if lead != b"[" else b"[]"

    return Content(chunks)


def json_lines(batches: Callable[[], Iterator[list[bytes]]]) -> Content:
    """One record a line."""

    def chunks() -> Iterator[bytes]:
        for batch in batches():
            if batch:
                yield b"\n".join(batch) + b"\n"

    return Content(chunks)


def gzipped(content: Content) -> Content:
    """One gzip member, without a time stamp, so that equal texts give equal bytes."""

    def chunks() -> Iterator[bytes]:
        packer = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP)
        for chunk in content.chunks():
            packed = packer.compress(chunk)
            if packed:
                yield packed
        yield packer.flush()

    return Content(chunks)


def followed_by(content: Content, tail: bytes) -> Content:
    """The content, then ``tail``."""

    def chunks() -> Iterator[bytes]:
        yield from content.chunks()
        yield tail

    return Content(chunks, None if content.length is None else content.length + len(tail))


def flipped(content: Content, start: int, count: int) -> Content:
    """The content with every bit of ``count`` bytes from ``start`` on turned over."""

    def chunks() -> Iterator[bytes]:
        position = 0
        for chunk in content.chunks():
            low = max(start - position, 0)
            high = min(start + count - position, len(chunk))
            position += len(chunk)
            if low < high:
                turned = bytes(byte ^ 0xFF for byte in chunk[low:high])
                yield chunk[:low] + turned + chunk[high:]
            else:
                yield chunk

    return replace(content, chunks=chunks)


def first(content: Content, count: int) -> Content:
    """The first ``count`` bytes of the content."""
    return Content(lambda: up_to(content.chunks(), count), count)


def up_to(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The chunks as far as byte ``count``."""
    left = count
    for chunk in chunks:
        if left <= 0:
            return
        yield chunk[:left]
        left -= len(chunk)


def small(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at most 64 KiB, as a network would bring them."""
    for chunk in chunks:
        if len(chunk) <= _CHUNK:
            yield chunk
        else:
            view = memoryview(chunk)
            for start in range(0, len(chunk), _CHUNK):
                yield bytes(view[start : start + _CHUNK])
