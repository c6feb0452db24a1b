"""Custom variables of one text are worked on once, come to what they would alone, and are forgotten
when they are too many."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hauserpy.layout import CustomVarsKind, FieldType, Layout, StageFormat
from hauserpy.pipeline import variables
from hauserpy.pipeline.variables import Folding, Variables
from hauserpy.staging import encoder_for
from hauserpy.transform import fields_of
from hauserpy.transform.folding import Folder
from tests.bundles import FILE_COLUMNS

CSV = Layout(FILE_COLUMNS)
TEXT = Layout(FILE_COLUMNS, format=StageFormat.JSONL, custom_vars=CustomVarsKind.TEXT)
OBJECT = Layout(FILE_COLUMNS, format=StageFormat.JSONL, custom_vars=CustomVarsKind.OBJECT)


def folding(layout: Layout = CSV) -> Folding:
    return Folding(Folder(layout, fields_of(layout.columns)), encoder_for(layout))


def bounded(most: int) -> Layout:
    columns = (
        replace(c, max_bytes=most) if c.type is FieldType.CUSTOM_VARS else c for c in FILE_COLUMNS
    )
    return Layout(tuple(columns))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The texts that were parsed, in the order in which they were."""
    made: list[bytes] = []
    parse = variables.objects

    def counting(insides: Sequence[bytes]) -> list[dict[str, Any]] | None:
        made.extend(insides)
        return parse(insides)

    monkeypatch.setattr(variables, "objects", counting)
    return made


def test_each_text_is_worked_on_once_also_in_another_batch(parsed: list[bytes]) -> None:
    made = folding()
    first, other = b',"a":1', b',"b":"x"'
    one, again, third = made.of([first, first, other])
    assert one is again is not third
    assert made.of([other, first]) == [third, one]
    assert sorted(parsed) == [first[1:], other[1:]]


@pytest.mark.parametrize(
    ("layout", "inside"),
    [
        (CSV, r'""a"":""\""é"",""b"":[1,{""c"":null}],""a2"":2.0'),
        (TEXT, r"\"a\":\"\\\"é\",\"b\":[1,{\"c\":null}],\"a2\":2.0"),
        (OBJECT, r'"a":"\"é","b":[1,{"c":null}],"a2":2.0'),
    ],
)
def test_they_are_written_as_in_an_entry(layout: Layout, inside: str) -> None:
    (made,) = folding(layout).of([rb',"a" : "\"\u00e9", "b":[1, {"c":null}],"a2":2.0'])
    # The bounds of columns are those of the JSON, whatever it takes in an entry.
    size = len('{"a":"\\"é","b":[1,{"c":null}],"a2":2.0}'.encode())
    assert made == Variables(frozenset({"a", "b", "a2"}), inside.encode(), size)


@pytest.mark.parametrize(
    "odd",
    [
        b',"a":', b',"a":1,', b',"a":1}', b',"a":"', b',"a":[', b',"a":{"b":1', b',"a":1},{"b":2', b',"a":"\xff"',
        b',"a":"\\u0000"', b',"a":"\\ud800"', b',"eventstart":1', b',"PAGEURL":"x"', b',"a":' + b"9" * 30,
        b',"a":' + b"[" * 300 + b"]" * 300, b',"long":"' + b"x" * 100 + b'"',
    ],
)  # fmt: skip
def test_a_text_that_needs_care_does_no_harm_to_the_others(odd: bytes) -> None:
    made = folding(bounded(60))
    plain = b',"z":1'
    for _ in range(2):
        before, care, behind = made.of([plain, odd, plain])
        assert care is None
        assert before == behind == Variables(frozenset("z"), b'""z"":1', 7)


def test_two_fit_in_one_object_if_no_name_comes_twice_and_it_is_within_bounds() -> None:
    made = folding(bounded(60))
    one, same, other, long = made.of(
        [b',"a":1', b',"b":2,"a":3', b',"b":4', b',"c":"' + b"x" * 50 + b'"']
    )
    assert one and same and other and long
    assert made.fit(one, other) and made.fit(other, one)
    assert not made.fit(one, same) and not made.fit(one, one)
    assert not made.fit(one, long) and not made.fit(long, one)
    assert one.then(other) == Variables(frozenset("ab"), b'""a"":1,""b"":4', one.size + other.size)


def test_too_many_are_forgotten_and_worked_on_anew(
    parsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variables, "_MOST_BYTES", 100)
    made = folding()
    texts = [b',"key_%03d":%d' % (n, n) for n in range(50)]
    wanted = [
        Variables(frozenset({f"key_{n:03}"}), b'""key_%03d"":%d' % (n, n), len(texts[n]) + 1)
        for n in range(50)
    ]
    # More than the bound at once, one by one, and with some that were there before.
    assert made.of(texts) == wanted
    assert made.of([b',"other":1']) != [None]
    assert [one for text in texts for one in made.of([text])] == wanted
    assert made.of(texts[:5]) + made.of(texts[3:9]) == wanted[:5] + wanted[3:9]
    assert len(parsed) > 100
    assert sum(map(len, made._known)) <= 100


def test_what_is_remembered_takes_little_memory() -> None:
    made = folding()
    before = sys.getallocatedblocks()
    for batch in range(40):
        made.of(
            [b',"user_%d_str":"%d"' % (n, batch) for n in range(batch * 2000, batch * 2000 + 2000)]
        )
    assert sum(map(len, made._known)) <= 1 << 20
    # A name, a set of it, the JSON, the text and the tuple of each.
    assert sys.getallocatedblocks() - before < 10 * len(made._known) + 10_000
