"""Where the time goes: CPU seconds of each stage for 100 MB of JSON text, in one process."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hauserpy.decode.gunzip import gunzip
from hauserpy.decode.pattern import Pattern
from hauserpy.decode.reader import Reader
from hauserpy.decode.scenes import Cutter
from hauserpy.decode.split import split
from hauserpy.mockapi.synthetic import END
from hauserpy.model import BEGINNING, Window
from hauserpy.pipeline import convert
from hauserpy.pipeline.convert import Converter, Job
from tests.benchmarks.bounds import pieces
from tests.benchmarks.cases import LAYOUTS

_T = TypeVar("_T")
_MOST_RECORD_BYTES = 16 << 20
_INSIDE: dict[str, tuple[Any, str]] = {
    "cut": (Cutter, "cut"),
    "match": (Pattern, "columns"),
    "parse": (Reader, "read"),
    "deflate": (convert, "deflate"),
    "sum": (convert, "crc32"),
}
"""Stages inside the conversion, and the functions that they are. What is left of it is "copy"."""


class _Stopwatch:
    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def __call__(self, stage: str, work: Callable[..., _T], *given: Any) -> _T:
        began = time.process_time()
        try:
            return work(*given)
        finally:
            self.seconds[stage] += time.process_time() - began

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let the stages inside the conversion be timed as well."""
        before = {stage: getattr(*place) for stage, place in _INSIDE.items()}
        try:
            for stage, (owner, name) in _INSIDE.items():
                setattr(owner, name, _timed(self, stage, before[stage]))
            yield
        finally:
            for stage, (owner, name) in _INSIDE.items():
                setattr(owner, name, before[stage])


def _timed(watch: _Stopwatch, stage: str, work: Callable[..., _T]) -> Callable[..., _T]:
    # A function, so that it is bound to an object where it stands for a method.
    return lambda *given: watch(stage, work, *given)


def measure(body: Path, form: str) -> dict[str, float]:
    """``{stage: CPU seconds for 100 MB}``, in the order of the stages."""
    layout = LAYOUTS[form]
    converter = Converter(Job(layout, Window(BEGINNING, END), None, _MOST_RECORD_BYTES))
    watch = _Stopwatch()
    json_bytes = 0

    def counted() -> Iterator[bytes]:
        nonlocal json_bytes
        text = gunzip(pieces(body))
        while chunk := watch("gunzip", next, text, None):
            json_bytes += len(chunk)
            yield chunk

    batches = split(counted(), most_bytes=_MOST_RECORD_BYTES)
    collects = gc.isenabled()
    gc.disable()
    try:
        with tempfile.TemporaryFile(buffering=0) as out, watch.inside():
            while batch := watch("split", next, batches, None):
                data = watch("copy", converter.convert, batch).data
                watch("write", os.write, out.fileno(), data)
    finally:
        if collects:
            gc.enable()
    # The border is looked for while the text is unpacked.
    watch.seconds["split"] -= watch.seconds["gunzip"]
    watch.seconds["copy"] -= sum(watch.seconds[stage] for stage in _INSIDE)
    order = ("gunzip", "split", "cut", "match", "copy", "parse", "deflate", "sum", "write")
    return {s: watch.seconds[s] / json_bytes * 1e8 for s in order if watch.seconds[s]}
