"""What the commands share: how one is made, its errors told, and times on the command line."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from hauserpy.cli.options import OPTIONS, Common, remember
from hauserpy.errors import HauserpyError
from hauserpy.model import BEGINNING, rfc3339


def command(*args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """`click.command` with the common options; the function gets a `Common` first.

    Errors that it raises are told as the log is written, with ``--json`` on stdout as well.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def wrapped(**given: Any) -> Any:
            names = [option.name for option in OPTIONS if option.name]
            ctx = click.get_current_context()
            common = remember(ctx, {name: given.pop(name) for name in names})
            try:
                return function(common, **given)
            except HauserpyError as error:
                command = ctx.command_path.partition(" ")[2]
                _tell(common, command, error, as_json=given.get("as_json", False))
                raise Told(error.exit_code) from error

        made: click.Command = click.command(*args, **kwargs)(wrapped)
        made.params.extend(OPTIONS)
        return made

    return decorate


class Told(Exception):
    """An error that was told already; ``code`` is what is left to do about it."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


def _tell(common: Common, command: str, error: HauserpyError, *, as_json: bool) -> None:
    from hauserpy.cli.answer import answer
    from hauserpy.cli.console import Console

    Console(common).failed(error)
    if as_json:
        click.echo(answer(command, {}, error))


class When(click.ParamType[datetime]):
    """A point in time: RFC 3339, or a date, which means its midnight in UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        from hauserpy.config import MOMENTS, parse_moment

        if isinstance(value, datetime):
            return value
        try:
            moment = parse_moment(value)
            if moment < BEGINNING:
                raise ValueError("it is before 1970")
            return moment
        except ValueError as error:
            self.fail(f"{value[:80]!r} is refused: {error}. Write {MOMENTS}.")


WHEN = When()


class Whole(click.ParamType[int]):
    """A whole number within bounds, both of which are allowed."""

    name = "number"

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        # int() takes 1_000 and digits of other scripts, and refuses long ones in words of its own.
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            self.fail(f"{value[:80]!r} is no whole number. Write one {self._bounds()}.")
        if not self.least <= int(value) <= self.most:
            self.fail(f"{value} is out of range. Write a whole number {self._bounds()}.")
        return int(value)

    def _bounds(self) -> str:
        return f"from {self.least:,} to {self.most:,}"


def check_span(since: datetime | None, until: datetime | None) -> None:
    """Raises UsageError for a span that covers no time."""
    if since is not None and until is not None and until <= since:
        raise click.UsageError(
            f"--until ({rfc3339(until)}) must be later than --since ({rfc3339(since)})."
        )
