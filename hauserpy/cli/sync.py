"""`hauserpy sync`."""

from __future__ import annotations

from datetime import datetime

import click

from hauserpy.cli.common import Whole, command
from hauserpy.cli.options import Common
from hauserpy.cli.run import Work, now, run
from hauserpy.config import ExportApi, Settings
from hauserpy.engine import runs
from hauserpy.engine.report import Summary
from hauserpy.engine.runs import Plant
from hauserpy.errors import TransientError
from hauserpy.export.windows import first_start


@command("sync")
@click.option("--watch", is_flag=True, help="Go on looking every CheckInterval.")
@click.option(
    "--max-bundles", type=Whole(1, 10**9), metavar="N", help="Load at most so many, then exit."
)
@click.option("--dry-run", is_flag=True, help="Only list what would be loaded; touch nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end.")
def sync(
    common: Common, *, watch: bool, max_bundles: int | None, dry_run: bool, as_json: bool
) -> None:
    """Load everything that is due, in order, and exit.

    Each load moves the checkpoint in the same atomic step, so that sync can be killed at any
    moment and run again. Only one sync of a destination runs on a machine at a time (exit 11).

    \b
      */15 * * * *  /opt/hauserpy/bin/hauserpy sync -q -c /etc/hauserpy/config.toml
    """
    if watch and (dry_run or as_json or max_bundles is not None):
        raise click.UsageError("--watch goes with none of --dry-run, --json and --max-bundles.")

    once = work_of(max_bundles=max_bundles, dry_run=dry_run)
    work = _for_ever(once) if watch else once
    run(common, "sync", work, as_json=as_json, locked=True, dry_run=dry_run)


def work_of(*, max_bundles: int | None = None, dry_run: bool = False) -> Work:
    """One sync, as `hauserpy.cli.run` does it."""

    def once(plant: Plant, summary: Summary, settings: Settings) -> None:
        segments = settings.export_api is ExportApi.SEGMENTS
        runs.sync(
            plant,
            summary,
            start=_start(settings),
            keep_start=segments and settings.start_time is None,
            from_start=settings.plans_from_start,
            # Generation 1 may never have had what lies between StartTime and its first bundle.
            tell_before=segments,
            max_bundles=max_bundles,
            dry_run=dry_run,
        )

    return once


def _for_ever(once: Work) -> Work:
    """Sync again and again, every CheckInterval; gives up after BackoffStepsMax failures in a
    row, and at once on what no waiting mends."""

    def watching(plant: Plant, summary: Summary, settings: Settings) -> None:
        failures = 0
        while True:
            one = Summary()
            try:
                once(plant, one, settings)
                failures = 0
                if not one.loaded:
                    plant.reporter.note("nothing due")
            except TransientError as error:
                failures += 1
                if failures >= settings.backoff_steps_max:
                    raise
                plant.reporter.note(f"{error.reason} Trying again after CheckInterval.")
            finally:
                summary.add(one)
            plant.stop(settings.check_interval.total_seconds())

    return watching


def _start(settings: Settings) -> datetime | None:
    if settings.start_time is not None:
        return settings.start_time
    if settings.export_api is ExportApi.SEGMENTS:
        return first_start(now(), settings.export_duration)
    return None
