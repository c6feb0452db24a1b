"""The bytes of a bundle, gzip or not, as JSON text, with every check that gzip offers.

HTTP clients and Python's own `GzipFile` accept some bodies that are cut short, so the members are
walked here: each must end with a right CRC and length, and only another member may follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from isal import igzip_lib

from hauserpy.errors import CorruptBundle

_Broken: Any = igzip_lib.error
_MAGIC = b"\x1f\x8b"
_HEADER_CRC, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
_MOST_HEADER = 1 << 17
_MOST_OUT = 1 << 19
"""Text comes out in pieces of at most so many bytes, whatever a hostile member expands to. Memory for
twice as much costs a third of the time, since the system takes it back each time."""


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text of a body that is gzip (one member or several) or plain already.

    The first two bytes decide, never a header: proxies gunzip on their own. Raises CorruptBundle
    with the offset in the compressed body for a cut stream, anything but another member behind a
    member's end, or, as that of the chunk in which it shows, for a bad CRC or length.
    """
    chunks = iter(chunks)
    head = _with_magic(b"", chunks)
    if head.startswith(_MAGIC):
        yield from _members(head, chunks)
    else:
        if head:
            yield head
        yield from chunks


def _members(data: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    # Places in the body: where the piece that a member was given last begins and ends.
    began = given = 0
    data = _with_header(data, chunks, given)
    member = _member()
    while True:
        if data:
            began, given = given, given + len(data)
        try:
            text = member.decompress(data, _MOST_OUT)
        except _Broken as error:
            raise CorruptBundle(_reason(error), offset=began, compressed=True) from error
        if text:
            yield text
        if member.eof:
            given -= len(member.unused_data)
            data = _with_magic(member.unused_data, chunks)
            if not data:
                return
            if not data.startswith(_MAGIC):
                raise CorruptBundle(
                    "bytes follow the end of the gzip", offset=given, compressed=True
                )
            data = _with_header(data, chunks, given)
            member = _member()
        elif member.needs_input and len(text) < _MOST_OUT:
            try:
                data = next(chunks)
            except StopIteration:
                raise CorruptBundle(
                    "the gzip is cut short", offset=given, compressed=True
                ) from None
        else:
            data = b""  # the member holds some still


def _member() -> Any:
    """What unpacks one member, its checksum and length checked. (isal's other interface, which is
    like zlib's, takes a fifth more time.)"""
    return igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)


def _with_magic(data: bytes, chunks: Iterator[bytes]) -> bytes:
    """``data`` with as much more as a magic number has, which may be cut between two chunks."""
    while len(data) < len(_MAGIC) and (more := next(chunks, None)) is not None:
        data += more
    return data


def _with_header(data: bytes, chunks: Iterator[bytes], offset: int) -> bytes:
    """``data`` with as much more as completes its member's header, which isal reads wrongly when
    one with optional fields comes in two pieces."""
    while not _has_header(data):
        if len(data) > _MOST_HEADER:
            raise CorruptBundle("the gzip's header has no end", offset=offset, compressed=True)
        more = next(chunks, None)
        if more is None:
            break
        data += more
    return data


def _has_header(data: bytes) -> bool:
    """Whether the header at the start of ``data`` (RFC 1952, 2.3) is whole."""
    end = 10
    if len(data) < end:
        return False
    flags = data[3]
    if flags & _EXTRA:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for field in (_NAME, _COMMENT):
        if flags & field:
            end = data.find(b"\0", end) + 1
            if not end:
                return False
    return len(data) >= end + (2 if flags & _HEADER_CRC else 0)


def _reason(error: Exception) -> str:
    text = str(error)
    if "checksum" in text.lower():
        return "the gzip's checksum is wrong"
    return f"the gzip cannot be unpacked ({text})"
