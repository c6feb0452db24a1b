"""How far a bundle is looked ahead at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hauserpy.decode.split import BATCH_BYTES, Stretch, stretches
from hauserpy.pipeline.guarded import Guarded


def batches(number: int, size: int, taken: list[int]) -> Iterator[Stretch]:
    text = b"[" + b",".join([b'{"a":"%b"}' % (b"x" * (size - 8))] * number) + b"]"
    for stretch in stretches([text], batch_bytes=size):
        taken.append(stretch.size)
        yield stretch


@pytest.mark.parametrize(
    ("number", "size", "is_more", "read"),
    [
        (4, 1000, False, 4),
        (5, 1000, True, 5),
        (9, 1000, True, 5),
        # However few they are, they must not fill the memory.
        (9, 3 * BATCH_BYTES, True, 2),
    ],
)
def test_no_more_is_read_than_tells_whether_there_is_more(
    number: int, size: int, is_more: bool, read: int
) -> None:
    taken: list[int] = []
    source = Guarded(batches(number, size, taken))
    assert source.has_more_than(4) == is_more
    assert len(taken) == read
    assert source.has_more_than(4) == is_more
    assert len(taken) == read
    count = 0
    while source.next() is not None:
        count += 1
    assert count == number
