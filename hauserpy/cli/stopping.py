"""SIGINT and SIGTERM where no run is under way that ends gently: told, and obeyed at once.

An exception is not enough for that: raised in the middle of an import, where short commands spend
most of their time, it may be swallowed or become another one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from hauserpy.cli.answer import answer
from hauserpy.cli.names import named_in
from hauserpy.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], None]


class Stopped(BaseException):
    """Ends what is tidied up on the way out."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signum)


def at_once(arguments: Sequence[str]) -> None:
    """From here on, let a signal end the process, with what the command line's reader is told."""

    def end(signum: int, _frame: FrameType | None) -> None:
        os._exit(tell(signum, arguments))

    _handle(end)


def never() -> None:
    """From here on, let no signal change what has come of the command."""
    _handle(signal.SIG_IGN)


@contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Let both signals call ``handler`` inside."""
    before = _handle(handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def tidily() -> Iterator[None]:
    """Let the first signal raise Stopped, so that what was made inside is removed."""
    seen: list[int] = []

    def stop(signum: int, _frame: FrameType | None) -> None:
        if seen:
            os._exit(128 + signum)
        seen.append(signum)
        raise Stopped(signum)

    with handled_by(stop):
        yield


def tell(signum: int, arguments: Sequence[str]) -> int:
    """Say that a signal ended the command, also as the JSON that was asked for; its exit code."""
    error = Interrupted(signum)
    # Not by Python's own streams, which may be in the middle of writing.
    with suppress(OSError):
        os.write(2, f"hauserpy: error: {error}\n".encode())
    if "--json" in arguments:
        with suppress(OSError):
            os.write(1, f"{answer(named_in(arguments), {}, error)}\n".encode())
    return error.exit_code


def _handle(handler: Handler | signal.Handlers) -> dict[signal.Signals, Any]:
    """Set the handler of both; what they had before."""
    return {number: signal.signal(number, handler) for number in _SIGNALS}
