"""CRC-32s of bytes that are made in pieces, in any process, and come together in one file.

That of the whole is put together from those of the pieces, without looking at a byte again, which
no cryptographic hash allows. It tells damage, as it does in every gzip file; it proves nothing
against somebody who forges.
"""

from __future__ import annotations

from typing import BinaryIO

from isal import isal_zlib

_READ_BYTES = 1 << 20


def crc32(data: bytes | memoryview) -> int:
    return isal_zlib.crc32(data)


class Checksum:
    """The ``crc32`` of ``size`` bytes, of which none is kept."""

    def __init__(self) -> None:
        self.crc32 = 0
        self.size = 0

    def add(self, size: int, crc: int) -> None:
        """``size`` bytes more, of which ``crc`` is the CRC-32."""
        self.crc32 = isal_zlib.crc32_combine(self.crc32, crc, size)
        self.size += size


def of_file(file: BinaryIO) -> Checksum:
    """That of all that is left to be read."""
    made = Checksum()
    while piece := file.read(_READ_BYTES):
        made.add(len(piece), crc32(piece))
    return made
