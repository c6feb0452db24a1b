"""Wide numbers are found wherever JSON has them, and long ids in strings are none."""

from __future__ import annotations

import pytest

from hauserpy.decode.digits import has_wide_number

WIDE = "12345678901234567890"


@pytest.mark.parametrize("number", [WIDE, f"-{WIDE[1:]}", f"{WIDE}5"])
@pytest.mark.parametrize(
    "text", ['{"a":%s}', '{"a": %s}', '{"a":[%s]}', '{"a":[1,%s]}', '{"a":\n%s}', "[\t%s]", "%s"]
)
def test_a_number_is_never_missed(text: str, number: str) -> None:
    found = (text % number).encode()
    assert has_wide_number(found, 20)
    texts = b'{"id":"x%b","no":"%b"},' % (WIDE.encode(), WIDE.encode())
    assert has_wide_number(texts + found, 20)
    assert has_wide_number(found + b"," + texts, 20)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"id":"{WIDE}"}}', f'{{"id":"parcel{WIDE}"}}', f'{{"id":"{WIDE}","n":1}}',
        f'{{"url":"/track/{WIDE}?x=1"}}', f'{{"a":0.{WIDE}}}', '{"line":"--------------------"}',
        '{"a":1234567890123456789}', "", '{"a":"","b":12345}',
    ],
)  # fmt: skip
def test_what_is_none_is_none(text: str) -> None:
    assert not has_wide_number(text.encode(), 20)
