"""Text that comes a byte at a time, as from tiny gzip members, is held in little more than itself."""

from __future__ import annotations

import tracemalloc

from hauserpy.decode.split import split


def test_text_in_tiny_pieces_takes_little_memory() -> None:
    text = b'[{"a":"' + b"x" * 300_000 + b'"},{"b":1}]'
    tracemalloc.start()
    try:
        batches = list(split((text[n : n + 1] for n in range(len(text))), batch_bytes=200_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert b",".join(batch.text for batch in batches) == text[1:-1]
    assert peak < 8 * len(text)
