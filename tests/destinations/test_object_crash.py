"""Objects when processes die at any request, and when several load at once: rows of one load."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.model import Staged, rfc3339
from tests.destinations.bundles import Run, entry_for, hour, hours, texts
from tests.destinations.makers import NOW
from tests.destinations.object_backing import IN_THE_ROOT, ObjectBacking
from tests.destinations.object_worker import MOVED

_MOST_REQUESTS = 60
"""More than any load here needs."""
_FIRST_WRITE = 5


class Worker:
    """Processes that load; see `tests.destinations.object_worker`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.destinations.object_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def __call__(self, *orders: dict[str, Any]) -> list[int]:
        """Carries out all orders at once; returns how their processes ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()
        ended: list[int] = json.loads(self._process.stdout.readline())
        return ended

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def worker(aws_environment: dict[str, str]) -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


@pytest.fixture(params=IN_THE_ROOT)
def backing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectBacking]:
    made = IN_THE_ROOT[request.param](request, tmp_path / "store")
    yield made
    made.close()


def order(backing: ObjectBacking, *loads: dict[str, Any], **given: Any) -> dict[str, Any]:
    settings = backing.settings()
    section = settings.s3 if backing.bucket.kind == "s3" else settings.gcs
    names = ("bucket", "endpoint", "region")
    return {
        "kind": backing.bucket.kind,
        "section": {n: getattr(section, n) for n in names if hasattr(section, n)},
        "format": settings.format.value,
        "compression": settings.compression.value,
        "prefix": settings.file_prefix,
        "now": rfc3339(NOW),
        "loads": loads,
        "die_after": 0,
        **given,
    }


def load_of(
    entry: LedgerEntry, rows: Staged, expected: frozenset[str] = frozenset()
) -> dict[str, Any]:
    sync = entry.kind is EntryKind.SYNC
    return {
        "entry": entry.to_json(),
        "parts": [
            {"path": str(p.path), "size": p.size, "records": p.records, "crc32": p.crc32}
            for p in rows.parts
        ],
        "expected": sorted(expected),
        "checkpoint": rfc3339(entry.window.stop) if sync else None,
    }


def names(backing: ObjectBacking) -> list[str]:
    return sorted(str(row["EventTargetText"]) for row in backing.rows())


def test_a_first_load_killed_at_any_request_and_run_again_is_loaded_once(
    backing: ObjectBacking, worker: Worker, tmp_path: Path
) -> None:
    rows = Run(backing.open(), tmp_path).stage(hour(0), tag="a")
    for request in range(1, _MOST_REQUESTS):
        backing.path = f"{request}/"
        entry = entry_for(hour(0), rows)
        (status,) = worker(order(backing, load_of(entry, rows), die_after=request))
        assert len(backing.data_names()) <= 1, "a reader sees the rows of one load at most"
        if status == 0:
            break
        assert status == -signal.SIGKILL
        again = Run(backing.open(), tmp_path)
        committed = again.destination.ledger()
        if committed.entries:
            assert names_in(backing, again) == texts(0, tag="a"), "what the ledger names is there"
        again.load(hour(0), tag="b")
        check_one_load(backing, again, "a" if committed.entries else "b")
    assert 5 < request < _MOST_REQUESTS - 1


def test_a_replacement_killed_at_any_request_and_run_again_is_loaded_once(
    backing: ObjectBacking, worker: Worker, tmp_path: Path
) -> None:
    first = Run(backing.open(), tmp_path)
    first.load(hour(0))
    first.load(hour(1))
    expected = first.destination.ledger().loads_in(hours(0, 2))
    rows = first.stage(hours(0, 2), tag="b")
    loaded = backing.contents()
    # Until then the run only reads: to die there is the other test's.
    for request in range(_FIRST_WRITE, _MOST_REQUESTS):
        backing.start_as(loaded, f"{request}/")
        entry = entry_for(hours(0, 2), rows, EntryKind.BACKFILL)
        (status,) = worker(order(backing, load_of(entry, rows, expected), die_after=request))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        again = Run(backing.open(), tmp_path)
        found = names_in(backing, again)
        assert found in (texts(0, 1), texts(0, 1, tag="b")), "the ledger has either, whole"
        assert names(backing) == found, "and a listing the same, after the next start"
        again.load(hours(0, 2), tag="c", kind=EntryKind.BACKFILL, replace_loaded=True)
        check_one_load(backing, again, "c", 0, 1)
    assert _FIRST_WRITE + 4 < request < _MOST_REQUESTS - 1


def check_one_load(backing: ObjectBacking, run: Run, tag: str, *numbers: int) -> None:
    assert names(backing) == names_in(backing, run) == texts(*(numbers or (0,)), tag=tag)
    ledger = run.destination.ledger()
    assert len(ledger.entries) == 1
    assert ledger.checkpoint == backing.hauser_checkpoint()
    assert backing.leftovers() == []
    own = [n for n in backing.names() if n.startswith(".")]
    assert own == [".hauserpy/ledger.json", ".sync.hauser"]


def names_in(backing: ObjectBacking, run: Run) -> list[str]:
    """What those read who go by the ledger."""
    committed = {f.name for e in run.destination.ledger().entries for f in e.files}
    return sorted(str(row["EventTargetText"]) for row in backing.rows(committed))


def test_of_processes_at_once_each_window_is_loaded_by_one(
    backing: ObjectBacking, worker: Worker, tmp_path: Path
) -> None:
    staging = Run(backing.open(), tmp_path)
    orders, tags = [], {}
    for tag in "abcd":
        made = []
        windows = [hour(0), hour(1), hours(2, 4)] if tag in "ab" else [hours(0, 2), hours(2, 4)]
        for window in windows:
            rows = staging.stage(window, tag=tag)
            entry = entry_for(window, rows)
            tags[entry.load] = tag
            made.append(load_of(entry, rows))
        orders.append(order(backing, *made))
    ended = worker(*orders)
    assert set(ended) <= {0, MOVED}
    ledger = backing.open().ledger()
    expected = []
    for entry in ledger.entries:
        first, last = (
            (m - hour(0).start).seconds // 3600 for m in (entry.window.start, entry.window.stop)
        )
        expected += texts(*range(first, last), tag=tags[entry.load])
    assert ledger.missing(hours(0, 4)) == ()
    assert names(backing) == sorted(expected)
    assert ledger.checkpoint == hour(3).stop
    # The mark for hauser may be that of the slowest; the next run writes it anew.
    assert backing.hauser_checkpoint() in {hour(number).stop for number in range(4)}
    Run(backing.open(), tmp_path).load(hour(4))
    assert backing.hauser_checkpoint() == hour(4).stop
    assert backing.leftovers() == []
