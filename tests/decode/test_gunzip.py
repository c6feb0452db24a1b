"""The body is one whole gzip, or none: everything else is told, with its place."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode.gunzip import gunzip
from hauserpy.errors import CorruptBundle
from tests.bundles import chunked, members

TEXT = b'[{"EventType":"click","x":"' + bytes(range(0x20, 0x7F)).replace(b'"', b"") * 3 + b'"}]'
PACKED = gzip.compress(TEXT, mtime=0)


def whole(*chunks: bytes) -> bytes:
    return b"".join(gunzip(chunks))


def fault(*chunks: bytes) -> CorruptBundle:
    with pytest.raises(CorruptBundle) as caught:
        whole(*chunks)
    assert caught.value.compressed
    assert caught.value.exit_code == 6
    return caught.value


@given(st.binary(max_size=3000), st.integers(0, 2**32))
def test_any_members_in_any_chunks_give_the_text(text: bytes, seed: int) -> None:
    assert whole(*chunked(members(text, seed), seed)) == text


def test_every_cut_into_two_chunks_gives_the_text() -> None:
    body = PACKED + gzip.compress(b"") + gzip.compress(b"more", mtime=7)
    for at in range(len(body) + 1):
        assert whole(body[:at], body[at:]) == TEXT + b"more"


def test_single_bytes_give_the_text() -> None:
    body = PACKED + PACKED
    assert whole(*(body[n : n + 1] for n in range(len(body)))) == TEXT * 2


def test_a_member_with_every_header_field_is_read() -> None:
    raw = zlib.compressobj(wbits=-15)
    deflated = raw.compress(TEXT) + raw.flush()
    header = b"\x1f\x8b\x08\x1e" + b"\0" * 4 + b"\0\x03"
    fields = b"\x04\x00abcd" + b"name.json\0" + b"a comment\0"
    header_crc = (zlib.crc32(header + fields) & 0xFFFF).to_bytes(2, "little")
    body = header + fields + header_crc + deflated + PACKED[-8:]
    for at in range(len(body)):
        assert whole(body[:at], body[at:]) == TEXT
        assert whole(PACKED + body[:at], body[at:] + PACKED) == TEXT * 3
    for end in range(2, len(body)):
        assert fault(body[:end]).problem == "the gzip is cut short"


def test_a_header_without_end_is_told_before_much_is_held() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b"\x1f\x8b\x08\x08" + b"\0" * 6
        for _ in range(5000):
            taken += 1
            yield b"x" * 1000

    with pytest.raises(CorruptBundle):
        list(gunzip(endless()))
    assert taken < 1000


@pytest.mark.parametrize("body", [b"", b"[", b"\x1f", b"[]", b"<html>", b"\x8b\x1f"])
def test_what_does_not_begin_like_gzip_is_passed_on(body: bytes) -> None:
    assert whole(body) == body
    assert whole(*(body[n : n + 1] for n in range(len(body)))) == body


def test_a_gzip_cut_at_any_byte_is_told_at_its_end() -> None:
    for end in range(2, len(PACKED)):
        found = fault(PACKED[:end])
        assert found.problem == "the gzip is cut short"
        assert found.offset == end


def test_a_second_member_cut_at_any_byte_is_told() -> None:
    body = PACKED + PACKED
    for end in range(len(PACKED) + 1, len(body)):
        found = fault(body[:end])
        expected = "bytes follow" if end == len(PACKED) + 1 else "the gzip is cut short"
        assert found.problem.startswith(expected)


def test_every_flipped_bit_of_crc_and_length_is_told() -> None:
    for at in range(len(PACKED) - 8, len(PACKED)):
        for bit in range(8):
            broken = bytearray(PACKED)
            broken[at] ^= 1 << bit
            assert fault(bytes(broken)).problem == "the gzip's checksum is wrong"


def test_no_flipped_bit_of_the_data_goes_unseen() -> None:
    chance = random.Random(2)
    for at in range(10, len(PACKED) - 8):
        broken = bytearray(PACKED)
        broken[at] ^= 1 << chance.randrange(8)
        try:
            # A bit may be without meaning, as those that fill the last byte are.
            assert whole(bytes(broken)) == TEXT
        except CorruptBundle as found:
            assert found.compressed


@pytest.mark.parametrize("trailing", [b"\0", b"\0" * 600, b"x", b"[]", b"\x1f", b"\x1f\x8a", b"\n"])
def test_bytes_behind_the_end_are_told_at_their_place(trailing: bytes) -> None:
    for chunks in ([PACKED + trailing], [PACKED, trailing], [PACKED, trailing[:1], trailing[1:]]):
        found = fault(*chunks)
        assert found.problem == "bytes follow the end of the gzip"
        assert found.offset == len(PACKED)


def test_members_without_text_are_fine() -> None:
    empty = gzip.compress(b"", mtime=0)
    assert whole(empty) == b""
    assert whole(empty * 50, PACKED, empty, b"", empty) == TEXT


def test_a_bomb_comes_in_pieces_of_at_most_a_mebibyte() -> None:
    bomb = gzip.compress(b"\0" * (64 << 20), 9)
    total = 0
    for piece in gunzip([bomb]):
        assert 0 < len(piece) <= 1 << 20
        total += len(piece)
    assert total == 64 << 20


def test_no_more_is_read_than_asked_for() -> None:
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(10):
            taken += 1
            yield PACKED

    pieces = gunzip(chunks())
    assert next(pieces) == TEXT
    assert taken == 1
