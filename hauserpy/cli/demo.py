"""`hauserpy demo`."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import click

from hauserpy.cli.common import Whole, command
from hauserpy.cli.console import Console
from hauserpy.cli.options import Common
from hauserpy.cli.run import now, run_with
from hauserpy.cli.sync import work_of
from hauserpy.errors import ConfigError

FOLDER = Path("hauserpy-demo")
_MARK = ".hauserpy-demo"
"""What shows that the folder is ours to empty."""


@command("demo")
@click.option("--events", type=Whole(1, 100_000), metavar="N", default=2000, show_default=True,
              help="Events in each of the three bundles, at most 100,000.")  # fmt: skip
def demo(common: Common, *, events: int) -> None:
    """The main job against the built-in mock API, into ./hauserpy-demo.

    Needs no configuration, no account and no network: starts the mock on loopback, runs the real
    sync against it, and reports on what came out. Run again, it begins anew.
    """
    from hauserpy.config import load
    from hauserpy.mockapi import MockApi

    if common.config_path is not None:
        Console(common).warning("the demo has a configuration of its own; -c has no effect.")
    _make_room()
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=5)
    with MockApi(bundles=3, events=events, seed=2026, start_time=start) as api:
        file = FOLDER / "config.toml"
        file.touch(mode=0o600)
        places = f'TmpDir = "{FOLDER / "tmp"}"\n\n[local]\nSaveDir = "{FOLDER}"\n'
        file.write_text(api.config() + places)
        click.echo("The mock export API offers three days of a small shop. `hauserpy sync`:\n")
        run_with(common, "sync", load(file, {}), work_of(), as_json=False, locked=True)
    shutil.rmtree(FOLDER / "tmp", ignore_errors=True)
    file.unlink()
    click.echo(_report(FOLDER))


def _make_room() -> None:
    if FOLDER.exists() and not (FOLDER / _MARK).exists():
        raise ConfigError(
            f"./{FOLDER} exists and was not made by `hauserpy demo`.",
            "Move it away, or run the demo in another folder.",
        )
    ours = {_MARK, ".hauserpy", ".sync.hauser", "config.toml", "tmp"}
    for path in FOLDER.iterdir() if FOLDER.exists() else ():
        if path.name not in ours and not re.fullmatch(r"[0-9]+\.csv", path.name):
            raise ConfigError(
                f"./{FOLDER} holds {path.name}, which `hauserpy demo` did not make and would remove.",
                "Move it away, or run the demo in another folder.",
            )
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        FOLDER.mkdir()
        (FOLDER / _MARK).touch()
    except OSError as error:
        raise ConfigError(
            f"./{FOLDER} cannot be made: {error.strerror}.", "Run the demo in another folder."
        ) from None


@dataclass(slots=True)
class _Seen:
    """What the report counts, over all files."""

    types: Counter[str] = field(default_factory=Counter)
    rage: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sessions: set[tuple[str, str]] = field(default_factory=set)


def _report(folder: Path) -> str:
    files = sorted(folder.glob("*.csv"))
    seen = _Seen()
    for row in _rows(files):
        seen.types[row["EventType"]] += 1
        seen.sessions.add((row["UserId"], row["SessionId"]))
        page = row["PageUrl"].split("?")[0]
        seen.rage[page] += int(row["EventModFrustrated"] or 0) > 0
        seen.errors[page] += int(row["EventModError"] or 0)
    lines = ["", "Files:"]
    lines += [f"  {path}  ({path.stat().st_size:,} bytes)" for path in files]
    lines += ["", f"Events by type, in {len(seen.sessions):,} sessions:"]
    most = max(seen.types.values(), default=1)
    for name, times in seen.types.most_common(8):
        lines.append(f"  {name:<14}{times:>7,}  {'█' * max(1, round(24 * times / most))}")
    lines += ["", "Pages with most rage clicks and error clicks:", "     rage  error  page"]
    worst = sorted(seen.rage, key=lambda p: seen.rage[p] + seen.errors[p], reverse=True)
    lines += [f"  {seen.rage[p]:>7,}{seen.errors[p]:>7,}  {p}" for p in worst[:5]]
    first = files[0] if files else folder
    lines += [
        "",
        "Next, with your own account:",
        "  hauserpy config init      # writes ./config.toml, every key explained",
        "  hauserpy check            # tries token, API and destination",
        "  hauserpy sync             # loads what is due; what cron runs",
        "",
        f"Or look at a file first:  head -3 {first}",
    ]
    return "\n".join(lines)


def _rows(files: list[Path]) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    for path in files:
        with path.open(newline="", encoding="utf-8") as text:
            yield from csv.DictReader(text)
