"""Runs a command of hauserpy again and again, and lets it die at each change that it makes to disk.

Started by `test_crash` as a process of its own without threads, so that each run is a fork with
everything imported. Every change (open for write, write, fsync, rename, chmod, unlink, mkdir, rmdir)
below the base folder is a *point*, named after what is done to which file for the how-manieth time,
so that points are the same whatever order threads take. A first run collects the points and the
state that an uninterrupted run leaves; then, for each point, a run on a fresh copy ends there and a
plain rerun must reach the same state.

Job on stdin, report on stdout, both JSON.
"""

from __future__ import annotations

import builtins
import errno
import gc
import io
import json
import os
import re
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauserpy.cli.group import run
from hauserpy.config import load
from hauserpy.destinations.local import Local

_OWNER = re.compile(r"hauserpy~[^/]+")
_TEMP = re.compile(r"\.\d+\.tmp")


@dataclass(frozen=True)
class Job:
    base: Path
    """Everything is below it: ``data`` is SaveDir, ``tmp`` is TmpDir, ``config.toml``."""
    before: Path | None
    """What SaveDir holds when a run begins; None: it does not exist."""
    argv: list[str]
    end: str
    """``kill``: SIGKILL, a write half done. ``error``: the call fails, a write half done."""


class Points:
    """Wraps the calls that change the disk; at the point named, the process ends or the call
    fails."""

    def __init__(self, base: Path, at: str | None, end: str) -> None:
        self.seen: list[str] = []
        self._base = str(base) + os.sep
        self._at = at
        self._end = end
        self._times: Counter[str] = Counter()
        self._paths: dict[int, str] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        real_open, real_close, real_io_open = os.open, os.close, io.open

        def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            place = self._place(path, dir_fd)
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._reach("open", place)
            fd = real_open(path, flags, mode, dir_fd=dir_fd)
            self._paths[fd] = place
            return fd

        def close(fd: int) -> None:
            self._paths.pop(fd, None)
            real_close(fd)

        os.open, os.close = open_, close
        for name in ("rename", "replace", "unlink", "remove", "mkdir", "rmdir", "chmod"):
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        os.write = self._writing(os.write)
        os.fsync = self._syncing(os.fsync)
        points = self

        class Counted(io.FileIO):
            def write(self, data: Any) -> Any:
                place = points._place(points._paths.get(self.fileno(), self.name), None)
                half = bytes(data)[: len(data) // 2]
                points._reach("write", place, half=lambda: super(Counted, self).write(half))
                return super().write(data)

            def truncate(self, size: int | None = None) -> int:
                points._reach("truncate", points._place(self.name, None))
                return super().truncate(size)

        def io_open(
            file: Any, mode: str = "r", buffering: int = -1, *args: Any, **named: Any
        ) -> Any:
            if "b" not in mode or not set(mode) & set("wxa+"):
                return real_io_open(file, mode, buffering, *args, **named)
            if not isinstance(file, int):
                self._reach("open", self._place(file, None))
            raw = Counted(file, mode.replace("b", ""))
            return raw if buffering == 0 else io.BufferedWriter(raw)

        io.open = builtins.open = io_open

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **named: Any) -> Any:
            places = [self._place(path, named.get("dir_fd") or named.get("src_dir_fd"))]
            if name in ("rename", "replace"):
                places.append(self._place(args[0], None))
            self._reach(name, *places)
            return real(path, *args, **named)

        return call

    def _writing(self, real: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
        def write(fd: int, data: Any) -> int:
            half = bytes(data)[: len(data) // 2]
            self._reach("write", self._paths.get(fd, ""), half=lambda: real(fd, half))
            return real(fd, data)

        return write

    def _syncing(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(fd: int) -> None:
            self._reach("fsync", self._paths.get(fd, "") or os.readlink(f"/proc/self/fd/{fd}"))
            real(fd)

        return fsync

    def _place(self, path: Any, dir_fd: int | None) -> str:
        if isinstance(path, int):
            return self._paths.get(path, "")
        text = os.fsdecode(path)
        if dir_fd is not None and dir_fd in self._paths:
            text = os.path.join(self._paths[dir_fd], text)
        return os.path.abspath(text)

    def _reach(self, call: str, *places: str, half: Callable[[], Any] | None = None) -> None:
        if not places[0].startswith(self._base):
            return
        named = [_TEMP.sub(".tmp", _OWNER.sub("OWNER", p[len(self._base) :])) for p in places]
        what = f"{call} {' to '.join(named)}"
        with self._lock:
            self._times[what] += 1
            point = f"{what} #{self._times[what]}"
            self.seen.append(point)
        if point != self._at:
            return
        if half is not None:
            half()
        if self._end == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        code = errno.EIO if call in ("unlink", "remove", "rmdir") else errno.ENOSPC
        raise OSError(code, os.strerror(code), places[0])


def forked(job: Job, at: str | None, *, watched: bool) -> tuple[int, str, list[str]]:
    """Run the command in a fork: (exit code or minus the signal, what it told, its points)."""
    told, points_file = job.base / "told", job.base / "points"
    points_file.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        code = 70
        try:
            out = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            points = Points(job.base, at, job.end)
            if watched:
                points.install()
            code = run(job.argv)
            sys.stdout.flush()
            sys.stderr.flush()
            if watched and at is None:
                seen = list(points.seen)
                points_file.write_text(json.dumps(seen))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    seen = json.loads(points_file.read_text()) if points_file.exists() else []
    return code, told.read_text(), seen


def begin(job: Job) -> None:
    for name in ("data", "tmp"):
        shutil.rmtree(job.base / name, ignore_errors=True)
    if job.before is not None:
        shutil.copytree(job.before, job.base / "data")


def state(job: Job) -> dict[str, str]:
    """Every file and folder of SaveDir and TmpDir, but for what differs between any two runs."""
    found = {}
    for root in (job.base / "data", job.base / "tmp"):
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(job.base))
            found[name] = "folder" if path.is_dir() else path.read_bytes().hex()
            if path.name == "ledger.json":
                found[name] = json.dumps(_ledger(path))
    return found


def _ledger(path: Path) -> Any:
    ledger = json.loads(path.read_text())
    for entry in ledger["entries"]:
        entry["load"] = entry["loaded_at"] = ""
    return ledger


def data_files(job: Job) -> dict[str, bytes]:
    """What a reader of SaveDir sees: the files under their final names."""
    folder = job.base / "data"
    if not folder.is_dir():
        return {}
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".csv", ".jsonl")}


