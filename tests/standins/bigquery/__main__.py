"""Run the stand-in by itself: ``python -m tests.standins.bigquery [--port P] [--dataset NAME]``.

Prints its address on the first line of stdout, and serves until it is interrupted.
"""

from __future__ import annotations

import argparse
import signal
import threading
from contextlib import suppress

from tests.standins.bigquery.server import BigQueryStandIn


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.standins.bigquery")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dataset", action="append", default=[], help="make this dataset")
    parser.add_argument("--location", default="US")
    parser.add_argument("--bucket", action="append", default=[], help="make this bucket")
    chosen = parser.parse_args()
    # A shell that starts it in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt), BigQueryStandIn(chosen.port) as server:
        for name in chosen.dataset:
            server.dataset(name, chosen.location)
        for name in chosen.bucket:
            server.service.objects.create_bucket(name)
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
