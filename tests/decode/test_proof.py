"""What is proved without being parsed is what the parser takes, and says the same of EventStart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode import proof
from hauserpy.decode.proof import starts_of
from hauserpy.decode.records import check_depth, parse
from hauserpy.decode.split import BATCH_BYTES, Batch
from tests.bundles import RECORDS, spell

MOST = 1 << 24
USUAL = b'{"PageId":1,"EventStart":"2026-11-22T00:00:00.000Z","x":%b,"y":[{"z":"\xc3\xa9"}]}'


def batch(text: bytes) -> Batch:
    return Batch(text, 7, last=True)


def assert_proved_as_parsed(text: bytes) -> bool:
    """Whether the text is proved; if so, it is parsed for comparison."""
    proved = starts_of(batch(text))
    if proved is None:
        return False
    parsed = parse(batch(text), most_bytes=MOST)
    check_depth(parsed.values, batch(text), most_bytes=MOST)
    # Of a key borne twice the first counts here.
    whole = json.loads(b"[%b]" % text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert proved == [value["EventStart"] for value in whole]
    assert len(proved) == len(parsed.values)
    return True


@pytest.mark.parametrize(
    "value",
    [
        b"1", b"-0", b"1.5e-400", b"18446744073709551615", b"-9223372036854775808", b"null", b"true", b'""', b'"\\u0000"',
        b'"\\"},{"', b'"\\"EventStart\\":"', b"[ ]", b'{"eventStart":5}', b'"\\u00e9"', b'"\xf0\x9f\x98\x80"', b"[" * 253 + b"]" * 253,
    ],
)  # fmt: skip
def test_usual_records_are_proved_whatever_their_values(value: bytes) -> None:
    assert assert_proved_as_parsed(b",\n".join([USUAL % value] * 3))


@pytest.mark.parametrize(
    "value",
    [
        b"01", b"1.", b"+1", b"1e", b".5", b"-", b"NaN", b"Infinity", b"nul", b"tru e", b"'a'", b'"a', b'"\x01"',
        b'"\n"', b'"\\x"', b'"\\u12g4"', b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'{"\xff":1}',
        b"[1,]", b"[,1]", b"[1 2]", b'{"a":1,}', b'{"a"}', b"{1:2}", b"[}", b"[", b"]", b"}", b"},", b"},\n{", b"}\n{",
        b"}{", b"1}],[{", b"", b"1 2", b"/**/1", b"\xef\xbb\xbf1", b"\x0b1", b"[" * 256 + b"]" * 256, b"[" * 900 + b"]" * 900,
        b"[" * 5000 + b"]" * 5000, b"[" * 5000,
    ],
)  # fmt: skip
def test_nothing_that_is_no_json_or_too_deep_is_proved(value: bytes) -> None:
    for place in range(3):
        records = [USUAL % b"1"] * 3
        records[place] = USUAL % value
        assert starts_of(batch(b",\n".join(records))) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"EventStart":null}', b'{"EventStart":5}', b'{"eventstart":"a"}', b"{}", b'{"EventStart":"\\ud800"}', b'{"x":1}',
        b'{"EventStart":"a","x":"\\ud800"}', b'{"EventStart":"a","x":1e400}', b'{"EventStart":"a","x":18446744073709551616}',
                b"", b"5", b"null", b'"a"', b'[{"EventStart":"a"}]', b"]", b"{", b",\n", b'["EventStart"]',
    ],
)  # fmt: skip
def test_what_must_be_looked_at_is_left_to_the_parser(text: bytes) -> None:
    record = b'{"EventStart":"a"}'
    for several in ([text], [record, text], [text, record], [record, text, record]):
        assert starts_of(batch(b",\n".join(several))) is None


@pytest.mark.parametrize("between", [b",", b", ", b" ,", b"\n,", b",\n\n", b",\r\n", b"\t,\t"])
def test_what_stands_between_records_is_no_matter(between: bytes) -> None:
    assert assert_proved_as_parsed(USUAL % b"1" + between + USUAL % b"{}")


@pytest.mark.parametrize(
    "between",
    [
        b"", b" ", b"\n", b",,", b",,\n", b"x\n", b"]", b"]\n", b"],[", b"],", b",[", b"]],[[", b"]" * 767 + b"," + b"[" * 767, b"]" * 768 + b"," + b"[" * 768,
        b"],[],[", b"},\n{", b"\0", b",\xef\xbb\xbf", b",\xa0", b",\f",
    ],
)  # fmt: skip
def test_records_that_are_not_those_of_one_array_are_left_to_the_parser(between: bytes) -> None:
    for record in (b'{"EventStart":"a"}', b"{}"):
        assert starts_of(batch(b'{"EventStart":"a"}' + between + record)) is None
        assert starts_of(batch(record + between + b'{"EventStart":"a"}')) is None


@pytest.mark.parametrize(
    "other", [b'"EventStart"', b'{"EventStart":5}', b'"\\u0041"', b'{"x":{"EventStart":"b"}}']
)
def test_the_name_elsewhere_is_no_matter(other: bytes) -> None:
    assert assert_proved_as_parsed(b'{"EventStart":"a","x":%b},{"EventStart":"c"}' % other)


@pytest.mark.parametrize("spelled", [b"EventStart", b"\\u0045ventStart"])
def test_of_a_name_borne_twice_the_first_is_told(spelled: bytes) -> None:
    twice = b'{"EventStart":"a","%b":"b"}' % spelled
    for several in ([twice], [twice, b'{"EventStart":"c"}']):
        found = starts_of(batch(b",\n".join(several)))
        assert found == ["a", "c"][: len(several)]


def test_brackets_are_counted_record_by_record() -> None:
    record = b'{"EventStart":"a","x":%b}'
    for deep, proved in ((255, True), (256, False)):
        text = record % (b"[" * deep + b"]" * deep)
        assert (
            assert_proved_as_parsed(b",\n".join([record % b"[]", text, record % b"[]"])) == proved
        )
    assert assert_proved_as_parsed(b",\n".join([record % (b"[" * 200 + b"]" * 200)] * 5))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_nul_in_any_start_is_told(place: int) -> None:
    starts = [b"a", b"b", b"c"]
    starts[place] += b"\\u0000"
    text = b",\n".join(b'{"EventStart":"%b"}' % start for start in starts)
    assert assert_proved_as_parsed(text)


def test_all_of_a_line_is_looked_at() -> None:
    usual = b'{"EventStart":"a","x":"%b%b"}'
    for far in (10, 1000, 100_000):
        assert assert_proved_as_parsed(usual % (b"y" * far, b"\xc3\xa9"))
        assert starts_of(batch(usual % (b"y" * far, b"\xe9"))) is None


_TOKENS = [
    b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b"\n", b" ", b"},\n{", b"},{", b'","', b"\xff", b"\xc3", b"\x00", b"-",
    b"0", b"e", b".", b"null", b'"EventStart":', b'"EventStart":"b",', b"\\u0000", b"\\ud83d", b'"}', b",\n", b'{"a":',
]  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    records = []
    for drawn in draw(st.lists(RECORDS, min_size=1, max_size=4)):
        members = [
            ("EventStart", draw(st.text(max_size=3) | st.just("2026-11-22T00:00:00Z"))),
            *drawn,
        ]
        records.append(spell(tuple(members), draw(st.randoms(use_true_random=False))))
    text = draw(st.sampled_from((",\n", ",\n", ","))).join(records).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        end = at + draw(st.sampled_from((0, 0, 1, 2)))
        text = text[:at] + draw(st.sampled_from(_TOKENS)) + text[end:]
    return text


@given(texts())
def test_whatever_is_proved_is_parsed_alike(text: bytes) -> None:
    assert_proved_as_parsed(text)


def test_large_batches_are_left_to_the_parser_for_the_sake_of_memory() -> None:
    record = b'{"EventStart":"a","x":"%b"}'
    assert starts_of(batch(record % (b"y" * (4 * BATCH_BYTES - 30)))) is not None
    assert starts_of(batch(record % (b"y" * 4 * BATCH_BYTES))) is None


def test_without_memory_the_parser_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        def parse(self, _: bytes) -> None:
            raise MemoryError

    monkeypatch.setattr(proof, "_parser", Small())
    assert starts_of(batch(b'{"EventStart":"a"}')) is None


@pytest.mark.parametrize("name", [name for name, _ in proof._parser.get_implementations()])
def test_every_processor_proves_the_same(name: str) -> None:
    usual = proof._parser.implementation
    proof._parser.implementation = name
    try:
        test_most_exports_are_proved()
        for value in (b"01", b'"\x01"', b'"\xff"', b'"\\ud800"', b"1e400", b"[" * 256 + b"]" * 256):
            assert starts_of(batch(USUAL % value)) is None
    finally:
        proof._parser.implementation = usual[0]


def test_most_exports_are_proved() -> None:
    rows = [{"EventStart": f"2026-11-22T00:00:{n:02}Z", "a": {"b": [n, "é"]}} for n in range(60)]
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    assert assert_proved_as_parsed(text)
