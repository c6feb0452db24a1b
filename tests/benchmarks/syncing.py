"""The whole program over loopback: `hauserpy sync` against the mock API in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.data import Body
from tests.benchmarks.processes import Cost, run

_HAUSERPY = [sys.executable, "-m", "hauserpy"]
_START_SECONDS = 60.0


@contextmanager
def served(folder: Path, what: Sequence[str], *, rate: int = 0) -> Iterator[Path]:
    """A mock API while it runs: its configuration file. ``rate`` in bytes a second, 0: no limit."""
    config = folder / "config.toml"
    command = [sys.executable, "-m", "tests.benchmarks.serving", str(config), str(rate), *what]
    server = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not config.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the mock API does not start")
            time.sleep(0.02)
        yield config
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()


def sync(config: Path, workers: int, *, sample: bool = False) -> Cost:
    """One `hauserpy sync` to local CSV, beside the configuration."""
    folder = config.parent
    own = folder / "hauserpy.toml"
    lines = [f"Workers = {workers}", f'TmpDir = "{folder}"', "[local]", f'SaveDir = "{folder}/out"']
    own.write_text(config.read_text(encoding="utf-8") + "\n".join(lines) + "\n", encoding="utf-8")
    own.chmod(0o600)
    return run([*_HAUSERPY, "sync", "-q", "-c", str(own)], sample=sample)


def end_to_end(
    bodies: Sequence[Body], workers: int, *, rate: int = 0, sample: bool = False
) -> Cost:
    with tempfile.TemporaryDirectory() as name:
        paths = [str(body.path) for body in bodies]
        with served(Path(name), paths, rate=rate) as config:
            return sync(config, workers, sample=sample)


def streamed(json_bytes: int, workers: int) -> Cost:
    """One bundle of so many bytes that nobody ever holds, with its peak of memory."""
    with (
        tempfile.TemporaryDirectory() as name,
        served(Path(name), ["--stream", str(json_bytes)]) as config,
    ):
        return sync(config, workers, sample=True)


@dataclass(frozen=True)
class Overlap:
    """Seconds: of the sync alone from a mock without limit, of serving alone at the rate that makes
    it take as long, and of both at once."""

    sync_alone: float
    serving_alone: float
    both: float

    @property
    def ratio(self) -> float:
        return self.both / max(self.sync_alone, self.serving_alone)


def overlap(bodies: Sequence[Body], workers: int) -> Overlap:
    alone = end_to_end(bodies, workers).seconds
    rate = int(sum(body.gzip_bytes for body in bodies) / alone)
    both = end_to_end(bodies, workers, rate=rate).seconds
    return Overlap(alone, _download(bodies, rate), both)


def _download(bodies: Sequence[Body], rate: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        paths = [str(body.path) for body in bodies]
        with served(Path(name), paths, rate=rate) as config:
            told = tomllib.loads(config.read_text(encoding="utf-8"))
            headers = {"Authorization": f"Basic {told['FsApiToken']}"}
            base = told["ApiURL"]
            request = urllib.request.Request(f"{base}/export/list?start=0", headers=headers)
            with urllib.request.urlopen(request) as answer:
                exports = json.load(answer)["exports"]
            began = time.perf_counter()
            for export in exports:
                url = f"{base}/export/get?id={export['Id']}"
                with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as body:
                    while body.read(1 << 18):
                        pass
            return time.perf_counter() - began


@dataclass(frozen=True)
class Starts:
    """CPU seconds, user and system, median of several."""

    help: float
    nothing_due: float


def starts(body: Body, runs: int) -> Starts:
    help_cpu = median(run([*_HAUSERPY, "--help"]).cpu_seconds for _ in range(runs))
    with tempfile.TemporaryDirectory() as name, served(Path(name), [str(body.path)]) as config:
        sync(config, 1)
        idle = median(sync(config, 1).cpu_seconds for _ in range(runs))
    return Starts(help_cpu, idle)
