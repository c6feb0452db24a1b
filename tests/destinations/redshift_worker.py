"""A process that makes one load, to be killed in the middle: its orders come as JSON on stdin."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

from hauserpy.config import Provider, RedshiftSettings, S3Settings, Settings
from hauserpy.config.secret import Secret
from hauserpy.destinations.redshift import Redshift
from hauserpy.entries import LedgerEntry
from hauserpy.fields import catalogue
from hauserpy.model import Part


def main() -> None:
    orders = json.load(sys.stdin)
    redshift = RedshiftSettings(password=Secret(orders["password"]), **orders["redshift"])
    settings = Settings(provider=Provider.AWS, redshift=redshift, s3=S3Settings(**orders["s3"]))
    destination = Redshift(settings)
    destination.prepare(catalogue())
    entry = LedgerEntry.from_json(orders["entry"])
    parts = [Part(Path(p["path"]), p["size"], p["records"], p["crc32"]) for p in orders["parts"]]
    destination.load(
        entry,
        parts,
        expected=frozenset(orders["expected"]),
        checkpoint=datetime.fromisoformat(orders["checkpoint"]),
    )
    print("done", flush=True)
    destination.close()


if __name__ == "__main__":
    main()
