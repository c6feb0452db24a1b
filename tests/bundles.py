"""Bundles for the tests of the data's rules: drawn by Hypothesis as text, since the rules are about
text, and staged the way a run stages them."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from hauserpy.fields import catalogue, table_columns
from hauserpy.layout import FieldType, Layout
from hauserpy.model import Changes, Clip, Staged, Window
from hauserpy.pipeline.convert import Job
from hauserpy.pipeline.pool import Pool
from hauserpy.pipeline.spool import Spool
from hauserpy.pipeline.stage import empty_folder, stage
from hauserpy.transform import Rows

WINDOW = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
MOST_RECORD_BYTES = 1 << 24
COLUMNS = table_columns(catalogue())
"""What a SQL table has; files have the same without BundleStartTime."""
FILE_COLUMNS = tuple(c for c in COLUMNS if c.type is not FieldType.WINDOW_START)


@dataclass(frozen=True)
class Output:
    """What staging left in its folder."""

    staged: Staged
    parts: list[bytes] = field(default_factory=list)


def staged(
    chunks: Iterable[bytes],
    layout: Layout,
    *,
    pool: Pool | None = None,
    clip: Clip | None = None,
    batch_bytes: int = 1 << 20,
    most_record_bytes: int = MOST_RECORD_BYTES,
) -> Output:
    """A body through the whole of `stage`, in this process unless a pool is given."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "spool")
        try:
            for chunk in chunks:
                spool.write(chunk)
            spool.finish()
            made = stage(
                spool,
                Job(layout, WINDOW, clip, most_record_bytes),
                empty_folder(Path(folder) / "parts"),
                pool or here(),
                batch_bytes=batch_bytes,
            )
        finally:
            spool.close()
        return Output(made, [part.path.read_bytes() for part in made.parts])


def by_row(made: Rows) -> list[tuple[Any, ...]]:
    """The rows of the columns, times and CustomVars as text."""
    rows = [
        tuple(v.decode() if isinstance(v, bytes) else v for v in row)
        for row in zip(*made.columns, strict=True)
    ]
    assert len(rows) == made.count
    return rows


def here() -> Pool:
    """A pool that does everything in this process."""
    return Pool(0)


def chunked(body: bytes, seed: int) -> Iterator[bytes]:
    """``body`` in chunks of sizes of all magnitudes, empty ones among them."""
    chance = random.Random(seed)
    at = 0
    while at < len(body):
        size = int(chance.choice((0, 1, 2, 10, 100, 10000)) * chance.random() * 2)
        yield body[at : at + size]
        at += size


def members(text: bytes, seed: int) -> bytes:
    """``text`` as gzip in several members, cut anywhere, some empty, of every level and header."""
    chance = random.Random(seed)
    cuts = sorted(chance.randrange(len(text) + 1) for _ in range(chance.randrange(4)))
    edges = [0, *cuts, len(text)]
    return b"".join(
        gzip.compress(text[a:b], chance.randrange(10), mtime=chance.choice((0, 1606000000)))
        for a, b in itertools.pairwise(edges)
    )


# Numbers, texts and times as JSON spells them.

_NUMBERS = (
    "0", "-0", "-0.0", "0.0", "5.0", "1E5", "1e5", "-1.5E+3", "1e400", "-1e400", "1E-400",
    "0.1", "1e22", "1e23", "10000000000000000000000", "0e999", "1e-999999999999999999999",
    "1.7976931348623157e308", "1.7976931348623159e308", "5e-324", "2.4703282292062328e-324",
    "2147483647", "2147483648", "-2147483648", "-2147483649", "2147483647.0",
    "9007199254740993", "9007199254740993.0", "9223372036854775807", "9223372036854775808",
    "9223372036854775807.0", "9223372036854775809", "9999999999999999999", "-9223372036854775808", "-9223372036854775809", "-9.223372036854775808e18",
    "18446744073709551615", "18446744073709551616", "18446744073709551616.0", "9" * 400, "-" + "7" * 420,
    "0." + "3" * 40, "1" * 25 + ".5", "123456789e-9",
)  # fmt: skip
_INTEGERS = st.integers(-(2**70), 2**70).map(str) | st.integers(-100, 100).map(str)
_SPELLED = st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z")
NUMBERS = (
    st.sampled_from(_NUMBERS)
    | _INTEGERS
    | _SPELLED
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
)

