"""A worker process: converts batches until the parent closes the pipe.

Run by `hauserpy.pipeline.pool` with two inherited file descriptors: a socket for messages, and the
memory that batches and their results travel through.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from dataclasses import replace
from typing import NamedTuple

from hauserpy.decode.form import Form
from hauserpy.decode.records import Unproved
from hauserpy.decode.split import Batch
from hauserpy.errors import HauserpyError
from hauserpy.pipeline.convert import Converted, Converter, Crowded, Job
from hauserpy.pipeline.memory import Slots
from hauserpy.pipeline.pipe import Pipe

IGNORED = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C reaches every process of the terminal, and a service manager's SIGTERM every one of the
service; the parent decides what becomes of it. Blocked by it until they are ignored."""


class NewJob(NamedTuple):
    """The tasks that follow are of another bundle, whose records may have this form."""

    job: Job
    form: Form | None


class Task(NamedTuple):
    """``text`` is None where the slot holds it. (Tuples are cheaper to send than dataclasses.)"""

    slot: int
    length: int
    text: bytes | None
    offset: int
    last: bool
    separator: bytes


class Answer(NamedTuple):
    """``result.data`` is empty where the slot holds it, ``length`` bytes long."""

    slot: int
    length: int | None
    result: Converted | Unproved | Crowded | HauserpyError


def main(pipe: Pipe, slots: Slots) -> None:
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    # Rows hold no cycles, and the collector costs a fifth of the parsing.
    gc.freeze()
    gc.disable()
    converter: Converter | None = None
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        if isinstance(message, NewJob):
            own = None if converter is None else converter.reader.form
            converter = Converter(message.job, own or message.form)
            # The one before it refers to itself, and remembers much.
            gc.collect()
            continue
        assert converter is not None
        try:
            pipe.send(_answer(converter, message, slots))
        except OSError:
            return


def _answer(converter: Converter, task: Task, slots: Slots) -> Answer:
    text = slots.get(task.slot, task.length) if task.text is None else task.text
    try:
        made = converter.convert(Batch(text, task.offset, task.last, task.separator))
    except (Unproved, Crowded, HauserpyError) as error:
        return Answer(task.slot, None, error)
    except Exception as error:  # the parent tells, whatever it is
        problem = f"a worker failed unexpectedly ({type(error).__name__}: {error})."
        return Answer(task.slot, None, HauserpyError(problem, "Please report this as a bug."))
    # Raw text that needs no change is in its slot already.
    if made.data is text and task.text is None:
        return Answer(task.slot, len(text), replace(made, data=b""))
    if slots.put(task.slot, made.data):
        return Answer(task.slot, len(made.data), replace(made, data=b""))
    return Answer(task.slot, None, made)


def run() -> None:
    """The process's entry: ``PIPE MEMORY SLOTS SIZE`` are its arguments."""
    pipe, memory, count, size = map(int, sys.argv[1:])
    main(Pipe(pipe), Slots(memory, count, size))
    # There is nothing to put away, and taking every module apart is a tenth of a worker's start.
    os._exit(0)
