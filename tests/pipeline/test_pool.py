"""Any number of workers gives the same files; one that dies takes nothing with it but the run."""

from __future__ import annotations

import gzip
import json
import os
import random
import select
import signal
import subprocess
import sys
import tracemalloc
import weakref
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from hauserpy.decode import form, reader
from hauserpy.decode.form import Form
from hauserpy.decode.records import Records, Unproved, parse
from hauserpy.decode.split import Batch, Stretch
from hauserpy.errors import WorkerDied
from hauserpy.layout import Compression, CustomVarsKind, Layout, StageFormat
from hauserpy.model import Clip, Window
from hauserpy.pipeline import pool as pool_of
from hauserpy.pipeline.convert import MOST_RECORDS, Converted, Converter, Job
from hauserpy.pipeline.pipe import Pipe
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Spool
from hauserpy.pipeline.stage import Progress, empty_folder, stage
from hauserpy.pipeline.worker import NewJob
from tests import reading, reference
from tests.bundles import FILE_COLUMNS, WINDOW, Output, chunked, here, staged

REPOSITORY = Path(__file__).parents[2]
LAYOUTS = {
    "csv": Layout(FILE_COLUMNS),
    "csv.gz": Layout(FILE_COLUMNS, compression=Compression.GZIP),
    "jsonl.gz": Layout(
        FILE_COLUMNS,
        format=StageFormat.JSONL,
        compression=Compression.GZIP,
        custom_vars=CustomVarsKind.OBJECT,
    ),
    "parquet": Layout(FILE_COLUMNS, format=StageFormat.PARQUET),
    "raw": Layout(FILE_COLUMNS, format=StageFormat.RAW),
    "raw.gz": Layout(FILE_COLUMNS, format=StageFormat.RAW, compression=Compression.GZIP),
}


def _texts(name: str, made: Output) -> list[bytes]:
    # isal's bytes for one and the same text may differ a little from process to process.
    return list(map(gzip.decompress, made.parts)) if name.endswith(".gz") else made.parts


def _bundle(count: int) -> bytes:
    """Records of many shapes: false borders, text that needs care, one larger than many batches."""
    chance = random.Random(11)
    records = []
    for n in range(count):
        record = {
            "IndvId": n,
            "EventStart": f"2026-11-22T{n % 24:02}:{n % 60:02}:00.{n % 1000:03}Z",
            "EventType": chance.choice(["click", "navigate", "", '"},{"IndvId":1},{"'] * 5 + ["\ud83d", "a\0"]),
            f"evt_{n % 50}_int": chance.choice([1, 2.5, None, [{}, {}], 10**25]),
        }  # fmt: skip
        if n == count // 2:
            record["big"] = [{"IndvId": 1}, {"a": "},{" * 4000}]
        records.append(json.dumps(record))
    return ("[" + ",\n".join(records) + "]").encode()


