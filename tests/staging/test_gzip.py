"""Pieces compressed apart make one gzip member that everybody reads."""

from __future__ import annotations

import gzip
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.checksum import Checksum
from hauserpy.staging.gzip import HEAD, deflate, trailer


def member(pieces: list[bytes]) -> bytes:
    plain = Checksum()
    body = [HEAD]
    for piece in pieces:
        made = deflate(piece)
        plain.add(made.plain_size, made.plain_crc)
        body.append(made.data)
    return b"".join((*body, trailer(plain)))


def read_as_one_member(body: bytes) -> bytes:
    reader = zlib.decompressobj(31)
    text = reader.decompress(body) + reader.flush()
    assert reader.eof
    assert reader.unused_data == b""
    return text


@given(st.lists(st.binary(max_size=2000) | st.integers(0, 100_000).map(lambda n: b"ab" * n)))
def test_any_pieces_make_one_member(pieces: list[bytes]) -> None:
    body = member(pieces)
    text = b"".join(pieces)
    assert gzip.decompress(body) == text
    assert read_as_one_member(body) == text
    assert body == member(pieces), "equal rows make equal files"


def test_the_length_is_counted_beyond_one_chunk_of_the_reader() -> None:
    pieces = [bytes([n]) * (1 << 20) for n in range(8)]
    assert read_as_one_member(member(pieces)) == b"".join(pieces)


@pytest.mark.parametrize("size", [0, (1 << 31) + 5, 1 << 32, (1 << 32) + 5])
def test_the_length_is_told_modulo_2_to_the_32(size: int) -> None:
    """RFC 1952, 2.3.1: ISIZE."""
    plain = Checksum()
    plain.add(size, 7)
    assert trailer(plain)[-8:] == struct.pack("<II", 7, size % (1 << 32))


def test_the_gzip_command_accepts_it(tmp_path: Path) -> None:
    path = tmp_path / "part.gz"
    path.write_bytes(member([b"a,b\n", b"", b"1,2\n" * 100_000, b"\xff\0"]))
    done = subprocess.run(["gzip", "-t", "-v", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
