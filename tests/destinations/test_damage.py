"""A damaged ledger is told in plain words: what is wrong, in which file, object or table."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hauserpy.destinations import files, scope, sql
from hauserpy.destinations.journal import Commit, Journal
from hauserpy.destinations.objects import document
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import LedgerUnreadable
from hauserpy.ledger import Ledger
from tests.destinations.bundles import hour

PLACE = "/data/.hauserpy/ledger.json"
SCOPE = {"SegmentId": "everyone", "FilePrefix": ""}
ENTRY = LedgerEntry(hour(0), EntryKind.SYNC, "b", "load-1")
LEDGER = Ledger((ENTRY,), hour(0).stop)
TABLE = "fs_sync_ledger"

JARGON = re.compile(
    r"\w+Error\b|Expecting|isoformat|invalid literal|codec|object is not|argument|NoneType|not enough"
    r"|int\(\)|attribute|timezone|\+00:00"
)
"""What Python says of such things."""


def told(error: LedgerUnreadable, *says: str) -> None:
    for text in says:
        assert text in error.reason
    assert not JARGON.search(str(error)), str(error)
    assert error.reason.isprintable() and len(error.reason) < 400
    assert error.instruction


def spoiled(**news: Any) -> bytes:
    """The document with ``news`` in its only entry; ``...`` takes a key away."""
    data = json.loads(files.encode(LEDGER, SCOPE))
    (entry,) = data["entries"]
    entry |= news
    data["entries"] = [{k: v for k, v in entry.items() if v is not ...}]
    return json.dumps(data).encode()


def headed(**news: Any) -> bytes:
    data = json.loads(files.encode(LEDGER, SCOPE)) | news
    return json.dumps({k: v for k, v in data.items() if v is not ...}).encode()


DOCUMENTS = [
    (b"", "it is empty"),
    (b" \n", "it is empty"),
    (files.encode(LEDGER, SCOPE)[:-20], "it is not whole JSON (line"),
    (b"{\n oops", "it is not whole JSON (line 2, column 2)"),
    (b"\xff\xfe\xfa", "it is not text"),
    (b"[" * 100_000, "it is nested too deeply"),
    (b'{"version": ' + b"1" * 5000 + b"}", "it holds a number that is too long"),
    (b"[]", "it is no ledger"),
    (b"null", "it is no ledger"),
    (headed(entries={}), "it is no ledger"),
    (headed(version=...), '"version" is missing'),
    (headed(version="new"), '"version" is "new", and must be a whole number'),
    (headed(checkpoint=...), '"checkpoint" is missing'),
    (
        headed(checkpoint="yesterday"),
        '"checkpoint" is "yesterday", and must be a time such as 2026',
    ),
    (headed(checkpoint="2026-11-01"), '"checkpoint" is "2026-11-01", and must be a time such as'),
    (headed(checkpoint="2026-02-30T00:00:00Z"), '"checkpoint" is "2026-02-30T00:00:00Z", and must'),
    (headed(checkpoint=7), '"checkpoint" is 7, and must be a time'),
    (headed(entries=[5]), "entry 1 is 5, and must be an object"),
    (headed(entries=[ENTRY.to_json(), ENTRY.to_json()]), "overlap"),
    (headed(scope=[]), "it must be a JSON object"),
    (headed(version=99), "version 99"),
    (spoiled(version=99), "version 99"),
    (spoiled(version="x"), 'entry 1, cannot be read: "version" is "x", and must be a whole number'),
    (spoiled(start=...), 'entry 1, cannot be read: "start" is missing'),
    (
        spoiled(start="yesterday"),
        'entry 1, cannot be read: "start" is "yesterday", and must be a time such as 2026',
    ),
    (
        spoiled(stop="2026-11-01T01:00:00"),
        'entry 1, cannot be read: "stop" is "2026-11-01T01:00:00", and must',
    ),
    (
        spoiled(stop="2000-01-01T00:00:00Z"),
        'entry 1, cannot be read: "stop" is "2000-01-01T00:00:00Z", before',
    ),
    (
        spoiled(kind="x\x1b[2J"),
        'entry 1, cannot be read: "kind" is "x\\u001b[2J", and must be one of sync, backfill',
    ),
    (spoiled(load=""), 'entry 1, cannot be read: "load" is "", and must be'),
    (
        spoiled(records="many"),
        'entry 1, cannot be read: "records" is "many", and must be a whole number',
    ),
    (spoiled(records=1e400), 'entry 1, cannot be read: "records" is'),
    (spoiled(changes=5), 'entry 1, cannot be read: "changes" is 5, and must be counts'),
    (
        spoiled(changes={"odd": {"a": 1}}),
        'entry 1, cannot be read: "changes" is {"odd": {"a": 1}}, and must be',
    ),
    (spoiled(files=[{"name": "x" * 900}]), 'entry 1, cannot be read: "files" is'),
    (spoiled(first_event=3), 'entry 1, cannot be read: "first_event" is 3, and must be a time'),
]


@pytest.mark.parametrize(("damaged", "says"), DOCUMENTS, ids=lambda v: str(v)[:24])
def test_a_damaged_ledger_document(damaged: bytes, says: str) -> None:
    for decode in (files.decode, document.decode):
        with pytest.raises(LedgerUnreadable) as caught:
            decode(damaged, PLACE, SCOPE)
        told(caught.value, PLACE, says)


@pytest.mark.parametrize("listed", ["5", "[5]", '[{"name": "a"}]', "{}x"])
def test_a_damaged_list_of_objects_to_remove(listed: str) -> None:
    whole = files.encode(LEDGER, SCOPE).rstrip()[:-1]
    with pytest.raises(LedgerUnreadable) as caught:
        document.decode(whole + f',"remove":{listed}}}'.encode(), PLACE, SCOPE)
    told(caught.value, PLACE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "it is empty"),
        (b"yesterday", 'it says "yesterday", which is not a time'),
        (b"2026-11-01T02:00:00", 'it says "2026-11-01T02:00:00", which is not a time'),
        (b"2026-11-01", 'it says "2026-11-01", which is not a time'),
        (b"2026-W45-1T00:00:00Z", "which is not a time"),
        (b"2026-13-01T02:00:00Z", "which is not a time"),
        (b"0001-01-01T00:00:00+23:59", "which is not a time"),
        (b"1969-12-31T00:00:00Z", "before 1970"),
        (b"\xff\x00\x1b[2J", "it is not text"),
        (b"x\x1b[2J" + b"y" * 10_000, 'it says "x\\u001b[2Jyyy'),
    ],
)
def test_a_damaged_mark_of_hausers(text: bytes, says: str) -> None:
    with pytest.raises(LedgerUnreadable) as caught:
        files.read_hauser_mark(text, "/data/.sync.hauser")
    told(caught.value, "/data/.sync.hauser", says)
    assert "2026-11-23T04:00:00Z" in caught.value.instruction


@pytest.mark.parametrize("text", ["2026-11-01T02:00:00Z\n", "2026-11-01T03:00:00.00+01:00"])
def test_a_mark_as_go_writes_it(text: str) -> None:
    found = files.read_hauser_mark(text.encode(), "")
    assert found == datetime(2026, 11, 1, 2, tzinfo=UTC) and found.tzinfo is UTC


@pytest.mark.parametrize(
    ("damaged", "says"),
    [
        (b"", "it is empty"),
        (b'{"ledger": ', "it is not whole JSON (line 1"),
        (b"[]", "it is no commit"),
        (b'{"ledger": 5, "moves": [], "remove": []}', "it is no commit"),
        (b'{"moves": [], "remove": []}', "it is no commit"),
        (json.dumps({"ledger": "{", "moves": [], "remove": []}).encode(), "it is not whole JSON"),
        (json.dumps({"ledger": files.encode(LEDGER, SCOPE).decode(), "moves": [["a"]],
                     "remove": []}).encode(), "it is no commit"),
    ],
)  # fmt: skip
def test_a_damaged_commit(tmp_path: Path, damaged: bytes, says: str) -> None:
    journal = Journal(tmp_path, SCOPE)
    path = tmp_path / ".hauserpy" / "commit.json"
    path.parent.mkdir()
    journal.write(Commit(LEDGER))
    assert journal.read() == Commit(LEDGER)
    path.write_bytes(damaged)
    with pytest.raises(LedgerUnreadable) as caught:
        journal.read()
    told(caught.value, str(path), says)


@pytest.mark.parametrize(
    ("news", "says"),
    [
        ({"StartTime": None}, "StartTime is null, and must be a time"),
        ({"Kind": "odd"}, 'Kind is "odd", and must be one of sync, backfill, skip, hauser'),
        ({"LoadId": None}, "LoadId is null, and must be"),
        ({"Records": None}, "Records is null, and must be a whole number"),
        ({"Changes": "{"}, 'Changes is "{", and must be'),
        ({"Changes": "[" * 100_000}, 'Changes is "[[['),
        ({"Changes": 5}, "Changes is 5, and must be"),
        ({"Changes": '{"unfit": 5}'}, 'Changes is {"unfit": 5}, and must be'),
        ({"LoadedAt": "noon"}, 'LoadedAt is "noon", and must be a time'),
        ({"Version": None}, "Version is null, and must be a whole number"),
        ({"Version": 99}, "version 99"),
    ],
)
def test_a_damaged_row_of_the_ledger_table(news: dict[str, Any], says: str) -> None:
    with pytest.raises(LedgerUnreadable) as caught:
        sql.entry_of(sql.row_of(ENTRY) | news, TABLE)
    told(caught.value, TABLE, says)


def test_a_damaged_row_is_told_by_its_load() -> None:
    with pytest.raises(LedgerUnreadable) as caught:
        sql.stored([sql.row_of(ENTRY) | {"Kind": "odd"}], None, None, None, TABLE)
    told(caught.value, f'the row with LoadId "load-1" in {TABLE}')


def test_rows_that_overlap_are_told_with_their_table() -> None:
    twice = sql.Stored((ENTRY, ENTRY))
    with pytest.raises(LedgerUnreadable) as caught:
        twice.ledger("fs_sync")
    told(caught.value, TABLE, "overlap")


@pytest.mark.parametrize("text", ["", "x", "7", "null", "[]", '{"a": 1}', "{", "[" * 100_000])
def test_a_damaged_scope(text: str) -> None:
    with pytest.raises(LedgerUnreadable) as caught:
        scope.decode(text, TABLE)
    told(caught.value, TABLE)
