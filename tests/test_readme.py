"""The README names every command, and what it says of the command line is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from hauserpy.cli.group import group

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMON = {"--help", "--config", "--verbose", "--quiet", "--log-format", "--version"}

TOLD_BY_HELP = {"demo", "mock-api", "config init"}
"""Not for production: their options are in their --help alone."""


def found(words: list[str]) -> click.Command | None:
    """The command that the words after ``hauserpy`` begin with."""
    made: click.Command = group
    for word in words:
        if not isinstance(made, click.Group) or word.startswith("-"):
            break
        deeper = made.get_command(click.Context(made), word)
        if deeper is None:
            return None
        made = deeper
    return made


def every_command() -> list[str]:
    names = []
    for name in group.list_commands(click.Context(group)):
        command = found([name])
        names += (
            [f"{name} {sub}" for sub in command.list_commands(click.Context(command))]
            if isinstance(command, click.Group)
            else [name]
        )
    return names


@pytest.mark.parametrize("command", every_command())
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"hauserpy {command}" in README


@pytest.mark.parametrize("command", sorted({*every_command()} - TOLD_BY_HELP))
def test_every_option_is_in_the_readme(command: str) -> None:
    made = found(command.split())
    assert made is not None
    options = {o.opts[0] if o.opts[0].startswith("--") else o.opts[1]
               for o in made.params if isinstance(o, click.Option)}  # fmt: skip
    missing = {o for o in options - COMMON if not re.search(rf"{re.escape(o)}\b", README)}
    assert missing == set()


def shown() -> list[str]:
    """The command lines in the README's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if re.search(r"(^|/|\s)hauserpy [a-z]", line)]


@pytest.mark.parametrize("line", shown())
def test_commands_that_are_shown_exist_with_their_options(line: str) -> None:
    _, _, rest = line.rpartition("hauserpy ")
    words = shlex.split(rest.split(" | ")[0].split(" > ")[0], comments=True)
    command = found(words)
    assert command is not None and command is not group, line
    known = {opt for p in command.params for opt in p.opts} | {"--help"}
    for word in words:
        if re.fullmatch(r"--?[a-z][a-z-]*", word):
            assert word in known, line


def test_the_first_blocks_are_one_line_each() -> None:
    first, second = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[:2]
    assert first.count("\n") == second.count("\n") == 1
    assert "hauserpy demo" in first
    assert "pytest" in second


def test_every_exit_code_is_explained() -> None:
    for code in (0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 130, 143):
        assert re.search(rf"^\|[^|]*\b{code}\b", README, re.MULTILINE), code
