"""Child processes, and what they and all of theirs cost: CPU time and resident memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class Cost:
    """Of a process with all its descendants. ``peak_mb``: the greatest sum of their proportional
    set sizes (PSS: memory that several share counts once), looked at every 20 ms; None when nobody
    looked. Where /proc has no PSS the resident set sizes are added, which counts shared memory
    more than once."""

    output: str
    seconds: float
    cpu_seconds: float
    peak_mb: float | None


def run(command: Sequence[str], *, sample: bool = False, cwd: Path | None = None) -> Cost:
    """Run to the end. Raises RuntimeError with what it wrote to stderr when it fails.

    Sampling takes a few per cent of a core, so that speed and memory are measured in separate runs.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=cwd)
        over = threading.Event()
        peaks: list[float] = [0.0]
        watcher = threading.Thread(target=_watch, args=(process.pid, over, peaks))
        if sample:
            watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        # The process is reaped already, which Popen must be told.
        process.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        if sample:
            watcher.join()
        out.seek(0)
        err.seek(0)
        if process.returncode:
            told = err.read().decode(errors="replace")
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{told}")
        return Cost(
            out.read().decode(),
            seconds,
            usage.ru_utime + usage.ru_stime,
            peaks[0] if sample else None,
        )


def _watch(pid: int, over: threading.Event, peaks: list[float]) -> None:
    while not over.wait(_SAMPLE_SECONDS):
        peaks[0] = max(peaks[0], sum(map(_resident_mb, _tree(pid))))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue  # it ended meanwhile
    return found


def _resident_mb(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6
    except OSError:
        return 0.0


_PAGE = os.sysconf("SC_PAGE_SIZE")
