"""Long numbers in JSON text, found without parsing it."""

from __future__ import annotations

OF_INT64 = 19
"""An integer beyond an int64 has so many digits at least; beyond 64 bits, or below -2^63 with its
sign, one more."""
OF_INT32 = 10

_DIGITS = bytes(0x30 if c in b"-0123456789" else 0x20 for c in range(256))


def has_run(text: bytes, length: int) -> bool:
    """Whether ``length`` digits or signs stand side by side, in strings as well: a number is never
    missed, and what is none costs its finder time and nothing else."""
    # Many times as fast as a regular expression; from behind, the search leaps over what is no digit.
    return text.translate(_DIGITS).rfind(b"0" * length) >= 0
