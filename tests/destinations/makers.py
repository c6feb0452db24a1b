"""The destinations that the contract suite runs against: a maker each, found by name.

To put a destination under contract, write a `Backing` for it in a module of its own and add one line
to `MAKERS`. A maker is called once a test, with pytest's request (for fixtures that start a
stand-in: ``request.getfixturevalue("redshift")``) and a folder of the test's own; what it returns
must begin empty.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from hauserpy.destinations import Destination
from hauserpy.model import Window
from hauserpy.owner import Owner

NOW = datetime(2026, 11, 23, 12, 30, 15, 250000, tzinfo=UTC)
"""What every destination's clock says, unless it matters."""


class Backing(Protocol):
    """One store, seen from outside: what a destination is opened on, and how a test looks at it."""

    def open(self) -> Destination:
        """A new destination object on this same store, as another run would have it. The backing
        closes it in `close`."""
        ...

    def rows(self) -> list[dict[str, str | None]]:
        """Every row of the events, in any order: by the catalogue's names, NULL as None.

        The rest as text: integers in decimal, floats as Python's ``repr``, times as RFC 3339 with
        ``Z`` and without trailing zeros, strings as they are, CustomVars as JSON text of any
        spacing. BundleStartTime and columns of the user's own may be left out.
        """
        ...

    def leftovers(self) -> list[str]:
        """Names of what a load needs only while it runs: staged files, objects, tables, rows."""
        ...

    def plant_leftover(self, owner: Owner) -> None:
        """Leave what a load of that owner would leave if it died in the middle, as of now."""
        ...

    def spoil_ledger(self) -> None:
        """Damage the ledger, which holds one entry at least, so that it makes no sense."""
        ...

    def hauser_loads(self, window: Window, records: Sequence[dict[str, Any]]) -> None:
        """What a run of the Go hauser does with that bundle: its rows (of the known fields in
        ``records``, times and CustomVars as it writes them) and its own checkpoint."""
        ...

    def hauser_checkpoint(self) -> datetime | None:
        """How far the Go hauser thinks that it has come."""
        ...

    def close(self) -> None:
        """Release everything; called once, at the end of the test."""
        ...


Maker = Callable[[pytest.FixtureRequest, Path], Backing]

MAKERS: dict[str, str] = {
    "local-csv": "tests.destinations.local_backing:csv",
    "local-csv-gzip": "tests.destinations.local_backing:csv_gzip",
    "local-jsonl": "tests.destinations.local_backing:jsonl",
    "local-parquet": "tests.destinations.local_backing:parquet",
    "s3": "tests.destinations.object_backing:s3_path",
    "gcs": "tests.destinations.object_backing:gcs_path",
    "redshift": "tests.destinations.redshift_backing:snapshot",
    "redshift-serializable": "tests.destinations.redshift_backing:serializable",
    "bigquery": "tests.destinations.bigquery_backing:direct",
    "bigquery-hausers-table": "tests.destinations.bigquery_backing:hausers_table",
}
"""Name → ``module:function``, imported when it is used."""


def maker(name: str) -> Maker:
    module, function = MAKERS[name].split(":")
    made: Maker = getattr(importlib.import_module(module), function)
    return made
