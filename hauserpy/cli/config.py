"""`hauserpy config init` and `hauserpy config show`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from hauserpy.cli.answer import answer
from hauserpy.cli.common import command
from hauserpy.cli.inforce import settings_of
from hauserpy.cli.options import Common
from hauserpy.config import describe, example_text
from hauserpy.config.layers import CONFIG_VARIABLE
from hauserpy.config.load import DEFAULT_PATH
from hauserpy.errors import ConfigError


@click.group("config")
def config() -> None:
    """Write a commented configuration, or show what is in force."""


@command("init")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
def init(common: Common, *, path: Path | None, force: bool) -> None:
    """Write the commented example to PATH, readable by you alone.

    Without PATH it goes where the other commands look for it: to what -c or HAUSERPY_CONFIG names,
    else to ./config.toml.
    """
    looked_for = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_PATH)
    path = path or common.config_path or looked_for
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as out:
            out.write(example_text())
    except FileExistsError:
        raise ConfigError(f"{path} exists.", "Give another path, or --force.") from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}.", "Give another path."
        ) from error
    if not common.quiet:
        then = (
            "hauserpy check"
            if path == looked_for
            else f"hauserpy check -c {shlex.quote(str(path))}"
        )
        click.echo(f"wrote {path}; set FsApiToken or FULLSTORY_API_TOKEN, then: {then}")


@command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(common: Common, *, as_json: bool) -> None:
    """Every value in force and where it came from; secrets masked."""
    settings = settings_of(common)
    rows = describe(settings)
    if as_json:
        told = {row.key: {"value": row.value, "origin": row.origin} for row in rows}
        file = None if settings.path is None else str(settings.path)
        click.echo(answer("config show", {"file": file, "values": told}))
        return
    width = max(len(row.key) for row in rows)
    value_width = min(44, max(len(row.value) for row in rows))
    for row in rows:
        click.echo(f"{row.key:<{width}}  {row.value:<{value_width}}  {row.origin}")


config.add_command(init)
config.add_command(show)
