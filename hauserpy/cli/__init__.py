"""The command line: the only room that prints and exits. One thin file a command."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point: run the command, turn errors into messages and exit codes."""
    from hauserpy.cli import stopping

    arguments = sys.argv[1:]
    # Before the imports, which take most of a short command's time.
    stopping.at_once(arguments)
    from hauserpy.cli.group import run
    from hauserpy.cli.streams import steady

    steady()
    try:
        code = run(arguments)
    except stopping.Stopped as stopped:
        code = stopping.tell(stopped.signum, arguments)
    stopping.never()
    sys.exit(code)