_TEXTS = (
    "", " ", "},{", '}, {"a":1},{"IndvId":2},', '"]}]', "a,b", 'say "hi"', "line\nbreak", "\r", "\r\n",
    "\0", "a\0b", "\ud83d", "\udc4d cut", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "\u2028\u2029", "é" * 70, "日本語" * 40, "😀" * 30, "\x7f\x1b[31m", "\\", "\\u0000", "\t", "'", "=1+1",
    "null", "true", "NaN", "-5", "007", "5.0", "+5", "1e5", " 5", "5 ", "٣", "-", "1" * 19, "9" * 19, "9" * 20,
    "x" * 300, "\ufeff", "9223372036854775807", "2147483648", "1e400", ".5", "5.", "\\N", '""',
)  # fmt: skip
TEXTS = st.sampled_from(_TEXTS) | st.text(st.characters(), max_size=12)

_FRACTIONS = st.sampled_from(("", ".", ".0", ".5", ".25", ".123456", ".1234567", ".1234560000", "." + "0" * 12,
                              ".999999999999", ",5"))  # fmt: skip
_ZONES = st.sampled_from(("", "Z", "z", "+00:00", "-00:00", "+0000", "+05:30", "-0800", "+23:59", "-23:59",
                          "+24:00", "+05:60", "+5:30", "+05", " Z", "UTC", "Z ", "\n", "+05:3O", "-٠٠:00"))  # fmt: skip
_DATES = st.sampled_from(("2026-11-22", "2026-11-23", "2024-02-29", "2025-02-29", "2026-02-30", "0001-01-01",
                          "0001-12-31", "0002-01-01", "9999-12-31", "0000-01-01", "1969-12-31", "20261122",
                          "2026-13-01", "2026-1-2", "+2026-11-22", "२०२६-11-22"))  # fmt: skip
_CLOCKS = st.sampled_from(("00:00:00", "04:05:06", "23:59:59", "24:00:00", "23:59:60", "12:60:00", "4:05:06",
                           "12:30", "120000", "12:30:5"))  # fmt: skip
_ODD_TIMES = st.tuples(
    _DATES, st.sampled_from(("T", "t", " ", "_", "  ", "")), _CLOCKS, _FRACTIONS, _ZONES
).map("".join)
_GOOD_TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)).map(
    lambda moment: moment.isoformat() + "Z"
)
_USUAL_TIMES = st.integers(0, 86_399_999).map(
    lambda ms: (
        f"2026-11-22T{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}Z"
    )
)
TIMES = _USUAL_TIMES | _ODD_TIMES | _GOOD_TIMES | st.sampled_from(("", "2026-11-22", "now", "2026"))


@dataclass(frozen=True)
class Number:
    """A JSON number, as spelled."""

    text: str


_LEAVES = (
    TEXTS
    | NUMBERS.map(Number)
    | TIMES
    | st.sampled_from((None, True, False, [], ()))  # () stands for an empty object
)
CUSTOM_KEYS = st.sampled_from(
    ("", "user_plan_str", "evt_order.items_real", "evt_x_ints", "page_d_date", "acct_adminDisabled_bool",
     "CustomVars", "customvars", "BundleStartTime", "bundlestarttime", "AppName", "Evt_X_ints", "a\0b", "ab",
     "\ud83d", "\ufffd", "EventType\0", "ß", "EVENTTARGETSELECTORTO\u212a", 'q"k', "k,v", "\n")
) | st.text(st.characters(), max_size=6)  # fmt: skip
VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(st.tuples(CUSTOM_KEYS, inner), max_size=4).map(tuple)
    ),
    max_leaves=6,
)
"""A tree: lists are arrays, tuples of pairs objects (a key may come twice)."""


