"""Worker processes for the conversion of batches, and the order of their results."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from hauserpy.config.settings import available_cores
from hauserpy.decode.form import Form
from hauserpy.decode.records import Unproved
from hauserpy.decode.split import BATCH_BYTES, Stretch
from hauserpy.errors import CorruptBundle, HauserpyError, RecordTooLarge, WorkerDied
from hauserpy.layout import StageFormat
from hauserpy.pipeline.convert import MOST_RECORDS, Converted, Converter, Crowded, Job
from hauserpy.pipeline.guarded import Guarded
from hauserpy.pipeline.memory import Slots
from hauserpy.pipeline.pipe import Pipe
from hauserpy.pipeline.worker import IGNORED, Answer, NewJob, Task

_SLOT_BYTES = 2 * BATCH_BYTES
_SLOTS_A_WORKER = 3
"""One that it works on, one that waits for it, one whose result waits for its turn."""
_LEAST_BYTES = 1 << 13
"""Of a batch that is divided; no more than `MOST_RECORDS` records fit into it."""
_FEW_BATCHES = 4
"""Learning the form of records takes longer than it saves in no more than these."""
_INLINE_BATCHES = 12
"""So many are done before workers would have started."""

_PARTING_SECONDS = 10.0
"""A worker ends as soon as its batch is done."""

_RUN = "import gc; gc.disable(); from hauserpy.pipeline.worker import run; run()"
"""Imports make no rubbish to be collected."""


_Result = Converted | Unproved | Crowded | HauserpyError


@dataclass(slots=True)
class _Ticket:
    """A batch on its way; ``result`` comes when it is done.

    Its bytes are then the first ``length`` of ``slot``, or the result's own when there is none.
    """

    stretch: Stretch
    result: _Result | None = None
    slot: int | None = None
    length: int = 0


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    pipe: Pipe
    tickets: dict[int, _Ticket] = field(default_factory=dict)
    """What it was given, by slot."""
    job: Job | None = None


class Pool:
    """``workers`` processes, started when there is enough for them to do, and kept.

    With one worker there is still a process of its own for large bundles, so that the parent's
    thread that downloads is not held up. Of small bundles some batches are done here, ``inline`` at
    most, then those of few batches; with no workers all are. Not for use from several threads at
    once.
    """

    def __init__(self, workers: int, *, inline: int = _INLINE_BATCHES) -> None:
        self._count = workers
        self._inline = inline
        self._workers: list[_Worker] = []
        self._slots: Slots | None = None
        self._free: list[int] = []
        self._ready: selectors.BaseSelector | None = None
        self._form: Form | None = None
        """Of records that were converted here."""
        self._converted_here = 0
        """How many batches were."""

    def convert(
        self, job: Job, batches: Iterator[Stretch]
    ) -> Generator[tuple[Converted, bytes | memoryview]]:
        """Convert every batch of a bundle, results in order, borders proved.

        Yields each result and its bytes, which are good until the next one is asked for. A batch
        that does not parse is joined with the next one and done again; what was made of the next
        one is thrown away, since its beginning was not one. Raises CorruptBundle, or what the
        iterator of batches raises, once all before it is proved; WorkerDied.
        """
        source = Guarded(batches)
        queue: deque[_Ticket] = deque()
        mender: Converter | None = None
        try:
            here = self._converter(job, source) if self._is_small(source) else None
            workers = self._needed(job)
            room = workers * _SLOTS_A_WORKER if here is None else 1
            while True:
                while len(queue) < room and (stretch := source.next()) is not None:
                    ticket = _Ticket(stretch)
                    if here is None:
                        self._give(job, ticket, workers)
                    else:
                        ticket.result = _done_here(here, stretch)
                        self._form = here.reader.form or self._form
                        self._converted_here += 1
                    queue.append(ticket)
                if not queue:
                    break
                ticket = queue.popleft()
                result = self._result_of(ticket)
                if isinstance(result, Unproved):
                    mender = mender or Converter(job, self._form)
                    mended = self._mended(mender, job, ticket, queue, source, result)
                    queue.extendleft(reversed(mended))
                    continue
                if isinstance(result, Crowded):
                    yield from _by_smaller(job, ticket.stretch, result)
                    continue
                if isinstance(result, HauserpyError):
                    raise result
                try:
                    yield result, self._data_of(ticket, result)
                finally:
                    self._release(ticket)
            source.raise_its_error()
        finally:
            self._abandon(queue)

    def _needed(self, job: Job) -> int:
        """How many of the workers a job is given to. Of raw bundles the parent, which unpacks and
        writes, has as much to do as a worker that proves them, so that a core is left to it."""
        if job.layout.format is not StageFormat.RAW:
            return self._count
        return max(1, min(self._count, available_cores() - 1))

    def _is_small(self, source: Guarded) -> bool:
        """Whether a bundle is done before workers would have started."""
        if not self._count:
            return True
        if self._workers:
            return False
        left = max(self._inline - self._converted_here, min(self._inline, _FEW_BATCHES))
        return not source.has_more_than(left)

    def _converter(self, job: Job, source: Guarded) -> Converter:
        """For batches that are done here."""
        several = self._converted_here >= _FEW_BATCHES or source.has_more_than(_FEW_BATCHES)
        return Converter(job, self._form, learns=several)

    def _mended(
        self,
        mender: Converter,
        job: Job,
        ticket: _Ticket,
        queue: deque[_Ticket],
        source: Guarded,
        unproved: Unproved,
    ) -> list[_Ticket]:
        """The whole records of a batch that ends within one, and that one with what follows it, so
        that no more is held than a record and a batch."""
        record_at = unproved.offset - ticket.stretch.offset
        if ticket.stretch.size - record_at > job.most_record_bytes:
            raise RecordTooLarge.than(job.most_record_bytes, offset=unproved.offset)
        whole, open_ = ticket.stretch.cut(record_at) or (None, ticket.stretch)
        # Twice as much each time: one by one, a record of many batches would be parsed as often.
        enough = 2 * open_.size
        joined = open_
        while joined.size < enough:
            stretch = self._following(queue, source)
            if stretch is None:
                break
            joined = joined.joined(stretch)
        if joined is open_:
            source.raise_its_error()
            raise CorruptBundle("the array is cut short", offset=unproved.offset)
        parts = [joined] if whole is None else [whole, joined]
        return [_Ticket(part, _done_here(mender, part)) for part in parts]

    def _following(self, queue: deque[_Ticket], source: Guarded) -> Stretch | None:
        if not queue:
            return source.next()
        ticket = queue.popleft()
        # What was made of it counts for nothing.
        self._result_of(ticket)
        self._release(ticket)
        return ticket.stretch

    def _give(self, job: Job, ticket: _Ticket, workers: int) -> None:
        if not self._workers:
            self._start()
        slots = self._slots
        assert slots is not None
        stretch = ticket.stretch
        worker = min(self._workers[:workers], key=lambda w: len(w.tickets))
        # There is one for every ticket that the queue has room for.
        slot = self._free.pop()
        fits = slots.put(slot, *stretch.pieces)
        if not fits:
            # A long message to a worker that is itself sending one would wait for ever.
            while worker.tickets:
                self._collect()
        worker.tickets[slot] = ticket
        try:
            if worker.job is not job:
                worker.pipe.send(NewJob(job, self._form))
                worker.job = job
            worker.pipe.send(
                Task(
                    slot,
                    stretch.size,
                    None if fits else stretch.batch().text,
                    stretch.offset,
                    stretch.last,
                    stretch.separator,
                )
            )
        except OSError:
            self._died(worker)

    def _result_of(self, ticket: _Ticket) -> _Result:
        while ticket.result is None:
            self._collect()
        return ticket.result

    def _data_of(self, ticket: _Ticket, result: Converted) -> bytes | memoryview:
        if ticket.slot is None:
            return result.data
        assert self._slots is not None
        return self._slots.view(ticket.slot, ticket.length)

    def _release(self, ticket: _Ticket) -> None:
        """Let the ticket's slot be used again."""
        if ticket.slot is not None:
            self._free.append(ticket.slot)
            ticket.slot = None

    def _collect(self) -> None:
        """Take what the workers have ready; waits for one at least."""
        assert self._ready is not None
        for key, _ in self._ready.select():
            worker: _Worker = key.data
            try:
                answer: Answer = worker.pipe.recv()
            except (EOFError, OSError):
                self._died(worker)
            ticket = worker.tickets.pop(answer.slot)
            ticket.result = answer.result
            if answer.length is None:
                self._free.append(answer.slot)
            else:
                ticket.slot, ticket.length = answer.slot, answer.length

    def _died(self, worker: _Worker) -> NoReturn:
        code = worker.process.wait()
        self.close()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise WorkerDied(
            f"a worker process ended with {how}; nothing of the bundle was loaded.",
            "If the machine ran out of memory, set fewer Workers; then run again."
            if code == -signal.SIGKILL
            else "Run again; if it stays so, please report it.",
        )

    def _abandon(self, queue: deque[_Ticket]) -> None:
        """Wait for what is still on its way, so that no answer is taken for another's."""
        for ticket in queue:
            if self._workers:
                self._result_of(ticket)
                self._release(ticket)

    def _start(self) -> None:
        count = self._count * _SLOTS_A_WORKER
        self._slots = slots = Slots.create(count, _SLOT_BYTES)
        self._free = list(range(count))
        self._ready = selectors.DefaultSelector()
        for _ in range(self._count):
            ours, theirs = socket.socketpair()
            with theirs:
                numbers = (theirs.fileno(), slots.fd, slots.count, slots.size)
                # Inherited, so that none of them ends a worker before it has come to ignore them.
                before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
                try:
                    process = subprocess.Popen(
                        # -P: -c alone would look for modules in the current folder before all else.
                        [sys.executable, "-P", "-c", _RUN, *map(str, numbers)],
                        pass_fds=(theirs.fileno(), slots.fd),
                        stdin=subprocess.DEVNULL,
                        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                    )
                except OSError as error:
                    ours.close()
                    raise WorkerDied(
                        f"a worker process cannot be started ({error}).",
                        "Raise this user's limits (ulimit -a), or set fewer Workers; then run again.",
                    ) from error
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
            worker = _Worker(process, Pipe(ours.detach()))
            self._workers.append(worker)
            self._ready.register(worker.pipe, selectors.EVENT_READ, worker)

    def close(self) -> None:
        """End the workers; may be called twice, and the pool used again."""
        if self._ready is not None:
            self._ready.close()
            self._ready = None
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            try:
                worker.process.wait(_PARTING_SECONDS)
            except subprocess.TimeoutExpired:
                # It is stopped, or hangs in the system.
                worker.process.kill()
                worker.process.wait()
        self._workers = []
        if self._slots is not None:
            self._slots.close()
            self._slots = None


def _done_here(converter: Converter, stretch: Stretch) -> _Result:
    try:
        return converter.convert(stretch.batch())
    except (Unproved, Crowded) as told:
        # Its frames would keep what was parsed, and those of the results before this one.
        told.__traceback__ = told.__context__ = None
        return told
    except HauserpyError as error:
        return error


def _by_smaller(
    job: Job, stretch: Stretch, crowded: Crowded
) -> Generator[tuple[Converted, bytes | memoryview]]:
    """Convert the stretch here, one small batch after the other: the rows of all of it, in several
    processes at once, would fill the memory."""
    few = stretch.size * MOST_RECORDS // crowded.records // 2
    parts = stretch.divided(max(few, _LEAST_BYTES), most_bytes=job.most_record_bytes)
    yield from Pool(0).convert(job, parts)
