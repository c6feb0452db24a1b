"""The command line: the only room that prints and exits. One thin file a command."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point: run the command, turn errors into messages and exit codes."""
    from hauserpy.cli.group import run
    from hauserpy.cli.streams import steady

    steady()
    sys.exit(run(sys.argv[1:]))
