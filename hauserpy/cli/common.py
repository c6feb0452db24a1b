"""What the commands share: common options, times on the command line, and settings."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hauserpy.errors import ConfigError

DEFAULT_CONFIG = Path("config.toml")

OPTIONS = (
    click.Option(
        ["-c", "--config", "config_path"],
        type=click.Path(path_type=Path),
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
    """Take what was given at this place over what was given before it."""
    before: Common = ctx.obj if isinstance(ctx.obj, Common) else Common()
    now = replace(before, **{k: v for k, v in given.items() if v is not None})
    ctx.obj = now
    return now


def command(*args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """`click.command` with the common options; the function gets a `Common` first."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def wrapped(**given: Any) -> Any:
            names = [option.name for option in OPTIONS if option.name]
            ctx = click.get_current_context()
            common = remember(ctx, {name: given.pop(name) for name in names})
            return function(common, **given)

        made: click.Command = click.command(*args, **kwargs)(wrapped)
        made.params.extend(OPTIONS)
        return made

    return decorate


class Told(Exception):
    """An error that was told already; ``code`` is what is left to do about it."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class When(click.ParamType[datetime]):
    """A point in time: RFC 3339, or a date, which means its midnight in UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a date nor an RFC 3339 time (2026-11-23T04:00:00Z).")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


WHEN = When()


def config_file(common: Common) -> Path | None:
    """The file to read: the option, the variable, or ./config.toml where there is one."""
    if common.config_path is not None:
        return common.config_path
    if named := os.environ.get("HAUSERPY_CONFIG"):
        return Path(named)
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def settings_of(common: Common) -> Any:
    """The settings in force, warnings told. Raises ConfigError."""
    from hauserpy.cli.console import Console, hear
    from hauserpy.config import load

    path = config_file(common)
    settings = load(path, os.environ)
    console = Console(common)
    hear(console)
    for warning in settings.warnings:
        console.warning(warning)
    for note in settings.notes:
        console.note(note)
    return settings


def need_config(common: Common) -> None:
    """Say what to do when nothing at all is configured."""
    if config_file(common) is None and not os.environ.get("FULLSTORY_API_TOKEN"):
        raise ConfigError(
            "there is no configuration: no ./config.toml, no HAUSERPY_CONFIG, and no"
            " FULLSTORY_API_TOKEN.",
            "Write one with `hauserpy config init`, or try `hauserpy demo`.",
        )
