"""BigQuery's column types: how DuckDB holds them, and how values travel in JSON."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from tests.standins.bigquery.errors import Refused

CANONICAL = {
    "INT64": "INTEGER",
    "INTEGER": "INTEGER",
    "FLOAT64": "FLOAT",
    "FLOAT": "FLOAT",
    "BOOL": "BOOLEAN",
    "BOOLEAN": "BOOLEAN",
    "STRING": "STRING",
    "TIMESTAMP": "TIMESTAMP",
    "DATE": "DATE",
    "JSON": "JSON",
}
"""The REST API answers with the older names, whichever it was given."""

_DUCK = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "STRING": "VARCHAR",
    "TIMESTAMP": "TIMESTAMP",
    "DATE": "DATE",
    "JSON": "JSON",
}

_EPOCH = dt.datetime(1970, 1, 1)
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[Tt ](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6}))?)?)?"
    r"\s*(?:(Z|z|UTC)|([+-])(\d{1,2})(?::?(\d{2}))?)?\Z"
)
_INTEGER = re.compile(r"[+-]?\d+\Z")
_EXACT_IN_A_DOUBLE = 2**53


def canonical(name: str) -> str:
    try:
        return CANONICAL[name.upper()]
    except KeyError:
        raise Refused("invalid", f"Invalid value for type: {name} is not a valid value") from None


def duck_type(name: str) -> str:
    return _DUCK[name]


def of_duck(name: str) -> str:
    """The BigQuery type of a DuckDB column of a result."""
    base = name.upper()
    if base in ("BIGINT", "INTEGER", "HUGEINT", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER"):
        return "INTEGER"
    if base in ("DOUBLE", "FLOAT") or base.startswith("DECIMAL"):
        return "FLOAT"
    if base.startswith("TIMESTAMP"):
        return "TIMESTAMP"
    return {"BOOLEAN": "BOOLEAN", "DATE": "DATE", "JSON": "JSON"}.get(base, "STRING")


def parse_timestamp(text: str) -> dt.datetime:
    """BigQuery's canonical format, up to microseconds, as naive UTC; ValueError otherwise."""
    found = _TIMESTAMP.match(text)
    if found is None:
        raise ValueError(f"Invalid timestamp: '{text}'")
    year, month, day, hour, minute, second, digits, _, sign, off_hours, off_minutes = found.groups()
    moment = dt.datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
        int((digits or "0").ljust(6, "0")),
    )  # fmt: skip
    if sign:
        offset = dt.timedelta(hours=int(off_hours), minutes=int(off_minutes or 0))
        moment = moment - offset if sign == "+" else moment + offset
    return moment


def micros(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def from_micros(count: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=count)


def from_json(value: Any, kind: str) -> Any:
    """A value of a JSON Lines file as a column of ``kind`` takes it; ValueError says why not.

    Integers past 2**53 lose digits unless they come as strings, which is what the page "Loading
    JSON data" warns of.
    """
    if value is None:
        return None
    match kind:
        case "INTEGER":
            if isinstance(value, bool) or not isinstance(value, int | str):
                return _no("integer", value)
            if isinstance(value, str):
                return _integer(value)
            return value if abs(value) < _EXACT_IN_A_DOUBLE else _ranged(int(float(value)))
        case "FLOAT":
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                return _no("double", value)
            return float(value)
        case "BOOLEAN":
            if isinstance(value, bool):
                return value
            return from_text(value, kind) if isinstance(value, str) else _no("boolean", value)
        case "STRING":
            if isinstance(value, bool | dict | list):
                return _no("string", value)
            return value if isinstance(value, str) else json.dumps(value)
        case "TIMESTAMP":
            if isinstance(value, bool | dict | list):
                return _no("timestamp", value)
            if isinstance(value, str):
                return parse_timestamp(value)
            return _EPOCH + dt.timedelta(seconds=value)
        case "JSON":
            return json.dumps(value)
    return dt.date.fromisoformat(value) if isinstance(value, str) else _no("date", value)


def from_text(text: str, kind: str) -> Any:
    """A field of a CSV file as a column of ``kind`` takes it; ValueError says why not."""
    match kind:
        case "INTEGER":
            return _integer(text)
        case "FLOAT":
            return float(text)
        case "BOOLEAN":
            known = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
            return known[text.lower()] if text.lower() in known else _no("boolean", text)
        case "TIMESTAMP":
            return parse_timestamp(text)
        case "DATE":
            return dt.date.fromisoformat(text)
        case "JSON":
            json.loads(text)
    return text


def _no(kind: str, value: Any) -> Any:
    raise ValueError(f"Could not convert value to {kind}: {value!r}")


def _integer(text: str) -> int:
    if not _INTEGER.match(text):
        raise ValueError(f"Unable to parse '{text}' as an integer")
    return _ranged(int(text))


def _ranged(number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"Integer out of range: {number}")
    return number


def to_cell(value: Any) -> Any:
    """A value of a result as the REST API writes it: strings, timestamps in microseconds."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return str(micros(value))
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return str(value)


@dataclass(frozen=True)
class Parameter:
    """A query parameter: its value, and its type in DuckDB's words."""

    value: Any
    type: str


def parameter(given: dict[str, Any]) -> Parameter:
    """One of ``queryParameters[]``, typed as it says."""
    kind = given["parameterType"]
    value = _typed(kind, given.get("parameterValue") or {})
    if kind["type"] == "ARRAY":
        return Parameter(value, duck_type(canonical(kind["arrayType"]["type"])) + "[]")
    return Parameter(value, duck_type(canonical(kind["type"])))


def _typed(kind: dict[str, Any], value: dict[str, Any]) -> Any:
    if kind["type"] == "ARRAY":
        return [_typed(kind["arrayType"], v) for v in value.get("arrayValues", [])]
    text = value.get("value")
    if text is None:
        return None
    try:
        return from_text(text, canonical(kind["type"]))
    except ValueError as error:
        raise Refused("invalid", f"Invalid value for query parameter: {error}") from None
