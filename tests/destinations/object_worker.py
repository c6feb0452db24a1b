"""Makes loads in processes of their own, which die by kill -9 at a chosen request.

Imports and a first client of S3 take longer than a load, so one process does them once and forks for
each order. Orders come as JSON lines on stdin, each a list of what to do at once; how the children
ended goes to stdout.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3.connectionpool

from hauserpy.config import GcsSettings, Provider, S3Settings, Settings
from hauserpy.destinations.gcs import Gcs
from hauserpy.destinations.s3 import S3
from hauserpy.entries import LedgerEntry
from hauserpy.errors import LedgerMoved
from hauserpy.fields import catalogue
from hauserpy.layout import Compression, StageFormat
from hauserpy.model import Part
from tests.standins.s3 import S3Standin, read_models_once

MOVED = 3
"""The exit status of a child that another run was faster than."""


def settings_of(order: dict[str, Any]) -> Settings:
    aws = order["kind"] == "s3"
    common: dict[str, Any] = {
        "storage_only": True,
        "format": StageFormat(order["format"]),
        "compression": Compression(order["compression"]),
        "file_prefix": order["prefix"],
    }
    if aws:
        return Settings(provider=Provider.AWS, s3=S3Settings(**order["section"]), **common)
    return Settings(provider=Provider.GCP, gcs=GcsSettings(**order["section"]), **common)


def die_after(requests: int) -> None:
    """Kill this process when it has had the answer to so many requests, and nobody has seen the
    last one: for the store that is the same as before the next one is sent."""
    send = urllib3.connectionpool.HTTPConnectionPool.urlopen
    numbers = itertools.count(1)

    def urlopen(*args: Any, **given: Any) -> Any:
        number = next(numbers)
        answer = send(*args, **given)
        if number == requests:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    urllib3.connectionpool.HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign]


def load(order: dict[str, Any]) -> int:
    if order["die_after"]:
        die_after(order["die_after"])
    now = datetime.fromisoformat(order["now"])
    kind: type[S3] | type[Gcs] = S3 if order["kind"] == "s3" else Gcs
    destination = kind(settings_of(order), clock=lambda: now)
    destination.prepare(catalogue())
    moved = 0
    for one in order["loads"]:
        entry = LedgerEntry.from_json(one["entry"])
        parts = [Part(Path(p["path"]), p["size"], p["records"], p["crc32"]) for p in one["parts"]]
        until = one["checkpoint"]
        try:
            destination.load(
                entry,
                parts,
                expected=frozenset(one["expected"]),
                checkpoint=None if until is None else datetime.fromisoformat(until).astimezone(UTC),
            )
        except LedgerMoved:
            moved += 1
    return MOVED if moved else 0


def main() -> None:
    for name in ("boto3", "google.cloud.storage"):
        importlib.import_module(name)
    read_models_once()
    S3Standin("http://nowhere.invalid").client()
    for line in sys.stdin:
        children = []
        for order in json.loads(line):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    status = load(order)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(status)
            children.append(pid)
        ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    main()
