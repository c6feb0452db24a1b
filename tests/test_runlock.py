"""One run at a time: who holds the lock is told, and the lock dies with its holder."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hauserpy.errors import AlreadyRunning
from hauserpy.owner import host_name, pid_space
from hauserpy.runlock import RunLock

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOLD = """
import sys, datetime, pathlib
from hauserpy.runlock import RunLock
with RunLock(pathlib.Path(sys.argv[1]), "x", datetime.datetime.now(datetime.UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sync.lock"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with (
        pytest.raises(AlreadyRunning, match=rf"pid {child.pid} on {host_name()}, since 20"),
        RunLock(path, "x", NOW),
    ):
        pass
    child.kill()
    child.communicate()
    with RunLock(path, "x", NOW):
        pass


def test_it_can_be_taken_again_and_leaves_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "sync.lock"
    (tmp_path / "sync.holder.4711.tmp").write_text("of a run that died while it wrote this")
    for _ in range(2):
        with RunLock(path, "x", NOW):
            holder = json.loads((tmp_path / "sync.holder").read_text())
            assert holder["since"] == "2026-11-23T12:00:00Z"
    assert {p.name for p in tmp_path.iterdir()} <= {"sync.lock"}


def test_it_is_released_by_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sync.lock"
    with pytest.raises(KeyError), RunLock(path, "x", NOW):
        raise KeyError
    with RunLock(path, "x", NOW):
        pass


def test_a_note_of_a_dead_run_is_not_told_as_the_holders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hauserpy.runlock._LOOK_SECONDS", 0)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    path = tmp_path / "sync.lock"
    with RunLock(path, "x", NOW):
        note = {"pid": dead.pid, "space": pid_space(), "host": host_name()}
        note["since"] = "2020-01-01T00:00:00Z"
        (tmp_path / "sync.holder").write_text(json.dumps(note))
        with pytest.raises(AlreadyRunning) as raised, RunLock(path, "x", NOW):
            pass
        assert "2020" not in str(raised.value)
