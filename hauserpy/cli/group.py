"""The group of commands, loaded when they are called; errors become messages and exit codes."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import traceback
from typing import Any

import click

from hauserpy import __version__
from hauserpy.cli.common import Told
from hauserpy.cli.names import COMMANDS, named_in
from hauserpy.cli.options import OPTIONS, Common, remember
from hauserpy.errors import HauserpyError

_EPILOG = """\b
Exit codes, for schedulers:
  0    done, or nothing due
  1    unexpected: a bug
  2    usage or configuration: fix it
  4    transient, retries exhausted: run again later
  5    credentials or permission refused: fix it
  6    a corrupt or vanished bundle: inspect it, or `hauserpy skip`
  7    the destination refuses the rows or the schema: fix it
  8    `check` found problems
  10   the ledger cannot be trusted, or the Go hauser has run since
  11   another sync holds the lock: skip this run
  130  SIGINT        143  SIGTERM: run again to go on
"""


class _Lazy(click.Group):
    """Imports a command's module when the command is called, and none for ``--help``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = COMMANDS[cmd_name][0]
        command: click.Command = getattr(importlib.import_module(f"hauserpy.cli.{module}"), module)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"{error.message}{hint}", ctx) from None


@click.group(
    cls=_Lazy,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=list(OPTIONS),
)
@click.version_option(__version__, "-V", "--version", message="hauserpy %(version)s")
@click.pass_context
def group(ctx: click.Context, /, **common: Any) -> None:
    """Get your company's Fullstory events out of the export API and into your own warehouse.

    Each bundle of events lands in the destination exactly once, whole, and every alteration of
    its data is counted.
    """
    remember(ctx, common)


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code."""
    try:
        code = group.main(arguments, prog_name="hauserpy", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        return _refuse(error, arguments)
    except Told as error:
        return error.code
    except HauserpyError as error:
        print(f"hauserpy: error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        print(
            f"hauserpy: unexpected {type(error).__name__}: {error}. This is a bug; nothing is"
            " half-loaded. Please report it with the lines below.",
            file=sys.stderr,
        )
        traceback.print_exc(file=sys.stderr)
        if "--json" in arguments:
            from hauserpy.cli.answer import answer

            bug = HauserpyError(f"unexpected {type(error).__name__}: {error}.", "Please report it.")
            print(answer(named_in(arguments), {}, bug))
        return 1
    return code if isinstance(code, int) else 0


def _refuse(error: click.ClickException, arguments: list[str]) -> int:
    """Tell a command line that cannot be understood; as it asks for JSON, as far as that is clear."""
    from hauserpy.cli.answer import answer
    from hauserpy.cli.console import Console
    from hauserpy.errors import ConfigError

    context = getattr(error, "ctx", None)
    path = "hauserpy" if context is None else context.command_path
    told = ConfigError(error.format_message(), f"See `{path} --help`.")
    # Options may not have been read when it came to this.
    formats = [b for a, b in itertools.pairwise([*arguments, ""]) if a == "--log-format"]
    if "json" in formats or "--log-format=json" in arguments:
        Console(Common(log_format="json")).failed(told)
    else:
        error.show()
    if "--json" in arguments:
        click.echo(answer(path.partition(" ")[2], {}, told))
    return told.exit_code
