"""The kinds of values that keys take: how each is read, what it allows, and how it is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from hauserpy.config.durations import format_duration, parse_duration
from hauserpy.config.moments import MOMENTS, parse_moment
from hauserpy.config.names import Unfit, header_name, header_value, printable
from hauserpy.config.secret import MASK, Secret
from hauserpy.config.sections import Header
from hauserpy.model import BEGINNING, rfc3339

_QUOTED = "it is a string: leave the quotes out"

UNSET: Any = object()
"""What a kind reads when the value says no more than that the default holds."""


def _same(text: str) -> object:
    return text


def shown(value: object) -> str:
    """A value as TOML has it, one line and not too long, for messages."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, str):
        short = value if len(value) <= 80 else value[:77] + "…"
        return json.dumps(short, ensure_ascii=not short.isprintable())
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    return str(value)[:80]


def _masked(_: object) -> str:
    return MASK


@dataclass(frozen=True, slots=True)
class Kind:
    """``read`` takes what TOML holds and raises Unfit; ``from_text`` makes such a value of a
    variable's text; ``show`` writes a setting as TOML; ``quote`` shows a refused value."""

    allowed: str
    read: Callable[[Any], Any]
    show: Callable[[Any], str] = shown
    from_text: Callable[[str], object] = _same
    quote: Callable[[object], str] = shown
    secret: bool = False


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit("it is not a string")
    return value


def text(
    check: Callable[[str], str] = printable,
    allowed: str = "a string of one line",
    *,
    default: bool = False,
) -> Kind:
    """``default``: the empty string stands for the default."""

    def read(value: object) -> Any:
        given = _string(value)
        return UNSET if default and not given else check(given)

    return Kind(allowed, read)


def optional(
    check: Callable[[str], str] = printable, allowed: str = "a string of one line"
) -> Kind:
    """The empty string stands for None."""

    def read(value: object) -> str | None:
        given = _string(value)
        return check(given) if given else None

    return Kind(allowed, read, show=lambda value: shown(value or ""))


def secret(*, spaces: bool = True) -> Kind:
    """A line break at the end, as files that hold secrets have it, is dropped, and without
    ``spaces`` all white space around it; empty is None."""

    def read(value: object) -> Secret | None:
        given = _string(value).rstrip("\r\n")
        if not spaces:
            given = given.strip()
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in given):
            raise Unfit("it holds a NUL character, or is not UTF-8")
        return Secret(given) if given else None

    return Kind(
        "a string",
        read,
        show=lambda value: shown(MASK if value else ""),
        quote=_masked,
        secret=True,
    )


def path(*, optional: bool = False) -> Kind:
    """A leading ``~`` is the home folder; empty is the default, or None where ``optional``."""

    def read(value: object) -> Any:
        given = _string(value)
        if "\0" in given:
            raise Unfit("it holds a NUL character")
        if not given:
            return None if optional else UNSET
        try:
            return Path(given).expanduser()
        except RuntimeError as error:
            raise Unfit("its ~ names no home folder that is known") from error

    return Kind("a path", read, show=lambda value: shown("" if value is None else str(value)))


def flag() -> Kind:
    words = {"true": True, "false": False, "1": True, "0": False}

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            quoted = isinstance(value, str) and value.lower() in {"true", "false"}
            raise Unfit(_QUOTED if quoted else "it is neither true nor false")
        return value

    return Kind("true or false", read, from_text=lambda given: words.get(given.lower(), given))


def whole(least: int, most: int, *, all_word: str = "", as_text: bool = False) -> Kind:
    """An integer. ``all_word``: a word that stands for the default. ``as_text``: also as a string
    of digits, which is how hauser has its Port."""
    allowed = f"an integer from {least} to {most}"
    if all_word:
        allowed += f', or "{all_word}"'

    def read(value: object) -> Any:
        if all_word and isinstance(value, str) and value.lower() == all_word:
            return UNSET
        if as_text and isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            quoted = isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,300}", value)
            raise Unfit(_QUOTED if quoted else "it is not an integer")
        if not least <= value <= most:
            raise Unfit("it is out of range")
        return value

    def from_text(given: str) -> object:
        return int(given) if re.fullmatch(r"-?[0-9]{1,300}", given) else given

    return Kind(allowed, read, from_text=from_text)


