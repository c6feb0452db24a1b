"""A process that makes one load, to be killed in the middle: its orders come as JSON on stdin."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

from hauserpy.config import BigQuerySettings, GcsSettings, Provider, Settings
from hauserpy.destinations.bigquery import BigQuery
from hauserpy.entries import LedgerEntry
from hauserpy.fields import catalogue
from hauserpy.model import Part


def main() -> None:
    orders = json.load(sys.stdin)
    now = datetime.fromisoformat(orders["now"])
    settings = Settings(
        provider=Provider.GCP,
        bigquery=BigQuerySettings(**orders["bigquery"]),
        gcs=GcsSettings(**orders["gcs"]),
    )
    destination = BigQuery(settings, clock=lambda: now)
    destination.prepare(catalogue())
    destination.load(
        LedgerEntry.from_json(orders["entry"]),
        [Part(Path(p["path"]), p["size"], p["records"], p["crc32"]) for p in orders["parts"]],
        expected=frozenset(orders["expected"]),
        checkpoint=datetime.fromisoformat(orders["checkpoint"]),
    )
    print("done", flush=True)
    destination.close()


if __name__ == "__main__":
    main()
