"""CustomVars fits its column and stays valid JSON, whatever it takes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode.records import parse
from hauserpy.decode.split import Batch
from hauserpy.layout import Column, CustomVarsKind, FieldType, Layout
from hauserpy.transform import Transformer
from tests import reference
from tests.bundles import RECORDS, WINDOW, by_row, kinds, spell


def fold(record: str, **rules: Any) -> tuple[str, dict[str, int]]:
    """The CustomVars of a record of custom variables only, and the changes by kind."""
    most = rules.pop("most", None)
    column = Column("CustomVars", "CustomVars", FieldType.CUSTOM_VARS, most)
    records = parse(Batch(record.encode(), 0, True), most_bytes=1 << 24)
    made = Transformer(Layout((column,), **rules), WINDOW).rows(records)
    return by_row(made)[0][0], kinds(made.counts.changes)


def test_the_largest_value_is_shortened_first() -> None:
    record = '{"a":"xxxxxxxxxx","b":"yyyyyyyyyyyyyyyyyyyy","c":1}'
    assert fold(record, most=47) == (
        '{"a":"xxxxxxxxxx","b":"yyyyyyyyyyyyyyyy","c":1}',
        {"custom_vars_cut": 1},
    )


def test_an_array_goes_whole_and_a_number_too() -> None:
    record = '{"a":[1,2,3,4,5,6,7,8,9],"b":123456789,"c":"z"}'
    assert fold(record, most=40)[0] == '{"a":null,"b":123456789,"c":"z"}'
    assert fold(record, most=30)[0] == '{"a":null,"b":null,"c":"z"}'
    assert fold(record, most=30)[1] == {"custom_vars_cut": 2}


def test_keys_go_from_the_end_when_nothing_else_can() -> None:
    record = '{"first":"x","second":"y","third":"z"}'
    assert fold(record, most=24) == ('{"first":"","second":""}', {"custom_vars_cut": 3})
    assert fold(record, most=12) == ('{"first":""}', {"custom_vars_cut": 3})
    assert fold(record, most=11) == ("{}", {"custom_vars_cut": 3})


def test_what_fits_exactly_is_left_alone() -> None:
    record = '{"a":"日本語","b":"\\n"}'
    size = len(record.encode())
    assert fold(record, most=size) == (record, {})
    assert fold(record, most=size - 1)[0] == '{"a":"日本","b":"\\n"}'


def test_escapes_are_measured_as_they_are_written() -> None:
    record = '{"a":"' + "\\n" * 20 + '"}'
    for most in range(8, 48):
        text, _ = fold(record, most=most)
        assert text == '{"a":"' + "\\n" * ((most - 8) // 2) + '"}'


@given(RECORDS, st.integers(2, 300), st.randoms(use_true_random=False))
def test_any_object_fits_any_column(tree: Any, most: int, chance: random.Random) -> None:
    text = spell(tuple((f"_{k}", v) for k, v in tree), chance)
    column = Column("CustomVars", "CustomVars", FieldType.CUSTOM_VARS, most)
    wanted = reference.row(reference.parse(text), Layout((column,)), WINDOW)
    whole = wanted.values["CustomVars"]
    found, changes = fold(text, most=most)
    if len(reference.write(whole).encode()) <= most:
        assert found == reference.write(whole)
        assert "custom_vars_cut" not in changes
    else:
        assert changes["custom_vars_cut"] == reference.fits_into(found, whole, most)


def test_values_are_bound_at_any_depth() -> None:
    record = '{"a":"日本語","b":[{"c":"xyzxyzxyz"},"ok"],"日本語日本語":1}'
    assert fold(record, custom_value_bytes=7) == (
        '{"a":"日本","b":[{"c":"xyzxyzx"},"ok"],"日本語日本語":1}',
        {"custom_vars_cut": 2},
    )
    assert fold(record, custom_value_bytes=9) == (record, {})


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", "9223372036854775808"),  # 2^63 is a double
        ("9223372036854775809", '"9223372036854775809"'),
        ("-9223372036854775809", '"-9223372036854775809"'),
        ("18446744073709551615", '"18446744073709551615"'),
        ("18446744073709551616", "18446744073709551616"),
        ("10000000000000000000000", "10000000000000000000000"),
        ("100000000000000000000001", '"100000000000000000000001"'),
        ("1e400", '"1e400"'),
        ("-1E400", '"-1E400"'),
        ("0.1", "0.1"),
        ("1E22", "1e+22"),
        ("9" * 5000, f'"{"9" * 5000}"'),
    ],
)
def test_numbers_that_the_type_cannot_hold_become_strings(number: str, written: str) -> None:
    found, changes = fold(f'{{"a":[{number}]}}', custom_vars=CustomVarsKind.TYPED)
    assert found == f'{{"a":[{written}]}}'
    assert changes == ({"number_as_text": 1} if written.startswith('"') else {})
    untyped, changes = fold(f'{{"a":[{number}]}}')
    assert untyped == f'{{"a":[{written if number == "1E22" else number}]}}'
    assert changes == {}
