"""Standard streams that cannot stop a load: what is said is worth less than what is done."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from hauserpy.errors import DiskFull

_ESCAPING = "hauserpy.escaping"


def steady() -> None:
    """Put streams in place that hold out when whoever listens goes away.

    A stream that was closed from the start is as good as ``/dev/null``. Talk on stderr is lost
    where it cannot be written. A reader of stdout that leaves (``| head -1``) has seen enough, and
    the run's own exit code stands; data that cannot be written for another reason is DiskFull.
    A character that the stream's encoding lacks is written as JSON escapes it: ``\\u2713``.
    """
    codecs.register_error(_ESCAPING, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPING)
    sys.stdout = cast("Any", _Steady(sys.stdout, talk=False))
    sys.stderr = cast("Any", _Steady(sys.stderr, talk=True))


class _Steady:
    """A text stream in front of another one, whose attributes it has."""

    def __init__(self, stream: IO[str] | None, *, talk: bool) -> None:
        self._stream = stream if stream is not None else _nowhere()
        self._talk = talk
        self._failure: DiskFull | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        # click tries a stream with nothing before it writes, and hides what that raises.
        if self._failure is not None:
            raise self._failure
        try:
            return self._stream.write(text)
        except (OSError, ValueError) as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def _give_up(self, error: OSError | ValueError) -> None:
        broken, self._stream = self._stream, _nowhere()
        with suppress(OSError, ValueError):
            # What it still holds would be complained about while Python shuts down.
            os.dup2(self._stream.fileno(), broken.fileno())
        if not self._talk and not isinstance(error, BrokenPipeError):
            self._failure = DiskFull(
                f"stdout cannot be written ({error}); what was loaded stays loaded.",
                "Make room where it leads to.",
            )
            raise self._failure from error


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    units = (lacking[n : n + 2].hex() for n in range(0, len(lacking), 2))
    return "".join(f"\\u{unit}" for unit in units), error.end


def _nowhere() -> IO[str]:
    # Never closed: it lives as long as the process.
    return Path(os.devnull).open("w", encoding="utf-8")
