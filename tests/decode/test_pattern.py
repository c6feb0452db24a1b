"""What the patterns of records are made of."""

from __future__ import annotations

import re

import pytest

from hauserpy.decode.pattern import TEXT, once_taken


@pytest.mark.parametrize(
    ("expression", "times", "text", "taken"),
    [
        (rb"ab?c", b"?", b"a", b""),
        (rb"ab?c", b"*", b"aca", b"ac"),
        (rb"ab?c", b"{1,3}", b"abcaca", b"abcac"),
        (rb".(?!D)", b"?", b"CDE", b""),
        (rb"(?!C).", b"*", b"ABC", b"AB"),
        (rb"a|ab", b"*", b"abab", b"a"),
    ],
)
def test_what_is_taken_once_is_what_matched(
    expression: bytes, times: bytes, text: bytes, taken: bytes
) -> None:
    """Possessive groups of Python before 3.11.5 take more (gh-100061, gh-106052)."""
    found = re.match(once_taken(expression, times), text)
    assert found is not None and found[0] == taken


@pytest.mark.parametrize("text", [b'""', b'"a"', b'"a\\"b"', b'"\\""', b'"a\nb"'])
def test_texts(text: bytes) -> None:
    found = re.match(TEXT, text + b'"')
    assert found is not None and found[0] == text
