"""`hauserpy skip`."""

from __future__ import annotations

from datetime import datetime

import click

from hauserpy.cli.common import WHEN, check_span, command
from hauserpy.cli.options import Common
from hauserpy.cli.run import run
from hauserpy.config import Settings
from hauserpy.engine import runs
from hauserpy.engine.report import Summary
from hauserpy.engine.runs import Plant
from hauserpy.model import Window


@command("skip")
@click.option("--since", type=WHEN, required=True, help="Where the window begins.")
@click.option("--until", type=WHEN, required=True, help="Where it ends.")
@click.option("--reason", required=True, help="Why; it is kept in the ledger.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end.")
def skip(common: Common, *, since: datetime, until: datetime, reason: str, as_json: bool) -> None:
    """Give a window up, so that sync goes on.

    For a bundle that cannot be had or read (exit 6). The window is entered in the ledger with 0
    rows and the reason; what of it is loaded stays. A later `backfill --replace` can still load it.

    \b
      hauserpy skip --since 2026-09-03 --until 2026-09-04 --reason "corrupt, ticket 4711"
    """
    check_span(since, until)
    if not reason.strip():
        raise click.UsageError("--reason must say something.")

    def work(plant: Plant, summary: Summary, _: Settings) -> None:
        runs.skip(plant, summary, Window(since, until), reason.strip())
        if not summary.loaded:
            plant.reporter.note(f"{Window(since, until)} is loaded already; nothing to give up")

    run(common, "skip", work, as_json=as_json, locked=False, dry_run=False)
