"""Killed at any moment, or met by an error of the disk at any moment, then run again: as if nothing
had happened."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.mockapi import MockApi
from hauserpy.model import Window, rfc3339
from tests.destinations.bundles import DAY, events, hours

REPO = Path(__file__).parents[2]

Crash = Callable[..., dict[str, Any]]


def days(count: int, tag: str = "") -> dict[Window, bytes]:
    spans = [hours(24 * n, 24 * n + 2) for n in range(count)]
    whole = [Window(s.start, s.start + timedelta(days=1)) for s in spans]
    return {w: json.dumps(events(s, tag)).encode() for w, s in zip(whole, spans, strict=True)}


def configure(base: Path, api: MockApi, more: str = "") -> None:
    text = f'{api.config()}TmpDir = "{base}/tmp"\n{more}\n[local]\nSaveDir = "{base}/data"\n'
    (base / "config.toml").write_text(text)
    (base / "config.toml").chmod(0o600)


def crash(base: Path, argv: list[str], *, end: str, before: Path | None = None) -> dict[str, Any]:
    """Let the command die at each of its points; returns the driver's report."""
    job = {
        "base": str(base),
        "before": None if before is None else str(before),
        "argv": [*argv, "-c", str(base / "config.toml")],
        "end": end,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.crash_driver"],
        input=json.dumps(job), capture_output=True, text=True, cwd=REPO, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["failures"] == {}
    return report


def synced(base: Path, keep: Path) -> Path:
    """Sync into SaveDir once, and keep a copy of it."""
    argv = [sys.executable, "-m", "hauserpy", "sync", "-c", str(base / "config.toml")]
    subprocess.run(argv, check=True, capture_output=True, cwd=REPO)
    shutil.copytree(base / "data", keep)
    return keep


@pytest.fixture
def base() -> Iterator[Path]:
    """In memory where there is such a place: what counts is the order of fsyncs, not their cost."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


def in_order(points: list[str]) -> None:
    """What a power cut may not undo: a file is on the disk before it is renamed, and the rename is
    before the next one."""
    on_disk: set[str] = set()
    unsettled = ""
    for call, _, what in (point.partition(" ") for point in points):
        path, _, target = what.rpartition(" #")[0].partition(" to ")
        if call == "write":
            on_disk.discard(path)
        elif call == "fsync":
            on_disk.add(path)
            unsettled = "" if path == unsettled else unsettled
        elif call == "replace":
            assert path in on_disk, f"{path} is renamed before it is on the disk"
            assert not unsettled, f"{path} is renamed before what was renamed in {unsettled}"
            on_disk.add(target)
            unsettled = str(Path(target).parent)
    assert not unsettled


@pytest.mark.parametrize(("end", "count"), [("kill", 2), ("error", 1)])
def test_a_first_sync_that_ends_at_any_change_to_the_disk(base: Path, end: str, count: int) -> None:
    with MockApi(bodies=days(count)) as api:
        configure(base, api)
        report = crash(base, ["sync"], end=end)
    in_order(report["names"])
    names = " ".join(report["names"])
    for point in (
        f"write data/.hauserpy/commit.json.tmp #{count}",
        f"replace data/.hauserpy/commit.json.tmp to data/.hauserpy/commit.json #{count}",
        f"to data/{int(DAY.timestamp())}.csv #1",
        f"replace data/.sync.hauser.tmp to data/.sync.hauser #{count}",
        "fsync data #1",
        "write tmp/OWNER/spool-0 #1",
    ):
        assert point in names, "the driver must see every step of a load"


@pytest.mark.parametrize(("end", "count"), [("kill", 2), ("error", 1)])
def test_a_replacement_that_ends_at_any_change_to_the_disk(
    base: Path, tmp_path: Path, end: str, count: int
) -> None:
    with MockApi(bodies=days(count)) as api:
        configure(base, api)
        before = synced(base, tmp_path / "before")
        for window, body in days(count, "new").items():
            api.add(window, body)
        # In another format, so that files are removed as well.
        configure(base, api, 'Format = "jsonl"')
        argv = ["backfill", "--replace", "--since", rfc3339(DAY)]
        report = crash(base, argv, end=end, before=before)
    in_order(report["names"])
    assert any(p.startswith("unlink data/") and ".csv" in p for p in report["names"])


def test_a_sync_that_takes_over_from_hauser_and_is_killed_at_any_change(
    base: Path, tmp_path: Path
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    (before / f"{int(DAY.timestamp())}.csv").write_text("IndvId\n1\n")
    (before / ".sync.hauser").write_text(rfc3339(DAY + timedelta(days=1)))
    with MockApi(bodies=days(2)) as api:
        configure(base, api)
        crash(base, ["sync"], end="kill", before=before)
