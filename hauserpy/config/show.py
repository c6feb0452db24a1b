"""The settings for people: what is in force and where it came from, and the commented example."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hauserpy.config.keys import KEYS
from hauserpy.config.settings import Settings

EXAMPLE = "config.example.toml"


@dataclass(frozen=True, slots=True)
class Row:
    """``key`` is the full name (``redshift.Host``); ``value`` is written as TOML, secrets masked;
    ``origin`` is ``default``, ``inferred``, ``file <path>`` or ``environment <VAR>``, with the
    deprecated key in brackets where one spoke for this."""

    key: str
    value: str
    origin: str


def describe(settings: Settings) -> list[Row]:
    """Every key that can be in force, in the order of ``config.example.toml``."""
    return [
        Row(
            key.full,
            key.kind.show(key.of(settings)),
            settings.origins.get(key.full, "default"),
        )
        for key in KEYS
        if key.attribute and not key.instead
    ]


def example_text() -> str:
    """The commented example: every key with its meaning and its default.

    It lies inside the installed package, and beside it in a checkout.
    """
    inside = resources.files("hauserpy") / EXAMPLE
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / EXAMPLE).read_text(encoding="utf-8")
