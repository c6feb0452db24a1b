"""`hauserpy status`."""

from __future__ import annotations

from typing import Any

import click

from hauserpy.cli.answer import answer
from hauserpy.cli.common import command
from hauserpy.cli.console import changes_text, many, size
from hauserpy.cli.look import read_ledger
from hauserpy.cli.options import Common
from hauserpy.cli.run import now
from hauserpy.engine.report import window_json
from hauserpy.entries import EntryKind
from hauserpy.ledger import Ledger
from hauserpy.model import Changes, rfc3339
from hauserpy.waiting import span


@command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def status(common: Common, *, as_json: bool) -> None:
    """Checkpoint, lag, gaps, totals and changes, as the destination's ledger tells them."""
    _, name, ledger = read_ledger(common)
    told = _told(name, ledger)
    if as_json:
        click.echo(answer("status", told))
        return
    rows = [("destination", name), ("checkpoint", _checkpoint(told))]
    if told["hauser_until"]:
        rows.append(("hauser", f"loaded everything before {told['hauser_until']}"))
    rows.append(("loaded", _loaded(told)))
    rows.append(("altered", _printable(changes_text(told["changes"])) or "nothing"))
    rows += [
        ("skipped", f"{s['start']} – {s['stop']}: {_printable(s['reason'])}")
        for s in told["skipped"]
    ]
    rows += [("gap", f"{gap['start']} – {gap['stop']}") for gap in told["gaps"]]
    for key, value in rows:
        click.echo(f"{key:<12}{value}")


def _told(name: str, ledger: Ledger) -> dict[str, Any]:
    """The object of ``status --json``."""
    checkpoint = ledger.checkpoint
    lag = None if checkpoint is None else round((now() - checkpoint).total_seconds())
    loaded = [e for e in ledger.entries if e.kind in (EntryKind.SYNC, EntryKind.BACKFILL)]
    baseline = ledger.baseline()
    return {
        "destination": name,
        "checkpoint": None if checkpoint is None else rfc3339(checkpoint),
        "lag_seconds": lag,
        "windows": len(loaded),
        "records": sum(e.records for e in loaded),
        "bytes": sum(e.bytes for e in loaded),
        "changes": Changes.total(e.changes for e in loaded).to_json(),
        "first": rfc3339(loaded[0].window.start) if loaded else None,
        "last": rfc3339(loaded[-1].window.stop) if loaded else None,
        "hauser_until": rfc3339(baseline[-1].window.stop) if baseline else None,
        "skipped": [
            {**window_json(e.window), "reason": e.reason}
            for e in ledger.entries
            if e.kind is EntryKind.SKIP
        ],
        "gaps": [window_json(gap) for gap in ledger.gaps()],
    }


def _printable(text: str) -> str:
    """In one line that a terminal does nothing with: a ledger can be edited by hand."""
    return "".join(c if c.isprintable() else " " for c in text)


def _checkpoint(told: dict[str, Any]) -> str:
    if told["checkpoint"] is None:
        return "none: nothing is synced yet"
    return f"{told['checkpoint']}, {span(max(told['lag_seconds'], 0))} behind now"


def _loaded(told: dict[str, Any]) -> str:
    if not told["windows"]:
        return "nothing"
    return (
        f"{many(told['windows'], 'window')}, {many(told['records'], 'record')}, {size(told['bytes'])},"
        f" {told['first']} – {told['last']}"
    )