BODY = _bundle(1200)
PACKED = gzip.compress(BODY)
UNIFORM = b"[%b]" % b",\n".join(
    b'{"IndvId":%d,"EventStart":"2026-11-22T00:%02d:%02d.000Z","EventType":"click"}'
    % (n, n // 60, n % 60)
    for n in range(1200)
)
"""Records of one form."""


@pytest.fixture(scope="module", params=[1, 2, 5])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with closing(Pool(request.param, inline=0)) as made:
        yield made


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_number_of_workers_gives_the_same_file(name: str, pool: Pool) -> None:
    layout = LAYOUTS[name]
    alone = staged([PACKED], layout, batch_bytes=3000)
    made = staged(chunked(PACKED, 3), layout, pool=pool, batch_bytes=3000)
    assert _texts(name, made) == _texts(name, alone)
    for found in (made, alone):
        assert found.staged.records == 1200
        assert found.staged.bytes == len(BODY)
        (part,), (written,) = found.staged.parts, found.parts
        assert (part.size, part.crc32) == (len(written), zlib.crc32(written))
    assert made.staged.changes == alone.staged.changes
    assert made.staged.first_event == alone.staged.first_event
    assert made.staged.last_event == alone.staged.last_event


def test_texts_and_results_larger_than_shared_memory_pass(pool: Pool) -> None:
    big = '{"a":"' + "x" * (3 << 20) + '"}'
    body = f'[{big},{{"b":1}},{big},{big}]'.encode()
    layout = LAYOUTS["csv"]
    made = staged([body], layout, pool=pool, batch_bytes=1 << 20)
    assert made.parts == staged([body], layout).parts
    assert made.staged.records == 4
    assert made.staged.parts[0].crc32 == zlib.crc32(made.parts[0])


@pytest.mark.parametrize("part_bytes", [1, 2000, 20_000, 1 << 30])
def test_parts_hold_every_row_once_and_are_whole_files(part_bytes: int, pool: Pool) -> None:
    layout = Layout(
        FILE_COLUMNS, compression=Compression.GZIP, header=False, null="\0", part_bytes=part_bytes
    )
    made = staged([PACKED], layout, pool=pool, batch_bytes=3000)
    rows = []
    for part, body in zip(made.staged.parts, made.parts, strict=True):
        reader = zlib.decompressobj(31)
        text = reader.decompress(body) + reader.flush()
        assert reader.eof
        assert not reader.unused_data
        found = reading.csv_rows(text, layout)
        assert part.records == len(found)
        assert (part.size, part.crc32) == (len(body), zlib.crc32(body))
        rows += found
    assert len(made.parts) == 1 if part_bytes == 1 << 30 else len(made.parts) > 1
    assert all(len(body) >= part_bytes for body in made.parts[:-1])
    wanted = [reference.row(record, layout, WINDOW) for record in reference.parse(BODY)]
    rows.sort(key=lambda row: row["IndvId"])
    wanted.sort(key=lambda row: row.values["IndvId"])
    reading.agree(rows, wanted, layout)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("pool", [2], indirect=True)
def test_windows_that_meet_clip_a_bundle_into_all_of_its_rows(name: str, pool: Pool) -> None:
    layout = LAYOUTS[name]
    noon = WINDOW.start.replace(hour=12)
    halves = []
    first, second = Window(WINDOW.start, noon), Window(noon, WINDOW.stop)
    for keep, strays, loaded in ((first, True, second), (second, False, first)):
        clip = Clip(keep, WINDOW, strays, (loaded,))
        made = staged([PACKED], layout, pool=pool, clip=clip, batch_bytes=3000)
        alone = staged([PACKED], layout, clip=clip, batch_bytes=3000)
        assert _texts(name, made) == _texts(name, alone)
        assert made.staged.changes == alone.staged.changes
        assert reading.counted(made.staged.changes)["clipped", "EventStart"] == 600
        assert made.staged.records == 600
        assert made.staged.first_event in keep
        assert made.staged.last_event in keep
        halves += _texts(name, made)
    if layout.format is StageFormat.RAW:
        texts = [reference.parse(half) for half in halves]
        both = sorted(texts[0] + texts[1], key=lambda r: int(r["IndvId"].digits))
        assert both == reference.parse(BODY)
        lines = {line.rstrip(b",") for line in BODY[1:-1].split(b"\n")}
        assert {line.rstrip(b",") for h in halves for line in h[1:-1].split(b"\n")} == lines
        return
    rows = [row for half in halves for row in reading.READERS[layout.format](half, layout)]
    rows.sort(key=lambda row: row["IndvId"])
    reading.agree(rows, [reference.row(r, layout, WINDOW) for r in reference.parse(BODY)], layout)


def children(parent: int) -> set[int]:
    """The worker processes of ``parent`` that have not ended."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = (line.split(None, 3) for line in listing.splitlines())
    return {
        int(row[0])
        for row in rows
        if int(row[1]) == parent and not row[2].startswith("Z") and "hauserpy.pipeline" in row[3]
    }


def test_a_killed_worker_ends_the_bundle_and_leaves_nothing(tmp_path: Path) -> None:
    before = children(os.getpid())
    folder = empty_folder(tmp_path / "parts")
    spool = Spool(tmp_path / "spool")
    spool.write(PACKED)
    spool.finish()
    job = Job(LAYOUTS["csv.gz"], WINDOW, None, 1 << 24)
    killed = []

    def kill_one(_: Progress) -> None:
        if not killed:
            killed.append(min(children(os.getpid()) - before))
            os.kill(killed[0], signal.SIGKILL)

    with closing(Pool(2, inline=0)) as pool, closing(spool):
        with pytest.raises(WorkerDied, match="signal 9") as caught:
            stage(spool, job, folder, pool, kill_one, batch_bytes=500)
        assert caught.value.exit_code == 4
        assert list(folder.iterdir()) == []
        assert children(os.getpid()) == before
        # The pool starts new ones for the next bundle.
        again = stage(spool, job, folder, pool, batch_bytes=3000)
        assert again.records == 1200
    assert children(os.getpid()) == before


_PARENT = """
import sys
from tests.pipeline.test_pool import LAYOUTS, PACKED, children
from tests.bundles import staged
from hauserpy.pipeline.pool import Pool
import os
pool = Pool(2, inline=0)
staged([PACKED], LAYOUTS["csv"], pool=pool, batch_bytes=3000)
print(*children(os.getpid()), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes of others")
def test_workers_end_when_their_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdin is not None and parent.stdout is not None
    with parent, closing(parent.stdin):
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        ends = [os.pidfd_open(pid) for pid in workers]
        assert len(ends) == 2
        parent.kill()
        for end in ends:
            assert select.select([end], [], [], 60)[0], "a worker outlived its parent"
            os.close(end)


def test_a_consumer_that_stops_early_leaves_the_pool_usable(tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def enough(_: Progress) -> None:
        raise Enough

    with closing(Pool(2, inline=0)) as pool:
        for _ in range(3):
            spool = Spool(tmp_path / "spool")
            with closing(spool):
                spool.write(PACKED)
                spool.finish()
                job = Job(LAYOUTS["csv"], WINDOW, None, 1 << 24)
                folder = empty_folder(tmp_path / "parts")
                with suppress(Enough):
                    stage(spool, job, folder, pool, enough, batch_bytes=1000)
                    raise AssertionError("it went on")
                assert list(folder.iterdir()) == []
        made = staged([PACKED], LAYOUTS["csv"], pool=pool, batch_bytes=3000)
        assert made.parts == staged([PACKED], LAYOUTS["csv"], batch_bytes=3000).parts


@pytest.fixture
def done_here(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offsets of the batches that the parent converts."""
    offsets: list[int] = []
    convert = Converter.convert

    def noted(self: Converter, batch: Batch) -> Converted:
        offsets.append(batch.offset)
        return convert(self, batch)

    monkeypatch.setattr(Converter, "convert", noted)
    return offsets


def test_a_larger_bundle_is_left_to_workers_from_its_first_batch_on(done_here: list[int]) -> None:
    before = children(os.getpid())
    wanted = staged([UNIFORM], LAYOUTS["csv"], batch_bytes=1000)
    assert len(done_here) > 20
    done_here.clear()
    with closing(Pool(2)) as pool:
        made = staged([UNIFORM], LAYOUTS["csv"], pool=pool, batch_bytes=1000)
        assert len(children(os.getpid()) - before) == 2
        again = staged([UNIFORM], LAYOUTS["csv"], pool=pool, batch_bytes=1000)
        assert done_here == []
    assert made.parts == again.parts == wanted.parts


@pytest.mark.parametrize(("layout", "is_learned"), [("csv", True), ("raw", False)])
def test_what_was_learned_of_a_small_bundle_serves_the_workers(
    layout: str, is_learned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Form | None] = []
    send = Pipe.send

    def noted(self: Pipe, message: object) -> None:
        if isinstance(message, NewJob):
            told.append(message.form)
        send(self, message)

    monkeypatch.setattr(Pipe, "send", noted)
    monkeypatch.setattr(pool_of, "available_cores", lambda: 4)
    with closing(Pool(2)) as pool:
        staged([UNIFORM], LAYOUTS[layout], pool=pool, batch_bytes=len(UNIFORM) // 8)
        assert told == []
        staged([UNIFORM], LAYOUTS[layout], pool=pool, batch_bytes=1000)
    assert [form is not None for form in told] == [is_learned] * 2
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("layout", "cores", "used"), [("raw", 1, 1), ("raw", 2, 1), ("raw", 3, 2), ("csv", 2, 2)]
)
def test_of_raw_bundles_the_parent_has_a_core_of_its_own(
    layout: str, cores: int, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[int] = set()
    send = Pipe.send

    def noted(self: Pipe, message: object) -> None:
        asked.add(id(self))
        send(self, message)

    monkeypatch.setattr(Pipe, "send", noted)
    monkeypatch.setattr(pool_of, "available_cores", lambda: cores)
    with closing(Pool(2)) as pool:
        made = staged([UNIFORM], LAYOUTS[layout], pool=pool, batch_bytes=1000)
        assert len(asked) == used
    assert made.parts == staged([UNIFORM], LAYOUTS[layout], batch_bytes=1000).parts


def test_small_bundles_learn_from_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # For one of them alone, learning would take longer than it saves.
    learned_by: list[int] = []

    def noted(*given: Any) -> Form | None:
        learned_by.append(number)
        return form.learned(*given)

    monkeypatch.setattr(reader, "learned", noted)
    wanted = staged([UNIFORM], LAYOUTS["csv"]).parts
    with closing(Pool(2)) as pool:
        for number in range(8):  # noqa: B007 - read by noted
            made = staged([UNIFORM], LAYOUTS["csv"], pool=pool, batch_bytes=40_000)
            assert made.parts == wanted
    assert learned_by == [2]


def test_many_bundles_that_are_not_small_are_worth_starting_workers() -> None:
    before = children(os.getpid())
    size = len(UNIFORM) // 7
    with closing(Pool(2)) as pool:
        for started in (0, 2, 2):
            assert staged([UNIFORM], LAYOUTS["csv"], pool=pool, batch_bytes=size).staged.records
            assert len(children(os.getpid()) - before) == started


def test_a_closed_pool_can_be_used_and_closed_again() -> None:
    pool = Pool(1, inline=0)
    for _ in range(2):
        assert staged([PACKED], LAYOUTS["csv"], pool=pool).staged.records == 1200
        pool.close()
        pool.close()


def test_a_worker_that_hangs_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hauserpy.pipeline.pool._PARTING_SECONDS", 0.2)
    before = children(os.getpid())
    pool = Pool(2, inline=0)
    staged([PACKED], LAYOUTS["csv"], pool=pool, batch_bytes=3000)
    os.kill(min(children(os.getpid()) - before), signal.SIGSTOP)
    pool.close()
    assert children(os.getpid()) == before


def test_a_worker_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hauserpy.pipeline.pool.sys.executable", "/nowhere/python")
    with closing(Pool(1, inline=0)) as pool, pytest.raises(WorkerDied, match="/nowhere/python"):
        staged([PACKED], LAYOUTS["csv"], pool=pool)


def test_here_means_here() -> None:
    before = children(os.getpid())
    staged([PACKED], LAYOUTS["csv"], pool=here(), batch_bytes=1000)
    assert children(os.getpid()) == before


def test_a_batch_of_tiny_records_is_staged_in_little_memory() -> None:
    # 50,000 records of a batch's size would hold 300 MB as columns all at once.
    text = b"[" + b",".join([b"{}"] * 50_000) + b"]"
    tracemalloc.start()
    try:
        with closing(Pool(1)) as pool:
            made = staged([text], LAYOUTS["csv"], pool=pool)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.staged.records == 50_000
    assert peak < 100e6


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_of_very_many_records_is_converted_in_smaller_ones(workers: int) -> None:
    """Else a worker would make 60 MB of commas of each MB."""
    text = b"[" + b',{"a":"},{"}' * 1000 + b",{}" * 200_000 + b",{} ]"
    text = text.replace(b"[,", b"[")
    largest = 0

    class Watched(Pool):
        def convert(self, job: Job, batches: Iterator[Stretch]) -> Iterator[Any]:  # type: ignore[override]
            nonlocal largest
            for made, data in super().convert(job, batches):
                largest = max(largest, made.records)
                yield made, data

    job_rows = []
    for name in ("csv", "raw"):
        with closing(Watched(workers, inline=0)) as pool:
            made = staged([text], LAYOUTS[name], pool=pool)
        assert made.staged.records == 201_001
        job_rows.append(b"".join(made.parts))
        if name == "csv":
            assert largest <= MOST_RECORDS
    lines = job_rows[0].splitlines()
    assert len(lines) == 201_002
    assert len(set(lines[1002:])) == 1
    assert job_rows[1] == text


@pytest.mark.parametrize("lead", ["other", "nested"])
def test_where_all_borders_are_false_no_more_is_held_than_some_batches(
    lead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nested objects begin like the records, or no record begins like the first one."""
    first = "a" if lead == "nested" else "x"
    record = json.dumps({"a": [{first: 1}] * 200, "b_str": "end"}, separators=(",", ":"))
    records = ['{"evt_first":1}'] * (lead == "other") + [record] * 400
    text = f"[{','.join(records)}]".encode()
    largest, told = 0, []
    convert, result_of = Converter.convert, Pool._result_of

    def counted(self: Converter, batch: Batch) -> Converted:
        nonlocal largest
        largest = max(largest, len(batch.text))
        return convert(self, batch)

    def kept(self: Pool, ticket: Any) -> Any:
        result = result_of(self, ticket)
        if isinstance(result, Unproved):
            told.append(weakref.ref(result))
        return result

    monkeypatch.setattr(Converter, "convert", counted)
    monkeypatch.setattr(Pool, "_result_of", kept)
    with closing(Pool(0)) as pool:
        made = staged([text], LAYOUTS["raw"], pool=pool, batch_bytes=20_000)
        alive = sum(one() is not None for one in told)
    assert made.parts == [text] and made.staged.records == len(records)
    assert len(told) > 20, "or nothing is shown"
    assert largest < 5 * 20_000
    assert alive <= 2, "each keeps what was parsed for it"


def test_a_record_of_many_false_borders_is_parsed_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = {"a": [{"a": 1}] * 40_000, "b_str": "end"}
    text = json.dumps([record, record], separators=(",", ":")).encode()
    parsed = []

    def counted(batch: Batch, *, most_bytes: int, exact: bool) -> Records:
        parsed.append(len(batch.text))
        return parse(batch, most_bytes=most_bytes, exact=exact)

    monkeypatch.setattr(reader, "parse", counted)
    with closing(Pool(0)) as pool:
        made = staged([text], LAYOUTS["csv"], pool=pool, batch_bytes=4000)
    assert made.staged.records == 2
    # Batch by batch it would be some 80 times the text; each doubling at most a few.
    assert sum(parsed) < 12 * len(text)


def test_modules_of_the_current_folder_are_none_of_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pickle", "signal", "gc", "mmap", "hauserpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    with closing(Pool(1, inline=0)) as pool:
        assert staged([PACKED], LAYOUTS["csv"], pool=pool).staged.records == 1200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_does_not_end_a_worker_that_starts(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen

    def signalled(*args: object, **named: object) -> object:
        process = real(*args, **named)  # type: ignore[call-overload]
        os.kill(process.pid, number)
        return process

    with closing(Pool(2, inline=0)) as pool:
        monkeypatch.setattr(subprocess, "Popen", signalled)
        assert staged([PACKED], LAYOUTS["csv"], pool=pool, batch_bytes=3000).staged.records == 1200
    assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
