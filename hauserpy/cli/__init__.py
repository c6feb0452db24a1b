"""The command line: the only room that prints and exits. One thin file a command."""

from __future__ import annotations

import signal
import sys


class Stopped(BaseException):
    """SIGINT or SIGTERM, where no run is under way that ends gently: whatever was made is tidied up
    on the way out."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signum)


def main() -> None:
    """The entry point: run the command, turn errors into messages and exit codes."""
    # First of all: the imports take most of a short command's time.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        from hauserpy.cli.group import run
        from hauserpy.cli.streams import steady

        steady()
        code = run(sys.argv[1:])
    except Stopped as stopped:
        from hauserpy.cli.group import tell_stopped

        code = tell_stopped(stopped.signum, sys.argv[1:])
    sys.exit(code)


def _stop(signum: int, _frame: object) -> None:
    raise Stopped(signum)