def harm(job: Job, whole: list[dict[str, bytes]]) -> str:
    """What is wrong with what the dead run left, seen by whoever reads it before any rerun."""
    for name, data in data_files(job).items():
        if data not in [version[name] for version in whole if name in version]:
            return f"{name} is neither the old file nor the new one"
    os.environ.pop("FULLSTORY_API_TOKEN", None)
    destination = Local(load(job.base / "config.toml", {}))
    claimed = sum(len(entry.files) for entry in destination._read().entries)
    there = sum(len(entry.files) for entry in destination.ledger().entries)
    if claimed != there:
        return f"the ledger claims {claimed} files, {there} are there"
    return ""


def tried(job: Job, point: str, whole: list[dict[str, bytes]], goal: dict[str, str]) -> str:
    """End a run at that point and run again; what went wrong, or nothing."""
    begin(job)
    code, told, _ = forked(job, point, watched=True)
    if job.end == "kill" and code not in (-signal.SIGKILL, 0):
        return f"exit code {code}: {told}"
    if job.end == "error" and (code not in (0, 4) or "Traceback" in told or "bug" in told):
        return f"exit code {code}: {told}"
    if wrong := harm(job, whole):
        return wrong
    code, told, _ = forked(job, None, watched=False)
    if code != 0:
        return f"the rerun ended with {code}: {told}"
    ended = state(job)
    names = [n for n in {*goal, *ended} if goal.get(n) != ended.get(n)]
    return "" if not names else f"after the rerun these differ: {sorted(names)}"


def warm_up(job: Job) -> None:
    """Run once in this process, so that no fork has to import and to cache what all of them need."""
    begin(job)
    with (job.base / "told").open("w") as told, redirect_stdout(told), redirect_stderr(told):
        run(job.argv)
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(10)
    if threading.active_count() != 1:
        raise RuntimeError("a fork now would be one of a process with threads")
    # A collection in a fork would copy every page.
    gc.disable()
    gc.freeze()


def main() -> None:
    given = json.load(sys.stdin)
    before = given["before"] and Path(given["before"])
    job = Job(Path(given["base"]), before, given["argv"], given["end"])
    warm_up(job)
    begin(job)
    whole = [data_files(job)]
    code, told, points = forked(job, None, watched=True)
    if code != 0:
        json.dump({"points": 0, "failures": {"uninterrupted": told}}, sys.stdout)
        return
    goal = state(job)
    whole.append(data_files(job))
    failures = {p: wrong for p in points if (wrong := tried(job, p, whole, goal))}
    json.dump({"points": len(points), "names": points, "failures": failures}, sys.stdout)


if __name__ == "__main__":
    main()
