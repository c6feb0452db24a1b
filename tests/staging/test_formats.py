"""What NULL, empty and awkward text look like in each format, to the byte."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pyarrow.ipc
import pytest

from hauserpy.decode.split import Batch
from hauserpy.layout import (
    Column,
    Compression,
    CustomVarsKind,
    FieldType,
    Layout,
    StageFormat,
    TimeStyle,
    extension,
)
from hauserpy.pipeline.convert import Converter, Job
from hauserpy.staging import encoder_for
from tests.bundles import WINDOW

COLUMNS = (
    Column("Id", "IndvId", FieldType.INT64),
    Column("Small", "PageNumEvents", FieldType.INT32),
    Column("Shift", "EventCumulativeLayoutShift", FieldType.FLOAT64),
    Column("At", "EventStart", FieldType.TIME),
    Column("Url", "PageUrl", FieldType.STRING),
    Column("Vars", "CustomVars", FieldType.CUSTOM_VARS),
    Column("Window", "BundleStartTime", FieldType.WINDOW_START),
)
FULL = {
    "IndvId": 9007199254740993, "PageNumEvents": 3, "EventCumulativeLayoutShift": 0.25,
    "EventStart": "2026-11-22T04:05:06.250Z", "PageUrl": "u", "a": 'say "hi", \n',
}  # fmt: skip


def text(record: dict[str, Any], **rules: Any) -> str:
    layout = Layout(COLUMNS, **rules)
    converter = Converter(Job(layout, WINDOW, None, 1 << 20))
    return converter.convert(Batch(json.dumps(record).encode(), 0, True)).data.decode()


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ({}, ",,,,,{},2026-11-22T00:00:00Z\n"),
        ({"PageUrl": ""}, ',,,,"",{},2026-11-22T00:00:00Z\n'),
        ({"PageUrl": "a,b"}, ',,,,"a,b",{},2026-11-22T00:00:00Z\n'),
        ({"PageUrl": 'a"b'}, ',,,,"a""b",{},2026-11-22T00:00:00Z\n'),
        ({"PageUrl": "a\rb"}, ',,,,"a\rb",{},2026-11-22T00:00:00Z\n'),
        ({"PageUrl": "a\nb"}, ',,,,"a\nb",{},2026-11-22T00:00:00Z\n'),
        ({"PageUrl": " \u2028;'\t"}, ",,,, \u2028;'\t,{},2026-11-22T00:00:00Z\n"),
        (
            FULL,
            '9007199254740993,3,0.25,2026-11-22T04:05:06.25Z,u,"{""a"":""say \\""hi\\"", \\n""}",2026-11-22T00:00:00Z\n',
        ),
    ],
)  # fmt: skip
def test_local_csv(record: dict[str, Any], line: str) -> None:
    assert text(record) == line


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ({}, ",,,,\0,{},2026-11-22 00:00:00\n"),
        ({"PageUrl": ""}, ",,,,,{},2026-11-22 00:00:00\n"),
        ({"PageUrl": "\0"}, ",,,,,{},2026-11-22 00:00:00\n"),
        ({"PageUrl": "a\rb", "EventStart": "2026-11-22T04:05:06Z"},
         ',,,2026-11-22 04:05:06,"a\rb",{},2026-11-22 00:00:00\n'),
    ],
)  # fmt: skip
def test_redshift_csv(record: dict[str, Any], line: str) -> None:
    assert text(record, null="\0", time_style=TimeStyle.SQL) == line


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ({}, '{"Vars":{},"Window":"2026-11-22T00:00:00Z"}\n'),
        ({"PageUrl": "", "n": None, "b": {"c": [1.50]}},
         '{"Url":"","Vars":{"n":null,"b":{"c":[1.5]}},"Window":"2026-11-22T00:00:00Z"}\n'),
        ({"PageUrl": "\u2028é\r\n\x7f"},
         '{"Url":"\u2028é\\r\\n\x7f","Vars":{},"Window":"2026-11-22T00:00:00Z"}\n'),
    ],
)  # fmt: skip
def test_json_lines_with_an_object(record: dict[str, Any], line: str) -> None:
    found = text(record, format=StageFormat.JSONL, custom_vars=CustomVarsKind.OBJECT)
    assert found == line


def test_json_lines_with_integers_as_text() -> None:
    found = json.loads(text(FULL, format=StageFormat.JSONL, int64_as_text=True))
    assert found == {
        "Id": "9007199254740993", "Small": 3, "Shift": 0.25, "At": "2026-11-22T04:05:06.25Z",
        "Url": "u", "Vars": '{"a":"say \\"hi\\", \\n"}', "Window": "2026-11-22T00:00:00Z",
    }  # fmt: skip


def test_the_head_names_the_columns() -> None:
    assert encoder_for(Layout(COLUMNS)).head == b"Id,Small,Shift,At,Url,Vars,Window\n"
    assert encoder_for(Layout(COLUMNS, header=False)).head == b""
    odd = Layout((Column('a "b",c', "PageUrl", FieldType.STRING),))
    assert encoder_for(odd).head == b'"a ""b"",c"\n'


def test_one_column_alone_is_still_a_line() -> None:
    for value, line in (("", '""\n'), ("x", "x\n")):
        layout = Layout((Column("Url", "PageUrl", FieldType.STRING),))
        converter = Converter(Job(layout, WINDOW, None, 1 << 20))
        body = json.dumps({"PageUrl": value}).encode()
        assert converter.convert(Batch(body, 0, True)).data.decode() == line


@pytest.mark.parametrize(
    ("format", "compression", "name"),
    [
        (StageFormat.CSV, Compression.NONE, "csv"),
        (StageFormat.CSV, Compression.GZIP, "csv.gz"),
        (StageFormat.JSONL, Compression.GZIP, "jsonl.gz"),
        (StageFormat.RAW, Compression.NONE, "json"),
        (StageFormat.RAW, Compression.GZIP, "json.gz"),
        (StageFormat.PARQUET, Compression.NONE, "parquet"),
        (StageFormat.PARQUET, Compression.GZIP, "parquet"),
    ],
)
def test_extensions(format: StageFormat, compression: Compression, name: str) -> None:
    assert extension(format, compression) == name


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("format", [StageFormat.CSV, StageFormat.JSONL, StageFormat.PARQUET])
def test_columns_come_in_any_order(order: tuple[int, ...], format: StageFormat) -> None:
    names = [("IndvId", FieldType.INT64), ("EventType", FieldType.STRING),
             ("EventStart", FieldType.TIME), ("CustomVars", FieldType.CUSTOM_VARS)]  # fmt: skip
    columns = [Column(name, name, kind) for name, kind in names]
    record = {
        "EventStart": "2026-11-22T04:05:06.250Z",
        "EventType": "null [click]",
        "IndvId": 7,
        "a": 1,
    }
    wanted = {"IndvId": "7", "EventType": "null [click]", "EventStart": "2026-11-22T04:05:06.25Z",
              "CustomVars": '"{""a"":1}"'}  # fmt: skip
    layout = Layout(tuple(columns[n] for n in order), format=format)
    batch = Batch(json.dumps(record).encode(), 0, True)
    data = Converter(Job(layout, WINDOW, None, 1 << 20)).convert(batch).data
    if format is StageFormat.CSV:
        assert data.decode() == ",".join(wanted[names[n][0]] for n in order) + "\n"
    elif format is StageFormat.JSONL:
        assert list(json.loads(data)) == [names[n][0] for n in order]
        assert json.loads(data)["EventType"] == "null [click]"
    else:
        (row,) = pyarrow.ipc.open_stream(data).read_all().to_pylist()
        assert list(row) == [names[n][0] for n in order]
        assert (row["IndvId"], row["EventType"], row["CustomVars"]) == (
            7,
            "null [click]",
            '{"a":1}',
        )
