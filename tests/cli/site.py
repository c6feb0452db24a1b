"""A place to run hauserpy as its users do: a configuration file, folders, and the real command line.

Time is the test's where it matters: `Site.at` sets the clock of hauserpy and of the mock API, and
waits are cut to a millisecond, so that a back-off costs nothing.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hauserpy.cli.group import run
from hauserpy.mockapi import MockApi
from hauserpy.model import Window, rfc3339
from hauserpy.waiting import Waiter

NOW = datetime(2026, 5, 20, 12, 34, 56, tzinfo=UTC)
_CLOCKS = ("run", "sync", "bundles", "status", "check", "look")
_LONGEST_WAIT = 0.001


def at(text: str) -> datetime:
    """``2026-05-01T10:20`` or a date, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(start: str, stop: str) -> Window:
    return Window(at(start), at(stop))


def event(moment: datetime, number: int, **more: Any) -> dict[str, Any]:
    """A record that is known by its number, which both generations serve."""
    return {
        "IndvId": 1 << 60,
        "EventStart": rfc3339(moment),
        "EventType": "custom",
        "evt_number_int": number,
        **more,
    }


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class _Hurried(Waiter):
    def __call__(self, seconds: float) -> None:
        super().__call__(min(seconds, _LONGEST_WAIT))


class Site:
    """A folder with ``hauser.toml``, ``data`` and ``tmp``. ``run("sync", …)`` is the command line."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.folder = folder
        self.save = folder / "data"
        self.tmp = folder / "tmp"
        self.path = folder / "hauser.toml"
        self.now = NOW
        self._capsys = capsys
        for name in [n for n in os.environ if n.startswith(("HAUSERPY_", "FULLSTORY_"))]:
            patch.delenv(name)
        for module in _CLOCKS:
            patch.setattr(f"hauserpy.cli.{module}.now", self.clock)
        patch.setattr("hauserpy.cli.run.Waiter", _Hurried)
        # What hauser's own files say of folders is said from here.
        patch.chdir(folder)

    def clock(self) -> datetime:
        return self.now

    def at(self, moment: datetime | str) -> None:
        """From now on it is that time."""
        self.now = at(moment) if isinstance(moment, str) else moment

    def configure(self, text: str) -> None:
        """Write the configuration as it is."""
        self.path.touch(mode=0o600)
        self.path.write_text(text)

    def use(self, api: MockApi, generation: int = 2, *lines: str, start: str | None = None) -> None:
        """Write a configuration that points at ``api``, into ``data``; ``lines`` of TOML go to its
        top level."""
        url = api.url if generation == 1 else api.segments_url
        text = [
            f'FsApiToken = "{api.token}"',
            f'ExportApi = "{"bundles" if generation == 1 else "segments"}"',
            f'ApiURL = "{url}"',
            f'TmpDir = "{self.tmp}"',
            "Workers = 1",
            *([f"StartTime = {rfc3339(at(start))}"] if start else []),
            *lines,
            "[local]",
            f'SaveDir = "{self.save}"',
        ]
        self.configure("\n".join(text) + "\n")

    def run(self, *arguments: str) -> Outcome:
        """One command line, in this process."""
        self._capsys.readouterr()
        code = run(["-c", str(self.path), *arguments])
        out, err = self._capsys.readouterr()
        return Outcome(code, out, err)

    def ok(self, *arguments: str) -> Outcome:
        """`run`, which must exit 0."""
        outcome = self.run(*arguments)
        assert outcome.code == 0, outcome.err
        return outcome

    def sync(self, *arguments: str) -> dict[str, Any]:
        """``sync --json``, which must exit 0; its object."""
        return self.ok("sync", "--json", *arguments).json

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The same command as a process of its own, by the machine's clock."""
        return subprocess.Popen(
            [sys.executable, "-m", "hauserpy", "-c", str(self.path), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
        )  # fmt: skip

    def ledger(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.save / ".hauserpy" / "ledger.json").read_text())
        return found

    def windows(self) -> list[tuple[str, str]]:
        """The windows of the ledger, each as its start and stop."""
        return [(e["start"], e["stop"]) for e in self.ledger()["entries"]]

    def files(self) -> list[Path]:
        """The CSV files, in the order of their windows, hauser's among them."""
        return sorted(self.save.rglob("*.csv"), key=lambda p: float(p.stem.split("-")[-1]))

    def rows(self) -> list[dict[str, str]]:
        """The rows of all CSV files."""
        found: list[dict[str, str]] = []
        for path in self.files():
            with path.open(newline="") as text:
                found += csv.DictReader(text)
        return found

    def numbers(self) -> list[int]:
        """The numbers of the events that are there, in order; doubled ones come twice."""
        return sorted(json.loads(row["CustomVars"])["evt_number_int"] for row in self.rows())

    def tree(self) -> dict[str, bytes | None]:
        """Everything below the folder: names, and what files hold."""
        return {
            str(p.relative_to(self.folder)): p.read_bytes() if p.is_file() else None
            for p in sorted(self.folder.rglob("*"))
        }


def bodies(windows: Iterable[Window], records: Iterable[dict[str, Any]]) -> dict[Window, bytes]:
    """What `MockApi` takes: each window with the records that begin in it, in order."""
    kept = list(records)
    return {
        span: json.dumps(
            [r for r in kept if datetime.fromisoformat(r["EventStart"]) in span]
        ).encode()
        for span in windows
    }


Serve = Callable[..., MockApi]


@pytest.fixture
def site(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Site:
    return Site(tmp_path, capsys, monkeypatch)


@pytest.fixture
def serve(site: Site) -> Iterator[Serve]:
    """Starts mock APIs by the site's clock, which end with the test. Exports are ready at once."""
    running: list[MockApi] = []

    def start(**named: Any) -> MockApi:
        named.setdefault("polls", 0)
        api = MockApi(clock=site.clock, **named).start()
        running.append(api)
        return api

    yield start
    for api in running:
        api.close()
