"""Run the stand-in as a process of its own: prints one JSON line when it listens, ends on SIGINT."""

from __future__ import annotations

import argparse
import json
import signal
import threading

from tests.standins.redshift import ROLE, Postgres, RedshiftStandin


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.standins.redshift")
    parser.add_argument("--s3-endpoint", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", default="hauser")
    parser.add_argument("--password", default="correct horse")
    parser.add_argument("--isolation", choices=("snapshot", "serializable"), default="snapshot")
    given = parser.parse_args()
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    postgres = Postgres.start()
    try:
        with RedshiftStandin(
            postgres,
            given.s3_endpoint,
            users={given.user: given.password},
            isolation=given.isolation,
            port=given.port,
        ) as standin:
            where = {"host": standin.host, "port": standin.port, "db": standin.database}
            print(json.dumps({**where, "user": given.user, "role": ROLE}), flush=True)
            stop.wait()
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()
