"""Help is there for every command, and says which exit code means what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from hauserpy import __version__
from hauserpy.cli.group import group, run
from hauserpy.config import load
from tests.cli.place import REPO


def commands() -> list[list[str]]:
    """Every command line that names a command, subcommands among them."""
    found: list[list[str]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        found.append([name])
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += [[name, sub] for sub in command.list_commands(click.Context(command))]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_explains_itself(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--help"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.startswith(f"Usage: hauserpy {' '.join(command)}")
    made: click.Command | None = group
    for name in command:
        assert isinstance(made, click.Group)
        made = made.get_command(click.Context(made), name)
    assert made is not None
    for parameter in made.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.opts} has no help"
            assert parameter.opts[0] in told.out


def test_the_group_lists_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for (name,) in (c for c in commands() if len(c) == 1):
        assert f"\n  {name} " in out
    for code in ("0", "1", "2", "4", "5", "6", "7", "8", "10", "11", "130", "143"):
        assert f" {code} " in out
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"hauserpy {__version__}\n"


def test_a_command_that_is_misspelt_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snyc"]) == 2
    assert "Did you mean sync?" in capsys.readouterr().err


def test_help_imports_no_sdk() -> None:
    """So that it answers at once; the modules are what takes the time."""
    heavy = ["boto3", "google.cloud", "psycopg2", "pyarrow", "requests", "orjson", "rich"]
    script = (
        "import sys\nfrom hauserpy.cli.group import run\nrun(['--help'])\n"
        f"print(*[m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPO
    )
    assert done.stderr.strip() == ""


def test_config_init_writes_where_the_other_commands_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HAUSERPY_CONFIG", raising=False)
    cases: list[tuple[list[str], str, str]] = [
        (["config", "init"], "config.toml", "hauserpy check"),
        (["-c", "my own.toml", "config", "init"], "my own.toml", "hauserpy check -c 'my own.toml'"),
        (["config", "init", "given.toml"], "given.toml", "hauserpy check -c given.toml"),
    ]
    for arguments, path, then in cases:
        assert run(arguments) == 0
        assert f"wrote {path}; " in (told := capsys.readouterr().out)
        assert told.endswith(f"then: {then}\n")
        assert load(tmp_path / path, {}).path == tmp_path / path
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o600
        assert run(arguments) == 2
        assert f"{path} exists. Give another path, or --force." in capsys.readouterr().err
        assert run([*arguments, "--force", "-q"]) == 0
        assert capsys.readouterr().out == ""
    monkeypatch.setenv("HAUSERPY_CONFIG", "of-the-environment.toml")
    assert run(["config", "init"]) == 0
    assert capsys.readouterr().out.endswith("then: hauserpy check\n")
    assert (tmp_path / "of-the-environment.toml").exists()
    assert run(["config", "init", "nowhere/c.toml"]) == 2
    assert "nowhere/c.toml cannot be written: No such file" in capsys.readouterr().err
