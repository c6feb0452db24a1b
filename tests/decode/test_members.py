"""Many insides of objects parsed together are what each is alone, or nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode.members import objects

GOOD = [b'"a":1', b"", b' "b" : [ {} , 2 ] ', b'"c":"},{"', '"é":null'.encode()]


def test_each_is_an_object() -> None:
    assert objects(GOOD) == [json.loads(b"{%b}" % inside) for inside in GOOD]
    assert objects([]) == []


@pytest.mark.parametrize(
    "odd",
    [b'"a":1},{"b":2', b'"a":{"b":1', b'1}', b'"a":"', b'"a"', b"1", b'"a":1,', b',"a":1', b'"a":1}]', b'"a":"\xff"',
     b'"a":12345678901234567890123', b'"a":"\\u0000"', b'"a":"\\ud83d"', b'"a":[1', b'"a":1},"x",{"b":2'],
)  # fmt: skip
def test_one_that_is_odd_is_told_of_all(odd: bytes) -> None:
    for at in range(len(GOOD) + 1):
        assert objects([*GOOD[:at], odd, *GOOD[at:]]) is None
    assert objects([odd]) is None


def test_what_one_leaves_open_is_closed_by_no_other() -> None:
    assert objects([b'"a":[{"b":1', b'"c":2}]']) is None
    assert objects([b'"a":"', b'","b":"']) is None


def test_numbers_need_not_be_exact() -> None:
    wide = b'"a":12345678901234567890123'
    assert objects([wide], exact=False) == [{"a": 12345678901234567890123.0}]


@given(st.lists(st.text('"{}[],:\\\\a1 ', max_size=8)))
def test_any_texts_are_read_as_each_alone_or_not_at_all(texts: list[str]) -> None:
    found = objects([text.encode() for text in texts])
    if found is not None:
        assert found == [json.loads(f"{{{text}}}") for text in texts]
