"""`hauserpy check`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from hauserpy import disk
from hauserpy.cli.answer import answer
from hauserpy.cli.common import Told, command
from hauserpy.cli.console import Console, size
from hauserpy.cli.inforce import settings_to_run
from hauserpy.cli.options import Common
from hauserpy.cli.run import now
from hauserpy.cli.stopping import tidily
from hauserpy.config import Settings
from hauserpy.destinations import open_destination
from hauserpy.errors import CheckFailed, HauserpyError
from hauserpy.model import Check

_ROOM = 1 << 30
"""Free bytes below which TmpDir is called short."""


@command("check")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check(common: Common, *, as_json: bool) -> None:
    """Try config, token, API, disk and destination, one line each; leave nothing behind.

    Exits 0 when all is well, 8 when something is not, each with its remedy.
    """
    found: list[Check] = []
    with tidily():
        for one in _checks(common):
            found.append(one)
            if not as_json:
                click.echo(f"{'✓' if one.ok else '✗'} {one.name}: {one.detail}")
                if not one.ok and one.remedy:
                    click.echo(f"    {one.remedy}")
    bad = [one.name for one in found if not one.ok]
    problems = "1 problem" if len(bad) == 1 else f"{len(bad)} problems"
    failed = CheckFailed(f"{problems} found: {', '.join(bad)}.") if bad else None
    if as_json:
        told = [{"name": c.name, "ok": c.ok, "detail": c.detail, "remedy": c.remedy} for c in found]
        click.echo(answer("check", {"checks": told}, failed))
    if failed is not None:
        Console(common).failed(failed)
        raise Told(failed.exit_code)


def _checks(common: Common) -> Iterator[Check]:
    try:
        settings = settings_to_run(common)
    except HauserpyError as error:
        yield Check("configuration", ok=False, detail=error.reason, remedy=error.instruction)
        return
    where = "the environment" if settings.path is None else str(settings.path)
    yield Check("configuration", ok=True, detail=f"read from {where}")
    yield from _api(settings)
    yield from _disk(settings)
    yield from _destination(settings)


def _api(settings: Settings) -> Iterator[Check]:
    from hauserpy.export.checks import checks
    from hauserpy.waiting import Timing

    try:
        settings.require_token()
    except HauserpyError as error:
        yield Check("token", ok=False, detail=error.reason, remedy=error.instruction)
        return
    yield from checks(settings, Timing(clock=now))


def _disk(settings: Settings) -> Iterator[Check]:
    folder = settings.tmp_dir
    try:
        free = disk.probe(folder)
    except OSError as error:
        detail = f"TmpDir {folder} cannot be written: {error.strerror}"
        yield Check("disk", ok=False, detail=detail, remedy="Set TmpDir to a folder that can be.")
        return
    enough = free >= _ROOM
    advice = (
        f"Make room for {size(_ROOM)}, which large bundles need, or set TmpDir to a larger disk."
    )
    remedy = "" if enough else advice
    yield Check("disk", ok=enough, detail=f"{size(free)} free in TmpDir {folder}", remedy=remedy)


def _destination(settings: Settings) -> Iterator[Check]:
    try:
        destination = open_destination(settings)
    except HauserpyError as error:
        yield Check("destination", ok=False, detail=error.reason, remedy=error.instruction)
        return
    try:
        for one in destination.checks():
            yield one
            if one.vital and not one.ok:
                return
        ledger = destination.ledger()
        ledger.refuse_future(now(), destination.name)
        count = len(ledger.entries)
        detail = f"{count} loaded {'window' if count == 1 else 'windows'}, readable"
        yield Check("ledger", ok=True, detail=detail)
    except HauserpyError as error:
        yield Check("ledger", ok=False, detail=error.reason, remedy=error.instruction)
    finally:
        destination.close()