def duration(
    allowed: str,
    check: Callable[[timedelta], bool],
    *,
    zero_is_default: bool = False,
) -> Kind:
    """As Go writes it, in a string; the bare integer 0 too, as Go's TOML decoder has it."""

    def read(value: object) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            if value != 0:
                raise Unfit('a unit is missing: write it as a string, such as "30s"')
            value = "0"
        if not isinstance(value, str):
            raise Unfit('it is not a duration in a string, such as "30s"')
        try:
            span = parse_duration(value)
        except ValueError as error:
            raise Unfit(str(error)) from error
        if zero_is_default and not span:
            return UNSET
        if not check(span):
            raise Unfit("it is not such a duration as this key takes")
        return span

    return Kind(allowed, read, show=lambda span: shown(format_duration(span)))


def moment() -> Kind:
    """An instant in UTC; empty, and Go's zero time (the year 1), are None. Without a zone, UTC."""

    def read(value: object) -> datetime | None:
        if isinstance(value, str):
            if not value:
                return None
            try:
                value = parse_moment(value)
            except ValueError as error:
                raise Unfit(str(error)) from error
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time())
        if not isinstance(value, datetime):
            raise Unfit("it is not a time")
        if value.year == 1:
            return None
        found = value if value.tzinfo else value.replace(tzinfo=UTC)
        try:
            found = found.astimezone(UTC)
        except OverflowError as error:
            raise Unfit("there is no such time") from error
        if found < BEGINNING:
            raise Unfit("it is before 1970")
        return found

    def show(value: datetime | None) -> str:
        return '""' if value is None else rfc3339(value)

    return Kind(MOMENTS, read, show=show)


def choice(words: type[StrEnum] | tuple[str, ...], *, empty: bool = False) -> Kind:
    """One of some words, in any case. ``empty``: the empty string stands for the default."""
    known = {str(word).lower(): word for word in words}

    def read(value: object) -> Any:
        given = _string(value)
        if empty and not given:
            return UNSET
        if given.lower() not in known:
            raise Unfit("it is not one of the words for it")
        return known[given.lower()]

    return Kind(", ".join(f'"{word}"' for word in words), read, show=lambda word: shown(str(word)))


def headers() -> Kind:
    """``[[AdditionalHttpHeader]]`` tables with ``Key`` and ``Value``; in a variable, a JSON list."""

    def read(value: object) -> tuple[Header, ...]:
        if not isinstance(value, list):
            raise Unfit("it is not a list")
        return tuple(_header(one) for one in value)

    def from_text(given: str) -> object:
        try:
            return json.loads(given)
        except (ValueError, RecursionError):
            return given

    def show(value: tuple[Header, ...]) -> str:
        rows = (f"{{ Key = {shown(h.key)}, Value = {shown(MASK)} }}" for h in value)
        return f"[{', '.join(rows)}]"

    return Kind(
        "a list of tables, each with a Key and a Value",
        read,
        show=show,
        from_text=from_text,
        quote=_masked,
        secret=True,
    )


def _header(one: object) -> Header:
    if not isinstance(one, dict):
        raise Unfit("one of the list is not a table")
    found: dict[str, str] = {}
    for name, value in one.items():
        word = str(name).lower()
        if word not in {"key", "value"} or word in found or not isinstance(value, str):
            raise Unfit("one of the list has other things than one Key and one Value, both strings")
        found[word] = value
    if set(found) != {"key", "value"}:
        raise Unfit("one of the list lacks its Key or its Value")
    return Header(header_name(found["key"]), Secret(header_value(found["value"])))
