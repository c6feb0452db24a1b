"""A place where generation 1 is synced into local files: folder, configuration, mock API, commands.

Everything that a command tells is searched for the token and for tracebacks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.cli.group import run as run_command
from hauserpy.mockapi import MockApi
from hauserpy.model import Window, rfc3339
from tests.destinations.local_backing import read_rows

REPO = Path(__file__).parents[2]
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
TOKEN = "na1.c2VjcmV0LXRva2Vu"


def day(number: int) -> Window:
    return Window(FIRST + timedelta(days=number), FIRST + timedelta(days=number + 1))


def events(window: Window, tag: str = "", count: int = 3) -> list[dict[str, Any]]:
    """Records spread over the window, named ``<day of the month><tag>/<number>``."""
    step = (window.stop - window.start) / count
    return [
        {
            "EventStart": rfc3339(window.start + n * step),
            "EventType": "click",
            "UserId": 2**60 + n,
            "EventTargetText": f"{window.start.day}{tag}/{n}",
            "user_plan_str": "gold",
        }
        for n in range(count)
    ]


def body(window: Window, tag: str = "", count: int = 3) -> bytes:
    return json.dumps(events(window, tag, count)).encode()


def days(numbers: Sequence[int], tag: str = "") -> dict[Window, bytes]:
    return {day(n): body(day(n), tag) for n in numbers}


def names(*numbers: int, tag: str = "", count: int = 3) -> list[str]:
    """The names of those days' events, sorted."""
    return sorted(f"{n + 1}{tag}/{c}" for n in numbers for c in range(count))


def id_of(window: Window) -> str:
    """The mock's id of a day's bundle."""
    return f"{int(window.start.timestamp())}48"


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below the folder with its time and content."""
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, b"" if p.is_dir() else p.read_bytes())
        for p in sorted(folder.rglob("*"))
    }


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """stdout, which must be one JSON object on one line."""
        assert self.out.endswith("\n") and self.out.count("\n") == 1
        told: dict[str, Any] = json.loads(self.out)
        return told


@dataclass
class Place:
    folder: Path
    api: MockApi
    capsys: pytest.CaptureFixture[str]
    lines: dict[str, str] = field(default_factory=dict)
    """More lines of the configuration, by key."""

    def __post_init__(self) -> None:
        self.data = self.folder / "data"
        self.tmp = self.folder / "tmp"
        self.config = self.folder / "config.toml"
        self.configure()

    def configure(self, **lines: str) -> None:
        """Write the configuration; values are TOML text (``Format='"raw"'``)."""
        self.lines |= lines
        given = {
            "FsApiToken": json.dumps(self.api.token),
            "ExportApi": '"bundles"',
            "ApiURL": json.dumps(self.api.url),
            "TmpDir": json.dumps(str(self.tmp)),
            "Backoff": '"1ms"',
            "BackoffStepsMax": "2",
            "Workers": "1",
            "SaveDir": json.dumps(str(self.data)),
            **self.lines,
        }
        save_dir = given.pop("SaveDir")
        text = "".join(f"{key} = {value}\n" for key, value in given.items())
        self.config.touch(mode=0o600)
        self.config.write_text(f"{text}\n[local]\nSaveDir = {save_dir}\n")

    def run(self, *arguments: str, code: int | None = 0) -> Ran:
        """One command in this process."""
        self.capsys.readouterr()
        found = run_command([*arguments, "-c", str(self.config)])
        told = self.capsys.readouterr()
        return self._checked(Ran(found, told.out, told.err), code)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One command as a process of its own."""
        return subprocess.Popen(
            self.argv(*arguments), cwd=REPO, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "hauserpy", *arguments, "-c", str(self.config)]

    def finish(self, process: subprocess.Popen[str], code: int | None = 0) -> Ran:
        out, err = process.communicate(timeout=60)
        return self._checked(Ran(process.returncode, out, err), code)

    def _checked(self, ran: Ran, code: int | None) -> Ran:
        assert code is None or ran.code == code, ran
        assert self.api.token not in ran.out + ran.err
        assert "Traceback" not in ran.err and "This is a bug" not in ran.err, ran.err
        return ran

    def names(self) -> list[str]:
        """EventTargetText of every row in SaveDir, sorted."""
        found = []
        for path in self.data.iterdir():
            if path.name.endswith((".csv", ".csv.gz", ".jsonl", ".jsonl.gz")):
                found += [str(row["EventTargetText"]) for row in read_rows(path)]
        return sorted(found)

    def ledger(self) -> dict[str, Any]:
        path = self.data / ".hauserpy" / "ledger.json"
        if not path.exists():
            return {"entries": [], "checkpoint": None}
        ledger: dict[str, Any] = json.loads(path.read_bytes())
        return ledger

    def kinds(self) -> list[tuple[str, str, str]]:
        """(start, stop, kind) of each entry."""
        return [(e["start"], e["stop"], e["kind"]) for e in self.ledger()["entries"]]

    def checkpoint(self) -> str | None:
        checkpoint: str | None = self.ledger()["checkpoint"]
        return checkpoint

    def got(self) -> list[str]:
        """The ids of the bundles that were downloaded, in order."""
        return [request.query["id"] for request in self.api.requests_to("get")]

    def assert_clean(self) -> None:
        """Nothing is left of runs that ended."""
        assert not self.tmp.exists() or list(self.tmp.iterdir()) == []
        if not (self.data / ".hauserpy").is_dir():
            return
        there = {p.name for p in (self.data / ".hauserpy").iterdir()}
        assert there <= {"ledger.json", "ledger.lock", "sync.lock", "incoming"}
        incoming = self.data / ".hauserpy" / "incoming"
        assert not incoming.exists() or list(incoming.iterdir()) == []


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """One whose API offers three days of three events each."""
    for name in [n for n in os.environ if n.startswith(("HAUSERPY_", "FULLSTORY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with MockApi(bodies=days(range(3)), token=TOKEN) as api:
        yield Place(tmp_path, api, capsys)
