"""What no reader of gzip written in Python can beat, unpacking the same bodies and nothing else; and
what parsing their text takes."""

from __future__ import annotations

import gc
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from isal import isal_zlib

from hauserpy.decode.gunzip import gunzip
from hauserpy.decode.split import split
from tests.benchmarks.processes import run

_GZIP = 31
_READ = 1 << 18
_OUT = 1 << 20


@dataclass(frozen=True)
class Bound:
    """MB of JSON text a second, on one core."""

    zlib: float
    isal: float
    at_once: float
    """zlib, a whole body in one call: slower, since it also pays for the memory of all its text."""


def measure(paths: Sequence[Path]) -> Bound:
    return Bound(_rate(zlib, paths), _rate(isal_zlib, paths), _at_once(paths[0]))


def _at_once(path: Path) -> float:
    body = path.read_bytes()
    began = time.perf_counter()
    size = len(zlib.decompress(body, _GZIP))
    return size / 1e6 / (time.perf_counter() - began)


def parse(path: Path) -> float:
    """What orjson parses, text unpacked before, in batches as they are staged: MB a second."""
    size = 0
    seconds = 0.0
    collects = gc.isenabled()
    # A worker is without it as well.
    gc.disable()
    try:
        for batch in split(gunzip(pieces(path))):
            text = b"[%b]" % batch.text
            began = time.perf_counter()
            orjson.loads(text)
            seconds += time.perf_counter() - began
            size += len(text)
    finally:
        if collects:
            gc.enable()
    return size / 1e6 / seconds


def worth_of_two(path: Path) -> float:
    """What two processes at once unpack, as a multiple of what one does alone: more than this a
    second worker cannot bring on the machine, as busy as it is."""
    command = [sys.executable, "-m", "tests.benchmarks.bounds", str(path)]

    def rate() -> float:
        return float(run(command).output)

    alone = rate()
    with ThreadPoolExecutor(2) as both:
        at_once = [both.submit(rate) for _ in range(2)]
        return sum(one.result() for one in at_once) / alone


def pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as body:
        while data := body.read(_READ):
            yield data


def _rate(library: Any, paths: Sequence[Path]) -> float:
    # In pieces, as a stream would be: the higher bound of the two.
    size = 0
    began = time.perf_counter()
    for path in paths:
        member = library.decompressobj(_GZIP)
        for piece in pieces(path):
            data = piece
            while data:
                size += len(member.decompress(data, _OUT))
                data = member.unconsumed_tail
    return size / 1e6 / (time.perf_counter() - began)


if __name__ == "__main__":
    print(_rate(zlib, [Path(sys.argv[1])]))
