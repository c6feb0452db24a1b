"""Any bundle, in any format and layout: the rows are those of the plain reference."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.fields import catalogue, table_columns
from hauserpy.layout import (
    Column,
    Compression,
    CustomVarsKind,
    FieldType,
    Layout,
    StageFormat,
    TimeStyle,
)
from tests import reading, reference
from tests.bundles import COLUMNS, FILE_COLUMNS, RECORDS, WINDOW, Drawn, bundles, staged

_MOBILE = table_columns(catalogue(mobile=True))
_OLD_TABLE = tuple(
    Column("pageagent", c.field, c.type) if c.field == "PageUserAgent" else c for c in COLUMNS
)
_TIGHT = table_columns(catalogue(), max_bytes=40)
_SUPER = tuple(
    Column(c.name, c.field, c.type, 100 if c.type is FieldType.STRING else None) for c in COLUMNS
)

LAYOUTS = {
    "local csv": Layout(FILE_COLUMNS),
    "local csv.gz": Layout(FILE_COLUMNS, compression=Compression.GZIP),
    "local jsonl": Layout(
        FILE_COLUMNS, format=StageFormat.JSONL, custom_vars=CustomVarsKind.OBJECT
    ),
    "local parquet": Layout(FILE_COLUMNS, format=StageFormat.PARQUET),
    "mobile jsonl": Layout(_MOBILE, format=StageFormat.JSONL),
    "old table": Layout(_OLD_TABLE, header=False, null="\0", time_style=TimeStyle.SQL),
    "redshift": Layout(
        _TIGHT,
        compression=Compression.GZIP,
        header=False,
        null="\0",
        time_style=TimeStyle.SQL,
        part_bytes=1 << 30,
    ),
    "redshift super": Layout(
        _SUPER,
        header=False,
        null="\0",
        time_style=TimeStyle.SQL,
        custom_vars=CustomVarsKind.TYPED,
        custom_value_bytes=30,
    ),
    "bigquery": Layout(
        COLUMNS,
        format=StageFormat.JSONL,
        compression=Compression.GZIP,
        header=False,
        custom_vars=CustomVarsKind.TYPED,
        int64_as_text=True,
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
@given(bundle=bundles(), batch_bytes=st.sampled_from((1, 10, 100, 1000, 1 << 20)))
def test_rows_are_those_of_the_reference(name: str, bundle: Drawn, batch_bytes: int) -> None:
    layout = LAYOUTS[name]
    records = reference.parse(bundle.text)
    wanted = [reference.row(record, layout, WINDOW) for record in records]
    made = staged(bundle.chunks, layout, batch_bytes=batch_bytes)

    assert made.staged.records == len(records)
    assert made.staged.bytes == len(bundle.text)
    starts = [row.event_start for row in wanted if row.event_start is not None]
    assert made.staged.first_event == min(starts, default=None)
    assert made.staged.last_event == max(starts, default=None)
    assert len(made.parts) == (1 if records else 0)
    changes = sum((row.changes for row in wanted), Counter())
    if records:
        body = made.parts[0]
        if layout.compression is Compression.GZIP:
            body = gzip.decompress(body)
        found = reading.READERS[layout.format](body, layout)
        changes["custom_vars_cut", "CustomVars"] += reading.agree(found, wanted, layout)
    assert reading.counted(made.staged.changes) == +changes


@pytest.mark.parametrize("compression", Compression)
@given(bundle=bundles(), batch_bytes=st.sampled_from((1, 10, 100, 1 << 20)))
def test_raw_is_the_array_as_it_was_served(
    compression: Compression, bundle: Drawn, batch_bytes: int
) -> None:
    layout = Layout(FILE_COLUMNS, format=StageFormat.RAW, compression=compression)
    records = reference.parse(bundle.text)
    made = staged(bundle.chunks, layout, batch_bytes=batch_bytes)

    assert made.staged.records == len(records)
    assert not made.staged.changes
    starts = [reference.row(r, layout, WINDOW).event_start for r in records]
    found = [start for start in starts if start is not None]
    assert made.staged.first_event == min(found, default=None)
    assert made.staged.last_event == max(found, default=None)
    body = b"".join(made.parts)
    if records:
        if compression is Compression.GZIP:
            body = zlib.decompress(body, 31)
        assert body == bundle.text.removeprefix(b"\xef\xbb\xbf").strip()
    else:
        assert body == b""


@given(bundle=bundles(st.lists(RECORDS, min_size=1, max_size=1).map(lambda one: one[0])))
def test_nothing_of_a_record_is_missing_from_its_row(bundle: Drawn) -> None:
    layout = LAYOUTS["local jsonl"]
    for record in reference.parse(bundle.text):
        text = reference.write_exactly(record).encode()
        made = staged([b"[" + text + b"]"], layout)
        (row,) = reading.json_rows(made.parts[0], layout)
        custom = reference.parse(row["CustomVars"])
        changed = {column for _, column in made.staged.changes}
        column_of = {
            reference.key_for(c.field, record): c.name
            for c in layout.columns
            if c.type is not FieldType.CUSTOM_VARS
        }
        for key, value in record.items():
            if key in custom and reference.write(custom[key]) == reference.write(value):
                continue
            column = column_of.get(key)
            if column is None or row[column] is None:
                empty = column is not None and value in (None, "")
                assert empty or "CustomVars" in changed or column in changed, key
            else:
                assert column in changed or reference.same(row[column], value), key
