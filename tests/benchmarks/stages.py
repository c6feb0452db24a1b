"""Where the time goes: CPU seconds of each stage for 100 MB of JSON text, in one process."""

from __future__ import annotations

import gc
import hashlib
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from hauserpy.decode.gunzip import gunzip
from hauserpy.decode.reader import Reader
from hauserpy.decode.split import split
from hauserpy.mockapi.synthetic import END
from hauserpy.model import BEGINNING, Compression, StageFormat, Window
from hauserpy.staging import encoder_for
from hauserpy.staging.gzip import deflate
from hauserpy.transform import Transformer, fields_of
from tests.benchmarks.cases import LAYOUTS

_MOST_RECORD_BYTES = 16 << 20
_READ = 1 << 18
_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Stopwatch:
    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def __call__(
        self, stage: str, work: Callable[_P, _T], *given: _P.args, **named: _P.kwargs
    ) -> _T:
        began = time.process_time()
        made = work(*given, **named)
        self.seconds[stage] += time.process_time() - began
        return made


def measure(body: Path, form: str) -> dict[str, float]:
    """``{stage: CPU seconds for 100 MB}``, in the order of the stages; not for ``raw``."""
    layout = LAYOUTS[form]
    if layout.format is StageFormat.RAW:
        raise ValueError("raw bundles are copied; they have no stages of their own")
    reader = Reader(frozenset(fields_of(layout.columns)), _MOST_RECORD_BYTES, cuts=True)
    transformer = Transformer(layout, Window(BEGINNING, END))
    encoder = encoder_for(layout)
    deflates = layout.compression is Compression.GZIP
    watch = _Stopwatch()
    digest = hashlib.sha256()
    json_bytes = 0

    def counted() -> Iterator[bytes]:
        nonlocal json_bytes
        text = gunzip(_pieces(body))
        while chunk := watch("gunzip", next, text, None):
            json_bytes += len(chunk)
            yield chunk

    batches = split(counted(), most_bytes=_MOST_RECORD_BYTES)
    collects = gc.isenabled()
    gc.disable()
    try:
        with tempfile.TemporaryFile(buffering=0) as out:
            while batch := watch("split", next, batches, None):
                records = watch("parse", reader.read, batch)
                rows = watch("columns", transformer.rows, records)
                data = watch("encode", encoder.encode, rows)
                if deflates:
                    data = watch("deflate", deflate, data).data
                watch("hash", digest.update, data)
                watch("write", os.write, out.fileno(), data)
                # What is held by nobody else goes in these calls.
                held = [records, rows]
                del records, rows
                watch("free", held.clear)
    finally:
        if collects:
            gc.enable()
    # The border is looked for while the text is unpacked.
    watch.seconds["split"] -= watch.seconds["gunzip"]
    order = ("gunzip", "split", "parse", "columns", "encode", "deflate", "free", "hash", "write")
    return {s: watch.seconds[s] / json_bytes * 1e8 for s in order if s in watch.seconds}


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as body:
        while data := body.read(_READ):
            yield data
