"""One process of the benchmark: stage bodies in one form, and tell what it took as JSON.

``python -m tests.benchmarks.staging FORM WORKERS BODY...``
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from hauserpy.mockapi.synthetic import END
from hauserpy.model import BEGINNING, Window
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Spool
from hauserpy.pipeline.stage import empty_folder, stage
from tests.benchmarks.cases import LAYOUTS

_MOST_RECORD_BYTES = 16 << 20


def main(form: str, workers: int, bodies: list[Path]) -> None:
    """``seconds`` are those of the staging, from the first byte read to the last file fsynced, the
    start of the workers among them; CPU seconds of the workers are those of their whole lives."""
    layout = LAYOUTS[form]
    job = Job(layout, Window(BEGINNING, END), None, _MOST_RECORD_BYTES)
    json_bytes = records = staged_bytes = 0
    seconds = parent = 0.0
    with tempfile.TemporaryDirectory() as name, closing(Pool(workers)) as pool:
        folder = Path(name)
        for body in bodies:
            with closing(_spooled(body, folder / "spool")) as spool:
                parts = empty_folder(folder / "parts")
                began, cpu = time.perf_counter(), _cpu(resource.RUSAGE_SELF)
                staged = stage(spool, job, parts, pool)
                seconds += time.perf_counter() - began
                parent += _cpu(resource.RUSAGE_SELF) - cpu
                json_bytes += staged.bytes
                records += staged.records
                staged_bytes += sum(part.size for part in staged.parts)
        pool.close()
    told = {
        "seconds": seconds,
        "json_bytes": json_bytes,
        "records": records,
        "staged_bytes": staged_bytes,
        "parent_cpu": parent,
        "workers_cpu": _cpu(resource.RUSAGE_CHILDREN),
    }
    print(json.dumps(told))


def _spooled(body: Path, path: Path) -> Spool:
    spool = Spool(path)
    with body.open("rb") as data:
        while chunk := data.read(1 << 20):
            spool.write(chunk)
    spool.finish()
    return spool


def _cpu(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), [Path(arg) for arg in sys.argv[3:]])
