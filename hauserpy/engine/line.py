"""The assembly line: while one bundle loads, the next is staged and the one after it fetched.

Loads stay in order, and memory and disk are bounded: no more bundles than these three are spooled or
staged.
"""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauserpy import disk
from hauserpy.engine.report import Reporter
from hauserpy.errors import CorruptBundle, HauserpyError, WorkerDied
from hauserpy.layout import Layout
from hauserpy.ledger import Step
from hauserpy.model import Bundle, Staged, rfc3339
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Spool
from hauserpy.pipeline.stage import Progress, empty_folder, stage
from hauserpy.waiting import Waiter

_PLACES = 3
_LOOK_SECONDS = 0.1
"""How often a waiting thread looks whether the run is over."""

Fetch = Callable[[Step, Spool], None]
"""Download the step's bundle into the spool; see `hauserpy.export.fetch`."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A step whose rows are staged. ``done`` gives its disk space back."""

    step: Step
    staged: Staged
    done: Callable[[], None]


class Over(Exception):
    """The run ended while a thread was at work; nobody looks at what it made."""


class Line:
    """Runs steps through fetch and stage; iterate over it for what is ready to load.

    An error of any stage is raised at the place in the order where its bundle would have come.
    """

    def __init__(
        self,
        steps: Iterator[Step],
        fetch: Fetch,
        *,
        announce: Callable[[Bundle], None],
        layout: Layout,
        most_record_bytes: int,
        folder: Path,
        pool: Pool,
        reporter: Reporter,
        stop: Waiter,
    ) -> None:
        self._steps = steps
        self._fetch = fetch
        self._announce = announce
        self._layout = layout
        self._most_record_bytes = most_record_bytes
        self._folder = folder
        self._pool = pool
        self._reporter = reporter
        self._stop = stop
        self._over = threading.Event()
        self._places = threading.Semaphore(_PLACES)
        self._spooled: queue.Queue[tuple[Step, Spool] | BaseException | None] = queue.Queue()
        self._ready: queue.Queue[Ready | BaseException | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._fetching, name="fetch", daemon=True),
            threading.Thread(target=self._staging, name="stage", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[Ready]:
        while True:
            item = self._take(self._ready)
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """End the threads; one that hangs in a download is left behind, and ends with the process."""
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def _take(self, line: queue.Queue[Any]) -> Any:
        while True:
            self._stop(0)
            with suppress(queue.Empty):
                return line.get(timeout=_LOOK_SECONDS)

    def _fetching(self) -> None:
        try:
            for number, step in enumerate(self._looking_ahead()):
                while not self._places.acquire(timeout=_LOOK_SECONDS):
                    self._check()
                self._check()
                self._fetch_one(number, step)
            self._spooled.put(None)
        except BaseException as error:
            self._spooled.put(error)

    def _looking_ahead(self) -> Iterator[Step]:
        """The steps, each one announced to the API while the one before it is fetched."""
        step = next(self._steps, None)
        if step is not None:
            self._announce(step.bundle)
        while step is not None:
            try:
                following = next(self._steps, None)
            except HauserpyError:
                # The plan breaks off behind this step, whose turn comes first.
                yield step
                raise
            if following is not None:
                self._announce(following.bundle)
            yield step
            step = following

    def _fetch_one(self, number: int, step: Step) -> None:
        self._reporter.began(step.bundle)
        with disk.explained(f"bundle {step.bundle.id} cannot be spooled to {self._folder}"):
            spool = _Watched(self._folder / f"spool-{number}", self._check)
        self._spooled.put((step, spool))
        try:
            self._fetch(step, spool)
            spool.finish()
        except BaseException as error:
            spool.fail(error)
            raise

    def _staging(self) -> None:
        try:
            number = 0
            while True:
                item = self._spooled.get()
                if item is None or isinstance(item, BaseException):
                    self._ready.put(item)
                    return
                self._ready.put(self._stage_one(number, *item))
                number += 1
        except BaseException as error:
            self._ready.put(error)

    def _stage_one(self, number: int, step: Step, spool: Spool) -> Ready:
        bundle = step.bundle

        def progress(so_far: Progress) -> None:
            self._check()
            self._reporter.staged(bundle, so_far.records, so_far.bytes, so_far.read)

        job = Job(self._layout, step.window, step.clip, self._most_record_bytes)
        try:
            with disk.explained(f"bundle {bundle.id} cannot be staged in {self._folder}"):
                folder = empty_folder(self._folder / f"parts-{number}")
                staged = stage(spool, job, folder, self._pool, progress)
        except CorruptBundle as error:
            start, stop = rfc3339(bundle.window.start), rfc3339(bundle.window.stop)
            raise error.of(str(bundle), start, stop) from error
        except WorkerDied as error:
            raise WorkerDied(f"bundle {bundle}: {error.reason}", error.instruction) from error
        finally:
            with suppress(OSError):
                spool.close()

        def done() -> None:
            # What cannot be removed now goes with the run's folder, or with the next run's sweep.
            shutil.rmtree(folder, ignore_errors=True)
            self._places.release()

        return Ready(step, staged, done)

    def _check(self) -> None:
        if self._over.is_set():
            raise Over
        self._stop(0)


class _Watched(Spool):
    """A spool that ends a download when the run is over."""

    def __init__(self, path: Path, check: Callable[[], None]) -> None:
        super().__init__(path)
        self._check = check

    def write(self, chunk: bytes) -> None:
        self._check()
        super().write(chunk)
