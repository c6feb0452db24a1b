"""`hauserpy skip`."""

from __future__ import annotations

from datetime import datetime

import click

from hauserpy.cli.common import WHEN, check_span, command
from hauserpy.cli.options import Common
from hauserpy.cli.run import run
from hauserpy.config import Settings
from hauserpy.config.names import printable
from hauserpy.engine import runs
from hauserpy.engine.report import Summary
from hauserpy.engine.runs import Plant
from hauserpy.model import Window

_LONGEST_REASON = 1000


@command("skip")
@click.option("--since", type=WHEN, required=True, help="Where the window begins.")
@click.option("--until", type=WHEN, required=True, help="Where it ends.")
@click.option("--reason", required=True, help="Why, in one line; it is kept in the ledger.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end.")
def skip(common: Common, *, since: datetime, until: datetime, reason: str, as_json: bool) -> None:
    """Give a window up, so that sync goes on.

    For a bundle that cannot be had or read (exit 6). The window is entered in the ledger with 0
    rows and the reason; what of it is loaded stays. A later `backfill --replace` can still load it.

    \b
      hauserpy skip --since 2026-09-03 --until 2026-09-04 --reason "corrupt, ticket 4711"
    """
    check_span(since, until)
    reason = _one_line(reason)

    def work(plant: Plant, summary: Summary, _: Settings) -> None:
        runs.skip(plant, summary, Window(since, until), reason)
        if not summary.loaded:
            plant.reporter.note(
                f"{Window(since, until)} is loaded or given up already; nothing was done"
            )

    run(common, "skip", work, as_json=as_json, locked=False)


def _one_line(reason: str) -> str:
    """Raises UsageError for what could not stand in a line of a log, or is none."""
    reason = reason.strip()
    if not reason:
        raise click.UsageError("--reason must say something.")
    if len(reason) > _LONGEST_REASON:
        raise click.UsageError(
            f"--reason has {len(reason):,} characters. Write at most {_LONGEST_REASON:,}, such as"
            " the number of a ticket."
        )
    try:
        return printable(reason)
    except ValueError as error:
        raise click.UsageError(f"--reason is refused: {error}. Write it in one line.") from None
