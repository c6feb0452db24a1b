"""A bundle that is not whole loads nothing and says where it breaks, with and without workers."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hauserpy.errors import CorruptBundle
from hauserpy.layout import Compression, Layout, StageFormat
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Spool
from hauserpy.pipeline.stage import empty_folder, stage
from tests.bundles import FILE_COLUMNS, WINDOW, here, staged

CSV = Layout(FILE_COLUMNS, compression=Compression.GZIP, part_bytes=50)
RAW = Layout(FILE_COLUMNS, format=StageFormat.RAW)
SMALL = '[ {"EventType":"a},{","x":[{"é":1},{"y":"]"}]} ,\n{"IndvId":12,"n":[]},{}]'.encode()


@pytest.fixture(scope="module", params=[0, 2], ids=["here", "workers"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with closing(Pool(2, inline=0) if request.param else here()) as made:
        yield made


def fault(
    body: bytes, pool: Pool, tmp_path: Path, layout: Layout = CSV, **rules: int
) -> CorruptBundle:
    spool = Spool(tmp_path / "spool")
    folder = empty_folder(tmp_path / "parts")
    batch_bytes = rules.pop("batch_bytes", 1)
    try:
        spool.write(body)
        spool.finish()
        job = Job(layout, WINDOW, None, rules.pop("most", 1 << 24))
        with pytest.raises(CorruptBundle) as caught:
            stage(spool, job, folder, pool, batch_bytes=batch_bytes)
    finally:
        spool.close()
    assert list(folder.iterdir()) == []
    assert caught.value.exit_code == 6
    return caught.value


@pytest.mark.parametrize("layout", [CSV, RAW], ids=["csv", "raw"])
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_no_beginning_of_a_bundle_passes_for_the_whole(
    layout: Layout, batch_bytes: int, tmp_path: Path
) -> None:
    inline = here()
    for end in range(len(SMALL)):
        found = fault(SMALL[:end], inline, tmp_path, layout, batch_bytes=batch_bytes)
        assert found.offset <= end
        fault(gzip.compress(SMALL[:end]), inline, tmp_path, layout, batch_bytes=batch_bytes)
    assert staged([SMALL], layout, batch_bytes=batch_bytes).staged.records == 3


def test_no_beginning_of_the_gzip_passes_for_the_whole(tmp_path: Path) -> None:
    body = gzip.compress(SMALL)
    for end in range(len(body)):
        fault(body[:end], here(), tmp_path)


@pytest.mark.parametrize(
    ("body", "problem", "offset"),
    [
        (b"", "it is empty", 0),
        (b" \n ", "it is empty", 0),
        (b"<html><body>502</body></html>", "an HTML or XML page", 0),
        (b"null", "null stands", 0),
        (b'{"error":"x"}', "an object stands", 0),
        (b"[", "the array is cut short", 1),
        (b"[{}", "the array is cut short", 3),
        (b"[{} ,", "the array is cut short", 5),
        (b"[,]", "it is not JSON", 1),
        (b"[{},]", "it is not JSON", 4),
        (b"[{}]{}", "something follows the end", 4),
        (b"[{}] []", "something follows the end", 5),
        (b"[{}][{}]", "something follows the end", 4),
        (b"[{}]]", "something follows the end", 4),
        (b"[{}]\n ]", "something follows the end", 6),
        (b"[]]", "something follows the end", 2),
        (b"[]{}", "something follows the end", 2),
        (b"[{}]\0", "something follows the end", 4),
        (b"[{},{} {}]", "it is not JSON (a comma is missing)", 7),
        (b"[1]", "a record is a number", 1),
        (b"[{},null,{}]", "a record is null", 4),
        (b'[{"a":NaN}]', "it is not JSON", 1),
        (b'[{},{"a":"\t"}]', "it is not JSON (Invalid control character)", 10),
        (b'\xef\xbb\xbf[{},{"a":"\xff"}]', "the text is not UTF-8", 13),
    ],
)
def test_each_is_told_at_its_byte(
    body: bytes, problem: str, offset: int, pool: Pool, tmp_path: Path
) -> None:
    for served in (body, gzip.compress(body)):
        for layout in (CSV, RAW):
            found = fault(served, pool, tmp_path, layout)
            assert found.problem.startswith(problem)
            assert (found.offset, found.compressed) == (offset, False)


def many(count: int, at: dict[int, bytes]) -> bytes:
    return b"[" + b",".join(at.get(n, b'{"IndvId":%d}' % n) for n in range(count)) + b"]"


FAULTS = [
    b"7", b'{"a":1}}', b'{"a":"\xff"}', b'{"a":"\x02"}', b'{"a":NaN}', b"{}]", b'{"a":tru}',
    b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", b'{"a":"' + b"x" * 3000 + b'"}', b'{"a":"', b"{",
]  # fmt: skip


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_the_first_fault_in_the_text_is_the_one_told(
    number: int, step: int, pool: Pool, tmp_path: Path
) -> None:
    early, late = FAULTS[number], FAULTS[(number + step) % len(FAULTS)]
    alone = many(400, {150: early})
    both = many(400, {150: early, 300: late})
    found = fault(both, pool, tmp_path, batch_bytes=100, most=2000)
    told = fault(alone, pool, tmp_path, batch_bytes=100, most=2000)
    begins = alone.index(b'{"IndvId":149},') + len(b'{"IndvId":149},')
    if early not in (b'{"a":"', b"{"):  # what has no end of its own takes in what follows
        assert found.problem == told.problem
        assert found.offset == told.offset
        assert begins <= found.offset <= begins + len(early)
    assert found.offset < both.index(b'{"IndvId":299}') + 20


def test_a_wrong_checksum_behind_good_records_is_told(pool: Pool, tmp_path: Path) -> None:
    body = bytearray(gzip.compress(many(5000, {})))
    body[-6] ^= 1
    found = fault(bytes(body), pool, tmp_path, batch_bytes=1000)
    assert found.compressed
    assert "checksum" in found.problem


def test_a_corrupt_record_before_a_broken_gzip_is_told_first(pool: Pool, tmp_path: Path) -> None:
    body = gzip.compress(many(5000, {5: b"7"})) + b"garbage"
    found = fault(body, pool, tmp_path, batch_bytes=100)
    assert found.problem.startswith("a record is a number")


@pytest.mark.parametrize("layout", [CSV, RAW], ids=["csv", "raw"])
@pytest.mark.parametrize("key", ["custom", "EventType"])
def test_the_deepest_record_and_one_deeper(
    layout: Layout, key: str, pool: Pool, tmp_path: Path
) -> None:
    def body(depth: int) -> bytes:
        value = b"[" * (depth - 1) + b"]" * (depth - 1)
        return b'[{"IndvId":1},{"%b":%b}]' % (key.encode(), value)

    assert staged([body(256)], layout, pool=pool).staged.records == 2
    found = fault(body(257), pool, tmp_path, layout)
    assert found.problem == "a record is nested deeper than 256"
    assert found.offset == 14


@pytest.mark.parametrize("layout", [CSV, RAW], ids=["csv", "raw"])
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_the_largest_record_and_one_byte_more(
    layout: Layout, batch_bytes: int, pool: Pool, tmp_path: Path
) -> None:
    def body(size: int) -> bytes:
        record = b'{"EventStart":"2026-11-22T00:00:00Z","x":"%b"}'
        usual = record % b""
        return b"[%b,\n%b,\n%b]" % (usual, record % (b"y" * (size - len(usual))), usual)

    right = staged([body(1000)], layout, pool=pool, batch_bytes=batch_bytes, most_record_bytes=1000)
    assert right.staged.records == 3
    found = fault(body(1001), pool, tmp_path, layout, batch_bytes=batch_bytes, most=1000)
    assert found.problem == "a record is larger than MaxRecordBytes (1000 bytes)"
    assert found.instruction.startswith("It may well be whole: set MaxRecordBytes higher")


def test_the_pool_goes_on_after_a_corrupt_bundle(pool: Pool, tmp_path: Path) -> None:
    good = many(500, {})
    wanted = staged([good], CSV)
    for _ in range(3):
        fault(many(500, {100: b"7"}), pool, tmp_path, batch_bytes=10)
        made = staged([good], CSV, pool=pool, batch_bytes=300)
        assert made.staged.records == wanted.staged.records == 500
