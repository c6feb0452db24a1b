"""One process of the benchmark: the mock API, serving bodies from memory, or one made as it goes.

``python -m tests.benchmarks.serving CONFIG RATE BODY...`` or ``... CONFIG RATE --stream BYTES``

RATE is in bytes a second, 0 for as fast as it can. Writes a configuration that points at it to
CONFIG, and serves until its stdin ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hauserpy.mockapi.api import MockApi
from tests.benchmarks.data import windows


def main(config: Path, rate: int, rest: list[str]) -> None:
    faults = [f"get:slow={rate}B/s"] if rate else []
    if rest[0] == "--stream":
        api = MockApi(bundles=1, bundle_bytes=int(rest[1]), faults=faults)
    else:
        bodies = [Path(path).read_bytes() for path in rest]
        api = MockApi(bodies=dict(zip(windows(len(bodies)), bodies, strict=True)), faults=faults)
    with api:
        partial = config.with_suffix(".partial")
        partial.write_text(api.config("bundles"), encoding="utf-8")
        # Whoever waits for the file must find it whole.
        partial.rename(config)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
