"""The settings in force for a command line, with what is to be said of them."""

from __future__ import annotations

import os

from hauserpy.cli.console import Console, hear
from hauserpy.cli.options import Common
from hauserpy.config import Settings, load
from hauserpy.errors import ConfigError


def settings_of(common: Common) -> Settings:
    """Read file and environment; warnings and notes are told. Raises ConfigError."""
    settings = load(common.config_path, os.environ)
    console = Console(common)
    hear(console)
    for warning in settings.warnings:
        console.warning(warning)
    # They still do what they say, and cron would send a letter of them each quarter of an hour.
    for deprecated in () if common.quiet else settings.deprecated:
        console.warning(deprecated)
    for note in settings.notes:
        console.note(note)
    return settings


def settings_to_run(common: Common) -> Settings:
    """The same for a command that needs the API or the destination: where nothing at all is
    configured, it says what to do first."""
    settings = settings_of(common)
    if settings.path is None and settings.fs_api_token is None:
        raise ConfigError(
            "there is no configuration: no ./config.toml, no HAUSERPY_CONFIG, and no"
            " FULLSTORY_API_TOKEN.",
            "Write one with `hauserpy config init`, or try `hauserpy demo`.",
        )
    return settings
