"""The CRC-32 of a whole is put together from its pieces, and read from a file."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy import checksum
from hauserpy.checksum import Checksum, crc32


@given(st.lists(st.binary(max_size=300)))
def test_any_pieces_have_the_sum_of_the_whole(pieces: list[bytes]) -> None:
    made = Checksum()
    for piece in pieces:
        made.add(len(piece), crc32(piece))
    whole = b"".join(pieces)
    assert (made.size, made.crc32) == (len(whole), zlib.crc32(whole))


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (3 << 20) + 5])
def test_that_of_a_file_is_that_of_its_bytes(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    made = checksum.of_file(io.BytesIO(data))
    assert (made.size, made.crc32) == (size, zlib.crc32(data))
