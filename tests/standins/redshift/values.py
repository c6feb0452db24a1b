"""CSV records and the values that COPY makes of them, column by column.

The rules come from the Developer Guide's "Data format parameters" (CSV), "Data conversion
parameters" (NULL AS, EMPTYASNULL), "Using automatic recognition with DATEFORMAT and TIMEFORMAT",
"Preparing your input data" (UTF-8, lengths in bytes, NUL) and "Limitations" of SUPER.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

_FIELD = re.compile(rb'(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\n|\r\n|\Z)')


@dataclass(frozen=True)
class LoadError(Exception):
    """What goes to STL_LOAD_ERRORS; codes are those of "Load error reference"."""

    code: int
    reason: str
    line: int
    column: str = ""
    type: str = ""
    length: str = ""
    field: bytes = b""


@dataclass(frozen=True)
class Target:
    """One column of the table: its type as PostgreSQL's format_type names it."""

    name: str
    type: str
    not_null: bool = False

    @property
    def length(self) -> int | None:
        found = re.search(r"\((\d+)\)", self.type)
        return int(found.group(1)) if found else None


@dataclass(frozen=True)
class Options:
    """How COPY was told to read values."""

    null: bytes = rb"\N"
    time_auto: bool = False
    empty_as_null: bool = False
    accept_invalid: bool = False


def records(data: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """(line, fields) of each record. Strict: a quote inside a bare field is an error."""
    at, line = 0, 1
    while at < len(data):
        fields: list[bytes] = []
        began = line
        while True:
            found = _FIELD.match(data, at)
            if found is None:
                raise LoadError(1214, "Delimited value missing end quote", began)
            quoted, bare, end = found.groups()
            fields.append(bare if quoted is None else quoted.replace(b'""', b'"'))
            line += found.group().count(b"\n")
            at = found.end()
            if end != b",":
                break
        yield began, fields


def convert(fields: list[bytes], targets: list[Target], line: int, how: Options) -> bytes:
    """One record as a line of PostgreSQL's COPY text format."""
    if len(fields) < len(targets):
        raise LoadError(1213, "Missing data for not-null field or delimiter not found", line)
    if len(fields) > len(targets):
        raise LoadError(1202, "Extra column(s) found", line)
    values = [_value(f, t, line, how) for f, t in zip(fields, targets, strict=True)]
    return b"\t".join(values) + b"\n"


def _value(field: bytes, target: Target, line: int, how: Options) -> bytes:
    text = target.type.startswith(("character", "super"))
    is_null = field == how.null or (not field and (not text or how.empty_as_null))
    if not is_null and b"\0" in field:
        raise _fault(1203, "NUL inside a field ends the record", field, target, line)
    if is_null:
        if target.not_null:
            raise _fault(1213, "Missing data for not-null field", field, target, line)
        return rb"\N"
    try:
        field.decode("utf-8")
    except UnicodeDecodeError:
        if not (how.accept_invalid and text):
            raise _fault(
                1220, "String contains invalid or unsupported UTF8 codepoints", field, target, line
            ) from None
        field = field.decode("utf-8", "replace").replace("�", "?").encode()
    problem = _problem(field, target, how)
    if problem is not None:
        raise _fault(*problem, field, target, line)
    return _escaped(field)


def _fault(code: int, reason: str, field: bytes, target: Target, line: int) -> LoadError:
    kind = target.type.split("(")[0].replace("character varying", "varchar")
    return LoadError(
        code, reason, line, target.name, kind[:10], str(target.length or ""), field[:1024]
    )


def _problem(field: bytes, target: Target, how: Options) -> tuple[int, str] | None:
    kind = target.type.split("(")[0].strip()
    if kind in ("bigint", "integer", "smallint"):
        bits = {"bigint": 64, "integer": 32, "smallint": 16}[kind]
        if not re.fullmatch(rb"[+-]?[0-9]+", field):
            return 1207, "Invalid digit, Value '%c', Pos 0, Type: Long"
        if not -(2 ** (bits - 1)) <= int(field) < 2 ** (bits - 1):
            return 1216, "Overflow for an integer column"
    elif kind in ("double precision", "real"):
        if not re.fullmatch(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", field):
            return 1208, "Invalid float value"
    elif kind.startswith("timestamp"):
        if not _is_time(field.decode(), how.time_auto):
            return 1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]"
    elif kind in ("character varying", "character"):
        if target.length is not None and len(field) > target.length:
            return 1204, "String length exceeds DDL length"
    elif kind == "super":
        return _super_problem(field)
    elif kind == "boolean" and field.lower() not in (b"t", b"f", b"true", b"false", b"0", b"1"):
        return 1210, "Invalid boolean value"
    return None


def _is_time(value: str, auto: bool) -> bool:
    """The default format, and of 'auto' the forms with a year first; it has others besides."""
    day, clock = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d"
    if auto:
        shape = rf"{day}( {clock}(\.\d+)?([+-]\d\d(:?\d\d)?)?|T{clock}(\.\d+)?Z)?"
    else:
        shape = rf"{day} {clock}(\.\d+)?"
    if not re.fullmatch(shape, value):
        return False
    try:
        datetime.fromisoformat(value[:19])
    except ValueError:
        return False
    return True


def _super_problem(field: bytes) -> tuple[int, str] | None:
    """A SUPER column takes single-line JSON; what the type cannot hold exactly is refused here,
    where Redshift may round, so that a test sees it."""
    if b"\n" in field or b"\r" in field:
        return 1224, "A SUPER value must be JSON on a single line"
    if len(field) > 16_000_000:
        return 1224, "SUPER value exceeds 16 MB"
    try:
        value = json.loads(field, parse_int=int, parse_float=_exact_float)
    except ValueError as error:
        return 1224, f"Invalid JSON for SUPER: {error}"
    return _super_parts(value)


def _exact_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"number out of range: {text}")
    if Decimal(repr(number)) != Decimal(text):
        raise ValueError(f"number loses digits: {text}")
    return number


def _super_parts(value: Any) -> tuple[int, str] | None:
    if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) > 65535:
        return 1224, "String inside SUPER exceeds 65535 bytes"
    if isinstance(value, int) and abs(value) >= 10**38:
        return 1224, "Integer inside SUPER exceeds DECIMAL(38)"
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list):
        inner = value
    return next((found for one in inner if (found := _super_parts(one)) is not None), None)


_ESCAPES = {0x5C: rb"\\", 0x09: rb"\t", 0x0A: rb"\n", 0x0D: rb"\r"}


def _escaped(field: bytes) -> bytes:
    if not any(c in field for c in (b"\\", b"\t", b"\n", b"\r")):
        return field
    return b"".join(_ESCAPES.get(c, bytes((c,))) for c in field)