def _cased(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from((name, name, name, name, name.lower(), name.upper(), name.swapcase()))


def _known(name: str, kind: FieldType) -> st.SearchStrategy[tuple[str, Any]]:
    fitting: st.SearchStrategy[Any] = {
        FieldType.TIME: TIMES,
        FieldType.STRING: TEXTS,
    }.get(kind, NUMBERS.map(Number) | st.integers(-(10**20), 10**20).map(str))
    return st.tuples(_cased(name), fitting | fitting | _LEAVES | VALUES)


KNOWN = st.sampled_from(
    [(c.field, c.type) for c in FILE_COLUMNS if c.type is not FieldType.CUSTOM_VARS]
    + [("PageAgent", FieldType.STRING), ("PageUserAgent", FieldType.STRING)] * 3
    + [("EventStart", FieldType.TIME), ("PageNumEvents", FieldType.INT32)] * 3
    + [("EventCumulativeLayoutShift", FieldType.FLOAT64), ("IndvId", FieldType.INT64)] * 3
).flatmap(lambda column: _known(*column))
RECORDS = st.lists(KNOWN | st.tuples(CUSTOM_KEYS, VALUES), max_size=10).map(tuple)
"""Any object: known fields of any case and kind of value, custom variables, keys that come twice."""


def spell(value: Any, chance: random.Random, spaces: tuple[str, ...] = ("",)) -> str:
    """A tree as JSON, white space and escapes as ``chance`` will have it."""

    def gap() -> str:
        return chance.choice(spaces)

    if isinstance(value, tuple):
        pairs = (
            f"{gap()}{_quoted(k, chance)}{gap()}:{gap()}{spell(v, chance, spaces)}{gap()}"
            for k, v in value
        )
        return "{" + (",".join(pairs) or gap()) + "}"
    if isinstance(value, list):
        items = (f"{gap()}{spell(v, chance, spaces)}{gap()}" for v in value)
        return "[" + (",".join(items) or gap()) + "]"
    if isinstance(value, Number):
        return value.text
    if isinstance(value, str):
        return _quoted(value, chance)
    return json.dumps(value)


def _quoted(text: str, chance: random.Random) -> str:
    bare = all(not 0xD800 <= ord(c) <= 0xDFFF for c in text)
    if bare and chance.random() < 0.7:
        return json.dumps(text, ensure_ascii=False)
    quoted = json.dumps(text)
    return quoted.replace("/", "\\/") if chance.random() < 0.2 else quoted


_SPACES = (("",), ("", " "), ("", "", "\n", " ", "\t", "\r\n  "))


@dataclass(frozen=True)
class Drawn:
    """A bundle: its text, and its body as served, in chunks."""

    text: bytes
    chunks: tuple[bytes, ...]
    seed: int


@st.composite
def bundles(draw: st.DrawFn, records: st.SearchStrategy[Any] = RECORDS) -> Drawn:
    """Whole bundles of any records, with any white space, gzip members and chunks."""
    trees = draw(st.lists(records, max_size=6))
    seed = draw(st.integers(0, 2**32))
    chance = random.Random(seed)
    text = spell(trees, chance, chance.choice(_SPACES)).encode()
    text = chance.choice((b"", b"", b"\xef\xbb\xbf", b" \n")) + text + chance.choice((b"", b"\n"))
    body = text if chance.random() < 0.3 else members(text, seed)
    return Drawn(text, tuple(chunked(body, seed)), seed)


def kinds(changes: Changes) -> dict[str, int]:
    """How often each kind of change was made, whatever the column."""
    totals: dict[str, int] = {}
    for (kind, _), times in sorted(changes.items()):
        totals[kind.value] = totals.get(kind.value, 0) + times
    return totals
