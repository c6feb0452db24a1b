"""One gzip member put together from pieces that were compressed apart, in any process.

Each piece is raw deflate ended by a full flush, which leaves no state behind, so that pieces may
follow one another; the CRCs of the pieces are combined. This is how pigz works, and it gives one
member, which is what Redshift and BigQuery document to read. Equal texts may come out some bytes
longer or shorter, since isal's flush depends on what its memory held before.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from isal import isal_zlib

LEVEL = 1
"""isal's second of four: about zlib's size at level 2 or 3, at several times its speed."""

HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Method deflate, no name, no time, unknown system."""
_RAW_DEFLATE = -15
_LAST_EMPTY_BLOCK = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class Deflated:
    """A compressed piece, and what its text was."""

    data: bytes
    length: int
    crc: int


def deflate(text: bytes) -> Deflated:
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
    data = compressor.compress(text) + compressor.flush(isal_zlib.Z_FULL_FLUSH)
    return Deflated(data, len(text), isal_zlib.crc32(text))


class Trailer:
    """Counts the pieces of a member and gives its end."""

    def __init__(self) -> None:
        self._crc = zlib.crc32(b"")
        self._length = 0

    def add(self, length: int, crc: int) -> None:
        """Those of the next piece's text."""
        self._crc = isal_zlib.crc32_combine(self._crc, crc, length)
        self._length += length

    def end(self) -> bytes:
        return (
            _LAST_EMPTY_BLOCK
            + self._crc.to_bytes(4, "little")
            + (self._length & 0xFFFFFFFF).to_bytes(4, "little")
        )
