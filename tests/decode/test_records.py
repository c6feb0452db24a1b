"""A batch parses exactly, or tells what is wrong with it and where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from hauserpy.decode.records import BigNumber, Unproved, check_depth, parse, pieces
from hauserpy.decode.split import Batch
from hauserpy.errors import CorruptBundle
from hauserpy.pipeline.convert import Converter, Job
from tests import reference
from tests.bundles import COLUMNS, NUMBERS, WINDOW, Drawn, bundles

MOST = 1 << 24


def batch(text: bytes, *, offset: int = 100, last: bool = True) -> Batch:
    return Batch(text, offset, last)


def values(text: bytes) -> list[dict[str, Any]]:
    return parse(batch(text), most_bytes=MOST).values


def fault(text: bytes, most: int = MOST, last: bool = True) -> CorruptBundle:
    with pytest.raises(CorruptBundle) as caught:
        parse(batch(text, last=last), most_bytes=most)
    return caught.value


def plainly(value: Any) -> Any:
    """A parsed tree as the reference reads it."""
    if isinstance(value, dict):
        return {k: plainly(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plainly(v) for v in value]
    if isinstance(value, BigNumber):
        return reference.parse(value.text)
    if type(value) is int:
        return reference.Integer(str(value))
    return value


def doubled(value: Any) -> Any:
    """The reference's tree with finite reals as the doubles that they name."""
    if isinstance(value, dict):
        return {k: doubled(v) for k, v in value.items()}
    if isinstance(value, list):
        return [doubled(v) for v in value]
    if isinstance(value, reference.Real) and abs(value.double) != float("inf"):
        return value.double
    return value


@given(bundles())
def test_both_parsers_read_what_the_reference_reads(bundle: Drawn) -> None:
    inside = bundle.text[bundle.text.index(b"[") + 1 : bundle.text.rindex(b"]")].strip()
    if not inside:
        return
    wanted = doubled(reference.parse(bundle.text))
    fast = parse(batch(inside), most_bytes=MOST).values
    exact = [value for _, value in pieces(batch(inside), most_bytes=MOST)]
    for found in (fast, exact):
        assert [plainly(v) for v in found] == wanted
        assert [list(v) for v in found] == [list(v) for v in wanted]


@given(NUMBERS)
def test_both_parsers_give_one_double(number: str) -> None:
    text = b'{"n":%b}' % number.encode()
    (fast,) = values(text)
    ((_, exact),) = pieces(batch(text), most_bytes=MOST)
    assert repr(plainly(fast)) == repr(plainly(exact))


@pytest.mark.parametrize(
    "number",
    [
        "9223372036854775807",
        "-9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "9999999999999999999",
        "-9999999999999999999",
        "18446744073709551615",
        "18446744073709551616",
        "-18446744073709551616",
        "123456789012345678901234567890",
        "-" + "9" * 5000,
    ],
)
def test_integers_stay_exact_beyond_64_bits(number: str) -> None:
    # At every place of a longer text: what looks for them may look at some bytes only.
    for shift in range(40):
        text = b'{"x":"%b","n":[%b],"z":0}' % (b" " * shift, number.encode())
        (value,) = values(text)[0]["n"]
        assert (value.text if isinstance(value, BigNumber) else str(value)) == number


@pytest.mark.parametrize("text", [rb'"\ud800"', rb'"a\u0000"', b"1e400", b"1" * 20])
def test_what_needs_care_is_not_plain(text: bytes) -> None:
    assert not parse(batch(b'{"a":%b}' % text), most_bytes=MOST).plain
    assert not parse(batch(b'{"a":[{"b":%b}]},{}' % text), most_bytes=MOST).plain


