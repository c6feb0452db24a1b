"""The options that every command takes, before its name or behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click


def _as_go_has_it(_ctx: click.Context, _param: click.Parameter, path: Path | None) -> Path | None:
    """hauser's manifests give ``-c=FILE``, as Go's flags have it."""
    return Path(str(path)[1:]) if path is not None and str(path).startswith("=") else path


OPTIONS = (
    click.Option(
        ["-c", "--config", "config_path"],
        type=click.Path(path_type=Path),
        callback=_as_go_has_it,
        help="The configuration file (else HAUSERPY_CONFIG, else ./config.toml if it exists).",
    ),
    click.Option(["-v", "--verbose"], is_flag=True, default=None, help="Tell more."),
    click.Option(
        ["-q", "--quiet"], is_flag=True, default=None, help="Tell only warnings and errors."
    ),
    click.Option(
        ["--log-format"],
        type=click.Choice(["text", "json"]),
        help="How stderr is written: text, or a JSON object a line.",
    ),
)


@dataclass(frozen=True, slots=True)
class Common:
    """The common options, before the command or behind it."""

    config_path: Path | None = None
    verbose: bool = False
    quiet: bool = False
    log_format: str = "text"


def remember(ctx: click.Context, given: dict[str, Any]) -> Common:
    """Take what was given at this place over what was given before it. Raises UsageError for what
    cannot be combined."""
    before: Common = ctx.obj if isinstance(ctx.obj, Common) else Common()
    now = replace(before, **{k: v for k, v in given.items() if v is not None})
    if now.quiet and now.verbose:
        raise click.UsageError("-q and -v cannot be combined. Give one of them.", ctx)
    ctx.obj = now
    return now
