"""Memory does not grow with the bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

_STAGE = """
import gzip, resource, sys, tempfile
from contextlib import closing
from pathlib import Path
from hauserpy.layout import Compression, Layout
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.spool import Spool
from hauserpy.pipeline.stage import empty_folder, stage
from tests.bundles import COLUMNS, WINDOW, here

# Long texts that never come twice are what a memory of texts must not keep.
record = b'{"IndvId":%d,"EventStart":"2026-11-22T04:05:06.5Z","PageUrl":"%d' + b"x" * 3000 + b'","a_str":"y"}'
members = [gzip.compress(b",".join(record % (n, n) for n in range(k * 3000, (k + 1) * 3000))) for k in range(7)]

def run(times, folder):
    spool = Spool(folder / "spool")
    with closing(spool):
        spool.write(gzip.compress(b"["))
        for n in range(times):
            spool.write((gzip.compress(b",") if n else b"") + members[n])
        spool.write(gzip.compress(b"]"))
        spool.finish()
        made = stage(spool, Job(Layout(COLUMNS, compression=Compression.GZIP), WINDOW, None, 1 << 24),
                     empty_folder(folder / "parts"), here())
    assert made.records == 3000 * times
    return made.bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

with tempfile.TemporaryDirectory() as folder:
    print(*run(1, Path(folder)), *run(7, Path(folder)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
def test_a_bundle_seven_times_as_large_takes_no_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _STAGE], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    small, before, large, after = map(int, done.stdout.split())
    assert small > 9_000_000
    assert large > 6 * small
    assert after - before < 12_000, "KiB; the larger bundle is over 60 MB of text"
