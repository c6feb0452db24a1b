"""What the commands share: how one is made, its errors told, and times on the command line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from hauserpy.cli.options import OPTIONS, Common, remember
from hauserpy.errors import HauserpyError


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
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value.upper())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither a date nor an RFC 3339 time (2026-11-23T04:00:00Z).")


WHEN = When()
