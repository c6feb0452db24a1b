"""`hauserpy backfill`."""

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


@command("backfill")
@click.option("--since", type=WHEN, required=True, help="Where the span begins.")
@click.option("--until", type=WHEN, help="Where it ends (else: all that is offered).")
@click.option("--replace", is_flag=True, help="Load again what is loaded: its rows are replaced.")
@click.option("--dry-run", is_flag=True, help="Only list what would be loaded; touch nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end.")
def backfill(
    common: Common,
    *,
    since: datetime,
    until: datetime | None,
    replace: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Load the missing windows of a span, or with --replace all of them anew.

    The checkpoint of sync stays where it is, and a sync may run beside it. Stopped, it goes on
    when it is run again. Bundles of generation 1 that reach beyond the span are loaded whole.

    \b
      hauserpy backfill --since 2026-09-01 --until 2026-10-01
    """
    check_span(since, until)

    def work(plant: Plant, summary: Summary, _: Settings) -> None:
        runs.backfill(plant, summary, since, until, replace_loaded=replace, dry_run=dry_run)

    run(common, "backfill", work, as_json=as_json, locked=False, dry_run=dry_run)
