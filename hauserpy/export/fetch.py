"""One bundle from the wire into a sink, whole: a download that was cut starts again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from hauserpy import disk
from hauserpy.errors import ApiUnavailable
from hauserpy.export.retry import Again, Patience
from hauserpy.export.source import BundleTooSlow, Source, SourceClosed
from hauserpy.model import Bundle
from hauserpy.waiting import Timing

if TYPE_CHECKING:
    from hauserpy.config import Settings


class Sink(Protocol):
    """Where the bytes go: a spool on disk."""

    def restart(self) -> None:
        """Throw away what was written: the bundle begins again at its first byte."""
        ...

    def write(self, chunk: bytes) -> None:
        """Take the next bytes, all of them. May raise OSError, and HauserpyError of its own."""
        ...


Progress = Callable[[int, int | None], None]
"""Called with (bytes so far, bytes in all or None) after each chunk; the first number falls when a
download starts again."""


def fetch(
    source: Source,
    bundle: Bundle,
    sink: Sink,
    settings: Settings,
    *,
    timing: Timing | None = None,
    progress: Progress | None = None,
) -> int:
    """Copy the body of ``bundle`` into ``sink``; returns its length in bytes.

    A body that breaks off is asked for again, after ``sink.restart()``, up to BackoffStepsMax times
    in all with full jitter between them. What `Source.open` raises was retried there, and passes
    through; so do BundleTooSlow and SourceClosed. When this returns, the sink holds one whole body, as
    far as the transport can tell; when it raises, what the sink holds is worthless.

    Raises what `Source.open` does, and for an OSError of the sink what `hauserpy.disk` makes of it.
    """
    timing = timing or Timing()
    patience = Patience(settings.backoff.total_seconds(), settings.backoff_steps_max, timing.sleep)
    dirty = False

    def attempt() -> int:
        nonlocal dirty
        got = 0
        with source.open(bundle) as body:
            if dirty:
                _into(sink.restart, bundle)
            dirty = True
            try:
                for chunk in body:
                    _into(partial(sink.write, chunk), bundle)
                    got += len(chunk)
                    if progress is not None:
                        progress(got, body.total)
            except (BundleTooSlow, SourceClosed):
                raise
            except ApiUnavailable as error:
                raise Again(error.reason.rstrip(".")) from error
            if not got and body.total is None:
                # The client takes headers that break off for whole, and what follows for nothing.
                raise Again(f"bundle {bundle}: the answer ended before its first byte")
        return got

    return patience.run(attempt, "")


def _into(act: Callable[[], None], bundle: Bundle) -> None:
    with disk.explained(f"bundle {bundle} cannot be spooled", setting="TmpDir"):
        act()
