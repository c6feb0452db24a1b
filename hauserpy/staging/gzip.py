"""One gzip member put together from pieces that were compressed apart, in any process.

Each piece is raw deflate ended by a full flush, which leaves no state behind, so that pieces may
follow one another; the CRCs of the pieces are combined. This is how pigz works, and it gives one
member, which is what Redshift and BigQuery document to read. Equal texts may come out some bytes
longer or shorter, since isal's flush depends on what its memory held before.
"""

from __future__ import annotations

from dataclasses import dataclass

from isal import isal_zlib

from hauserpy.checksum import Checksum, crc32

LEVEL = 1
"""isal's second of four: about zlib's size at level 2 or 3, at several times its speed."""

HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Method deflate, no name, no time, unknown system."""
_RAW_DEFLATE = -15
_LAST_EMPTY_BLOCK = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class Deflated:
    """A compressed piece, and how long its text was, with the CRC-32 of that."""

    data: bytes
    plain_size: int
    plain_crc: int


def deflate(text: bytes) -> Deflated:
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
    data = compressor.compress(text) + compressor.flush(isal_zlib.Z_FULL_FLUSH)
    return Deflated(data, len(text), crc32(text))


def trailer(text: Checksum) -> bytes:
    """The end of a member that holds this text."""
    size = text.size & 0xFFFFFFFF
    return _LAST_EMPTY_BLOCK + text.crc32.to_bytes(4, "little") + size.to_bytes(4, "little")
