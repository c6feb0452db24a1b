"""How a command that loads is put together: settings to plant, signals, lock, summary, exit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Any

import click

from hauserpy.cli.answer import answer
from hauserpy.cli.common import Told
from hauserpy.cli.console import Console, console_for, hear, summary_text
from hauserpy.cli.inforce import settings_to_run
from hauserpy.cli.options import Common
from hauserpy.cli.stopping import handled_by
from hauserpy.config import Provider, Settings
from hauserpy.destinations import open_destination, run_lock_path
from hauserpy.engine.report import Summary
from hauserpy.engine.runs import Plant
from hauserpy.errors import HauserpyError
from hauserpy.fields import catalogue
from hauserpy.ledger import Step
from hauserpy.model import rfc3339
from hauserpy.pipeline.spool import Spool
from hauserpy.runlock import RunLock
from hauserpy.waiting import Timing, Waiter


def now() -> datetime:
    return datetime.now(UTC)


_ONE_SIGNAL_SECONDS = 0.5
"""What comes so soon behind a signal is the same one: `timeout` sends it to a process and then to its
group."""

_NOTHING = {
    "sync": "nothing was due",
    "backfill": "nothing to load: all that the API offers in this span is loaded or given up (--replace"
    " loads it anew)",
    "skip": "nothing was given up",
}
"""What a command says when it found nothing to do."""

Work = Callable[[Plant, Summary, Settings], None]


def run(
    common: Common, name: str, work: Work, *, as_json: bool, locked: bool, dry_run: bool = False
) -> None:
    """Read the settings, then `run_with` them; what is wrong with them is told the same way."""
    try:
        settings = settings_to_run(common)
    except HauserpyError as error:
        _tell_error(Console(common), name, Summary(), error, as_json=as_json)
        raise Told(error.exit_code) from error
    run_with(common, name, settings, work, as_json=as_json, locked=locked, dry_run=dry_run)


def run_with(
    common: Common,
    name: str,
    settings: Settings,
    work: Work,
    *,
    as_json: bool,
    locked: bool,
    dry_run: bool = False,
) -> None:
    """Do ``work`` and tell what came of it; errors of the run are told here, with the summary.

    With ``as_json`` one object goes to stdout, whatever happens: ``command``, ``ok``,
    ``exit_code``, ``error`` and the fields of `Summary.to_json`.
    """
    summary = Summary()
    console = console_for(common)
    hear(console)
    try:
        with plant_for(settings, console) as plant:
            lock = run_lock(settings, plant) if locked and not dry_run else nullcontext()
            with lock:
                work(plant, summary, settings)
    except HauserpyError as error:
        console.close()
        _tell_error(console, name, summary, error, as_json=as_json)
        raise Told(error.exit_code) from error
    finally:
        console.close()
    if as_json:
        click.echo(answer(name, summary.to_json()))
    elif dry_run:
        click.echo(_planned(summary, _NOTHING[name]))
    elif not common.quiet:
        click.echo(summary_text(summary, now(), _NOTHING[name]))


def _tell_error(
    console: Console, name: str, summary: Summary, error: HauserpyError, *, as_json: bool
) -> None:
    console.failed(error)
    if as_json:
        click.echo(answer(name, summary.to_json(), error))
    elif summary.loaded and not console.quiet:
        click.echo(summary_text(summary, now()))


def run_lock(settings: Settings, plant: Plant) -> RunLock:
    path = run_lock_path(settings, plant.destination)
    setting = "SaveDir" if settings.provider is Provider.LOCAL else "XDG_STATE_HOME"
    return RunLock(path, plant.destination.name, now(), setting=setting)


@contextmanager
def plant_for(settings: Settings, console: Console) -> Iterator[Plant]:
    """Source, destination and all; signals stop it gently, a second one at once."""
    from hauserpy.export import open_source
    from hauserpy.export.fetch import fetch

    settings.require_token()
    stop = Waiter()
    timing = Timing(clock=now, sleep=stop)
    fields = catalogue(settings.include_mobile_apps_fields)
    destination = open_destination(settings, sleep=stop)
    source = open_source(settings, fields, timing=timing, preparing=console.preparing)

    def fetch_step(step: Step, spool: Spool) -> None:
        whole = fetch(
            source,
            step.bundle,
            spool,
            settings,
            timing=timing,
            progress=lambda got, total: console.fetched(step.bundle, got, total),
        )
        console.fetched(step.bundle, whole, whole)

    try:
        with _signals(stop, console):
            yield Plant(
                source=source,
                destination=destination,
                fetch=fetch_step,
                fields=fields,
                temp=settings.tmp_dir,
                workers=settings.workers,
                most_record_bytes=settings.max_record_bytes,
                clock=now,
                reporter=console,
                stop=stop,
                api_is_default=settings.api_is_default,
            )
    finally:
        source.close()
        destination.close()


@contextmanager
def _signals(stop: Waiter, console: Console) -> Iterator[None]:
    """The first SIGINT or SIGTERM finishes the load in hand; the second ends the process."""
    seen: list[float] = []

    def tell(text: str, before: str) -> None:
        said = "" if console.quiet else f"{console.line('info', text)}\n"
        # Not by the console: the signal may have come while it was writing.
        with suppress(OSError):
            os.write(2, f"{before}{said}".encode())

    def handle(signum: int, _frame: Any) -> None:
        at = time.monotonic()
        if seen and at - seen[0] < _ONE_SIGNAL_SECONDS:
            return
        if seen:
            tell("stopped at once; what is committed stays, and the next run tidies up",
                 console.before_the_end)  # fmt: skip
            os._exit(128 + signum)
        seen.append(at)
        stop.stop(signum)
        tell("stopping after the load in hand; once more stops at once", console.before_a_line)

    with handled_by(handle):
        yield


def _planned(summary: Summary, nothing: str) -> str:
    lines = []
    for step in summary.planned:
        line = f"would load {step.bundle.id} ({step.window})"
        if step.clip is not None:
            line += f", clipped from {step.clip.bundle}"
        if step.expected:
            line += f", replacing {len(step.expected)} loaded before"
        lines.append(line)
    if not lines:
        lines.append(nothing)
    if summary.checkpoint is not None:
        lines.append(f"checkpoint {rfc3339(summary.checkpoint)}")
    return "\n".join(lines)
