"""Durations as Go writes them: ``30s``, ``1h30m``, ``1.5h``, ``0``."""

from __future__ import annotations

import re
from datetime import timedelta

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"([+-]?)((?:{_TERM.pattern})+)", re.ASCII)
_LONGEST = 2**63 - 1
"""Go keeps nanoseconds in 64 bits: about 292 years."""


def parse_duration(text: str) -> timedelta:
    """The grammar of Go's ``time.ParseDuration``; what is finer than a microsecond is dropped.

    Raises ValueError, whose message does not repeat the text.
    """
    if text in {"0", "+0", "-0"}:
        return timedelta(0)
    found = _WHOLE.fullmatch(text)
    if found is None:
        if re.fullmatch(r"[+-]?[0-9.]+", text):
            raise ValueError("a unit is missing")
        if re.fullmatch(r"[+-]?[0-9.]+ ?(d|w|mo|y|days?|weeks?|months?|years?)", text.lower()):
            raise ValueError("the longest unit is the hour; a day is 24h")
        raise ValueError("it is not a duration")
    total = 0
    for number, unit in _TERM.findall(found[2]):
        whole, _, fraction = number.partition(".")
        size = _NANOSECONDS[unit]
        total += int(whole or "0") * size
        total += int(fraction or "0") * size // 10 ** len(fraction)
        if total > _LONGEST:
            raise ValueError("it is longer than 292 years")
    span = timedelta(microseconds=total // 1_000)
    return -span if found[1] == "-" else span


def format_duration(span: timedelta) -> str:
    """The shortest text that `parse_duration` reads as ``span``: ``1h30m``, ``250ms``, ``0s``."""
    micros = span // timedelta(microseconds=1)
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    if micros == 0:
        return "0s"
    if micros < 1_000:
        return f"{sign}{micros}µs"
    if micros < 1_000_000:
        return f"{sign}{_decimal(micros, 1_000)}ms"
    hours, rest = divmod(micros, 3_600_000_000)
    minutes, rest = divmod(rest, 60_000_000)
    text = sign
    if hours:
        text += f"{hours}h"
    if minutes:
        text += f"{minutes}m"
    if rest:
        text += f"{_decimal(rest, 1_000_000)}s"
    return text


def _decimal(number: int, unit: int) -> str:
    whole, rest = divmod(number, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0")
