"""Batches are the array's own text, cut between records wherever the search finds a border."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode.records import Unproved, parse
from hauserpy.decode.split import Stretch, split, stretches
from hauserpy.errors import CorruptBundle
from tests.bundles import Drawn, bundles, chunked


def proved(found: list[Stretch]) -> list[dict[str, object]]:
    """What the pool does, in its simplest form: join what does not parse with what follows."""
    values = []
    waiting = list(found)
    while waiting:
        one = waiting.pop(0)
        try:
            values += parse(one.batch(), most_bytes=1 << 24).values
        except Unproved:
            waiting[:1] = [one.joined(waiting[0])]
    return values


@given(bundles(), st.sampled_from((1, 5, 30, 200, 1 << 20)))
def test_batches_and_separators_are_the_text(bundle: Drawn, batch_bytes: int) -> None:
    text = bundle.text
    start = text.index(b"[") + 1
    batches = list(split(chunked(text, bundle.seed), batch_bytes=batch_bytes))
    at = start
    for batch in batches:
        assert batch.offset == at
        assert text[at : at + len(batch.text)] == batch.text
        at += len(batch.text)
        assert text[at : at + len(batch.separator)] == batch.separator
        at += len(batch.separator)
    assert text[at:].strip() == b"]" or not batches
    assert [b.last for b in batches] == [False] * (len(batches) - 1) + [True] * bool(batches)


@pytest.mark.parametrize("batch_bytes", [1, 10, 100, 1000])
def test_borders_inside_strings_and_arrays_are_not_borders(batch_bytes: int) -> None:
    text = (
        b'[{"a":"},{\\"a\\":"},{"a":[{"a":1},{"a":2} , {"a":3}]},{"a":"}, {"} ,\n'
        b'{"a":{"b":[{},{},{"a":"]},{"}]}},{"a":"\\\\"},{"a":"\\"},{"}]'
    )
    wanted = [
        {"a": '},{"a":'},
        {"a": [{"a": 1}, {"a": 2}, {"a": 3}]},
        {"a": "}, {"},
        {"a": {"b": [{}, {}, {"a": "]},{"}]}},
        {"a": "\\"},
        {"a": '"},{'},
    ]
    for chunks in ([text], [text[n : n + 1] for n in range(len(text))]):
        assert proved(list(stretches(chunks, batch_bytes=batch_bytes))) == wanted


@pytest.mark.parametrize("space", [b"", b" ", b"\n", b"\r\n", b"\t", b" \t\n\r" * 50])
def test_separators_of_any_white_space(space: bytes) -> None:
    comma = space + b"," + space
    text = b"[" + space + comma.join(b'{"n":%d}' % n for n in range(50)) + space + b"]"
    for batch_bytes in (1, 20, 300):
        found = list(stretches([text], batch_bytes=batch_bytes))
        assert len(found) > 1
        assert all(sum(map(len, one.pieces)) == one.size for one in found)
        assert proved(found) == [{"n": n} for n in range(50)]


def test_batches_are_about_as_large_as_asked_for() -> None:
    text = b"[" + b",".join(b'{"IndvId":%d,"x":"%b"}' % (n, b"y" * 80) for n in range(5000)) + b"]"
    sizes = [len(b.text) for b in split(chunked(text, 1), batch_bytes=10_000)]
    assert all(9_000 < size <= 10_000 for size in sizes[:-1])


@pytest.mark.parametrize(
    ("text", "problem", "offset"),
    [
        (b"", "it is empty", 0),
        (b" \n\t", "it is empty", 0),
        (b"\xef\xbb\xbf", "it is empty", 0),
        (b"null", "null stands where the array should", 0),
        (b"\xef\xbb\xbf null", "null stands", 4),
        (b"  nul", "b'nul' stands", 2),
        (b'{"a":1}', "an object stands", 0),
        (b"<!DOCTYPE html><html></html>", "an HTML or XML page stands", 0),
        (b"\n<p>", "an HTML or XML page stands", 1),
        (b'"[]"', "a string stands", 0),
        (b"-1", "a number stands", 0),
        (b"7", "a number stands", 0),
        (b"]", "b']' stands", 0),
        (b"\xef\xbb\xbf\xef\xbb\xbf[]", "b", 3),
        (b"[", "the array is cut short", 1),
        (b" [ ", "the array is cut short", 2),
    ],
)
def test_what_is_no_array_is_told(text: bytes, problem: str, offset: int) -> None:
    for chunks in ([text], [text[n : n + 1] for n in range(len(text))]):
        with pytest.raises(CorruptBundle) as caught:
            list(split(chunks))
        assert caught.value.problem.startswith(problem)
        assert caught.value.offset == offset
        assert not caught.value.compressed


def test_a_long_page_is_told_before_it_is_read_whole() -> None:
    def endless():  # type: ignore[no-untyped-def]
        yield b"<html>"
        raise AssertionError("read on")

    with pytest.raises(CorruptBundle, match="HTML"):
        list(split(endless()))


def test_an_empty_array_gives_no_batch() -> None:
    for text in (b"[]", b" [ ] \n", b"\xef\xbb\xbf[\n]"):
        assert list(split(chunked(text, 3))) == []


MOST = 200


def sized(bytes: int) -> bytes:
    return b'{"a":"' + b"x" * (bytes - 8) + b'"}'


@pytest.mark.parametrize("space", [b"", b" " * 30])
@pytest.mark.parametrize("batch_bytes", [10, MOST, 10 * MOST])
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_records_of_just_the_most_bytes_are_fine(space: bytes, batch_bytes: int, size: int) -> None:
    text = (space + b"," + space).join(sized(n) for n in (MOST, 20, MOST, MOST, 9, MOST))
    text = b"[" + space + text + space + b"]" + space
    chunks = [text[n : n + size] for n in range(0, len(text), size)]
    batches = list(split(chunks, batch_bytes=batch_bytes, most_bytes=MOST))
    found = [v for b in batches for v in parse(b, most_bytes=MOST).values]
    assert [len(str(v["a"])) + 8 for v in found] == [MOST, 20, MOST, MOST, 9, MOST]


@pytest.mark.parametrize("before", [b"", b" ", b"{}, ", sized(MOST) + b","])
@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_a_record_over_the_most_bytes_is_told_where_it_begins(before: bytes, size: int) -> None:
    text = b"[" + before + sized(MOST + 1) + b",{}]"
    with pytest.raises(CorruptBundle, match="larger than MaxRecordBytes") as caught:
        for batch in split(
            [text[n : n + size] for n in range(0, len(text), size)],
            batch_bytes=100,
            most_bytes=MOST,
        ):
            parse(batch, most_bytes=MOST)
    assert caught.value.offset == 1 + len(before)


def test_a_record_without_end_is_told_before_much_is_held() -> None:
    taken = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal taken
        yield b'[{"a":"'
        while True:
            taken += 1
            yield b"x" * 50

    with pytest.raises(CorruptBundle, match="larger than MaxRecordBytes"):
        list(split(endless(), batch_bytes=100, most_bytes=1000))
    assert taken < 50


def test_white_space_without_end_is_told_before_much_is_held() -> None:
    for head in (b"", b"[", b"[{} ", b"[{},", b"[{}]"):
        taken = 0

        def endless(head: bytes = head):  # type: ignore[no-untyped-def]
            nonlocal taken
            yield head
            while True:
                taken += 1
                yield b" " * 50

        with pytest.raises(CorruptBundle, match="white space"):
            list(split(endless(), batch_bytes=100, most_bytes=1000))
        assert taken < 100
