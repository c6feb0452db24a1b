"""`hauserpy bundles`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import click

from hauserpy.cli.answer import answer
from hauserpy.cli.common import WHEN, check_span, command
from hauserpy.cli.look import read_ledger
from hauserpy.cli.options import Common
from hauserpy.cli.run import now
from hauserpy.config import Settings
from hauserpy.engine.report import window_json
from hauserpy.entries import EntryKind
from hauserpy.fields import catalogue
from hauserpy.ledger import Ledger
from hauserpy.model import Bundle


@command("bundles")
@click.option("--since", type=WHEN, help="Bundles that end after this (generation 1: else all).")
@click.option("--until", type=WHEN, help="Bundles that start before this.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def bundles(
    common: Common, *, since: datetime | None, until: datetime | None, as_json: bool
) -> None:
    """What the API offers, and what of it is loaded.

    With generation 2 these are the windows that are loaded, and those that hauserpy would ask for.
    """
    check_span(since, until)
    settings, _, ledger = read_ledger(common)
    found = [_told(bundle, ledger) for bundle in _offered(settings, ledger, since, until)]
    if as_json:
        click.echo(answer("bundles", {"bundles": found}))
        return
    for one in found:
        click.echo(f"{one['start']}  {one['stop']}  {one['state']:<10}  {one['bundle']}")
    if not found and not common.quiet:
        click.echo("the API offers no bundles in this span")


def _offered(
    settings: Settings, ledger: Ledger, since: datetime | None, until: datetime | None
) -> Iterator[Bundle]:
    from hauserpy.export import Timing, open_source

    settings.require_token()
    fields = catalogue(settings.include_mobile_apps_fields)
    with closing(open_source(settings, fields, timing=Timing(clock=now))) as source:
        # What is loaded as it was, and what is not as sync would ask for it.
        loaded = [entry.window for entry in ledger.entries]
        yield from source.due(since, until, loaded=loaded, replace=True)


def _told(bundle: Bundle, ledger: Ledger) -> dict[str, Any]:
    return {"bundle": bundle.id, **window_json(bundle.window), "state": _state(bundle, ledger)}


def _state(bundle: Bundle, ledger: Ledger) -> str:
    """``loaded``, ``partly``, ``missing``, ``skipped``, or ``hauser`` for what it loaded."""
    missing = ledger.missing(bundle.window)
    if missing:
        return "missing" if list(missing) == [bundle.window] else "partly"
    kinds = {e.kind for e in ledger.overlapping(bundle.window)}
    for kind, state in ((EntryKind.SKIP, "skipped"), (EntryKind.HAUSER, "hauser")):
        if kinds == {kind}:
            return state
    return "loaded"