@pytest.mark.parametrize(
    ("text", "problem", "at"),
    [
        (b"1", "a record is a number", 0),
        (b"{}, 1.5", "a record is a number", 4),
        (b"{},1e400", "a record is a number", 3),
        (b"null", "a record is null", 0),
        (b"{},true,{}", "a record is a boolean", 3),
        (b'"x"', "a record is a string", 0),
        (b"{} , [{}]", "a record is an array", 5),
        (b"[]", "a record is an array", 0),
        (b",", "it is not JSON", 0),
        (b"{},", "it is not JSON", 3),
        (b"{},,{}", "it is not JSON", 3),
        (b"{}{}", "it is not JSON (a comma is missing)", 2),
        (b"{} {}", "it is not JSON (a comma is missing)", 3),
        (b"]", "something follows the end of the array", 1),
        (b"{}]{}", "something follows the end of the array", 3),
        (b"{}][{}", "something follows the end of the array", 3),
        (b"{}] \n {}", "something follows the end of the array", 6),
        (b'{"a":tru}', "it is not JSON", 5),
        (b'{"a":01}', "it is not JSON", 6),
        (b'{"a":+1}', "it is not JSON", 5),
        (b'{"a":.5}', "it is not JSON", 5),
        (b'{"a":1.}', "it is not JSON", 6),
        (b"{'a':1}", "it is not JSON", 1),
        (b'{"a":1,}', "it is not JSON", 7),
        (b'{"a" 1}', "it is not JSON", 5),
        (b'{"a":"\x01"}', "it is not JSON (Invalid control character)", 6),
        (b'{"a":"\x00"}', "it is not JSON (Invalid control character)", 6),
        (b'{"a":"\n"}', "it is not JSON (Invalid control character)", 6),
        (b'{"a":"\\x"}', "it is not JSON", 6),
        (b'{"a":"\\u12x4"}', "it is not JSON", 7),
        (b'{"a":NaN}', "it is not JSON (NaN is no JSON)", 0),
        (b'{},{"a":[Infinity]}', "it is not JSON (Infinity is no JSON)", 3),
        (b'{"a":-Infinity}', "it is not JSON (-Infinity is no JSON)", 0),
        (b'{"a":"\xff"}', "the text is not UTF-8", 6),
        (b'{"a":"\xc3"}', "the text is not UTF-8", 6),
        (b'{"a":"\xed\xa0\x80"}', "the text is not UTF-8", 6),
        (b'{"a":"\xc0\xaf"}', "the text is not UTF-8", 6),
        (b'{"a":1}\xff', "the text is not UTF-8", 7),
        ('{"a":"é日😀"},7'.encode(), "a record is a number", 18),
        ('{"a":"é日😀","b":tru}'.encode(), "it is not JSON", 21),
        ('{"ß":1}, {"é":"\x02"}'.encode(), "it is not JSON (Invalid control character)", 17),
        (b'\xa0{"a":1}', "the text is not UTF-8", 0),
        ("\u00a0{}".encode(), "it is not JSON", 0),
        (b"\x0b{}", "it is not JSON", 0),
        (b"\xef\xbb\xbf{}", "it is not JSON", 0),
    ],
)
def test_what_is_wrong_is_told_at_its_byte(text: bytes, problem: str, at: int) -> None:
    found = fault(text)
    assert found.problem.startswith(problem)
    assert found.offset == 100 + at


@pytest.mark.parametrize(
    "text", [b'7,{"a":"\xff"}', b'7,{"a":"x', b"7,{}]", b"7,{]", b"7,{} {}", b'7,{"a":NaN}', b"7,8"]
)
def test_the_first_of_several_faults_is_told(text: bytes) -> None:
    for last in (True, False):
        found = fault(b"{}," + text, last=last)
        assert found.problem.startswith("a record is a number")
        assert found.offset == 103


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (b'{"a":[{}', 0),
        (b'{"a":1},{"b":"x}', 8),
        (b'{"a":1}, {"b":{}', 9),
        (b'{"a":1},', 8),
        (b'{"a', 0),
        (b'{"a":"\\', 0),
        ('{"é":1},{"b":"}'.encode(), 9),
    ],
)
def test_an_open_end_is_unproved_unless_it_is_the_last(text: bytes, at: int) -> None:
    with pytest.raises(Unproved) as caught:
        parse(batch(text, last=False), most_bytes=MOST)
    assert caught.value.offset == 100 + at
    fault(text)


def nested(depth: int, kind: str) -> bytes:
    """A record that is ``depth`` deep, itself included."""
    if kind == "arrays":
        return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


@pytest.mark.parametrize("kind", ["arrays", "objects"])
@pytest.mark.parametrize("depth", [255, 256, 257, 300, 600, 1000, 1023, 1030, 5000, 200_000])
@pytest.mark.parametrize("exact", [False, True])
def test_records_are_nested_256_deep_at_most(kind: str, depth: int, exact: bool) -> None:
    text = b"{}, " + nested(depth, kind) + (b',{"a":"\\ud800"}' if exact else b"")

    def read() -> None:
        made = parse(batch(text), most_bytes=MOST)
        check_depth(made, batch(text), most_bytes=MOST)

    if depth <= 256:
        read()
        return
    with pytest.raises(CorruptBundle, match="nested deeper than 256") as caught:
        read()
    assert caught.value.offset == 104


def test_the_size_of_a_record_is_its_bytes() -> None:
    text = '{"a":"日本語"}'.encode()
    size = len(text)
    two = b" " + text + b" , " + text + b" "
    assert len(parse(batch(two), most_bytes=size).values) == 2
    found = fault(two, most=size - 1)
    assert found.problem == f"a record is larger than MaxRecordBytes ({size - 1} bytes)"
    assert found.offset == 101


def test_pieces_are_the_text_as_served() -> None:
    texts = [json.dumps({"n": n, "a": "é" * n}, ensure_ascii=False).encode() for n in range(4)]
    found = pieces(batch(b" ,\n".join(texts)), most_bytes=MOST)
    assert [text for text, _ in found] == texts
    assert [value["n"] for _, value in found] == [0, 1, 2, 3]


def test_a_converter_gives_back_no_number_that_orjson_would_take_for_an_object() -> None:
    """orjson writes dataclasses of its own accord; a number must never look like one."""
    from hauserpy.layout import Layout

    job = Job(Layout(COLUMNS, header=False), WINDOW, None, MOST)
    made = Converter(job).convert(batch(b'{"a":1e400,"IndvId":%b}' % (b"1" * 30)))
    assert b'""a"":1e400' in made.data
    assert b'""IndvId"":%b' % (b"1" * 30) in made.data
