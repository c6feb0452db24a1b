"""Data from files: cut into windows by EventStart, the text of each record kept."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hauserpy.errors import ConfigError
from hauserpy.mockapi import MockApi, files
from tests.mockapi.client import get

HOSTILE = [
    '{"EventStart":"2026-01-01T23:59:59.999Z", "a" : 1.50,"b":123456789012345678901234567890}',
    '{ "EventStart" : "2026-01-02T01:00:00+02:00" , "c":"},{\\"\\ud83d", "d":{"e":[{}]} }',
    '{"EventStart":"2026-01-02T00:00:00Z","n":1}',
    '{"EventStart":"never","n":2}',
    '{"n":3}',
    '{"EventStart":"2026-01-01T00:00:00","n":4}',
    '{"EventStart":"2026-01-04T12:00:00Z","text":"grün 🌱"}',
]


def write(path: Path, text: str | bytes, *, packed: bool = False) -> Path:
    body = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(body) if packed else body)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_a_file_is_cut_by_utc_day_and_its_text_kept(tmp_path, packed, chunk, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", chunk)
    text = "\ufeff [\n" + " ,\r\n".join(HOSTILE) + "\n]\n\n"
    with MockApi(data=[write(tmp_path / "events", text, packed=packed)]) as api:
        days = [b.window.start.isoformat()[:10] for b in api.bundles]
        bodies = [gzip.decompress(get(api, n).body).decode() for n in (1, 2, 3)]
    assert days == ["2026-01-01", "2026-01-02", "2026-01-04"]
    expected = [[0, 1, 5], [2, 3, 4], [6]]
    assert bodies == ["[" + ",\n".join(HOSTILE[n] for n in day) + "]" for day in expected]


def test_windows_can_be_of_another_length(tmp_path):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    records = [{"EventStart": (start + timedelta(minutes=20 * n)).isoformat()} for n in range(9)]
    path = write(tmp_path / "e.json", json.dumps(records))
    with MockApi(data=[path], window=timedelta(hours=1)) as api:
        assert [len(get(api, n).records) for n in (1, 2, 3)] == [3, 3, 3]
        assert all(b.window.stop - b.window.start == timedelta(hours=1) for b in api.bundles)


def test_several_files_meet_in_their_windows(tmp_path):
    first = write(tmp_path / "1", '[{"EventStart":"2026-01-01T10:00:00Z","n":1}]')
    second = write(tmp_path / "2", '[{"EventStart":"2026-01-01T09:00:00Z","n":2}]', packed=True)
    with MockApi(data=[first, str(second)]) as api:
        assert [r["n"] for r in get(api).records] == [1, 2]


def test_records_without_a_time_at_the_head_go_with_the_first_that_has_one(tmp_path):
    path = write(tmp_path / "e", '[{"n":1},{"EventStart":"2026-01-01T10:00:00Z","n":2}]')
    with MockApi(data=[path]) as api:
        assert [r["n"] for r in get(api).records] == [1, 2]


def test_an_empty_array_offers_nothing(tmp_path):
    with MockApi(data=[write(tmp_path / "e", "[ ]")]) as api:
        assert api.bundles == []


@pytest.mark.parametrize(("text", "said"), [
    ("", "does not begin"), ("{}", "does not begin"), ("null", "does not begin"),
    ("<html>", "does not begin"), ('[{"a":1}', "comma or ]"), ('[{"a":1} {"b":2}]', "comma or ]"),
    ("[1]", "no object"), ('[{"a":1},]', "comma stands before its end"), ('[{"a":1', "after 0 records"),
    ('[{"EventStart":"2026-01-01T00:00:00Z"}] []', "follows"), ('[{"a":"\\x"}]', "not valid JSON"),
    ('[{"a":nope}]', "not valid JSON"), ("[", "ends where a record"), ("[{}, ", "ends where a record"),
    ("[" + '{"a":' * 100_000, "nested"),
    (b'[{"a":"\xff"}]', "UTF-8"), ('[{"n":1}]', "EventStart"),
])  # fmt: skip
def test_a_file_that_is_no_array_of_events_is_refused(tmp_path, text, said):
    with pytest.raises(ConfigError) as raised:
        MockApi(data=[write(tmp_path / "e.json", text)])
    assert said in str(raised.value)
    assert "e.json" in str(raised.value)
    assert "Expecting" not in str(raised.value)
    assert "codec" not in str(raised.value)


def test_a_gzip_that_is_cut_is_refused(tmp_path):
    whole = gzip.compress(b'[{"EventStart":"2026-01-01T00:00:00Z"}]')
    with pytest.raises(ConfigError, match=r"e\.json.* gzip ends too early"):
        MockApi(data=[write(tmp_path / "e.json", whole[:-6])])
    with pytest.raises(ConfigError, match=r"e\.json.* gzip is broken"):
        MockApi(data=[write(tmp_path / "e.json", whole[:-8] + bytes(8))])


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        MockApi(data=[tmp_path / "missing.json"])


def test_a_synthetic_bundle_comes_through_a_file_unchanged(tmp_path):
    with MockApi(bundles=2, events=300) as made:
        bodies = [get(made, n).body for n in (1, 2)]
    paths = [write(tmp_path / str(n), body) for n, body in enumerate(bodies)]
    with MockApi(data=paths) as api:
        assert [get(api, n).body for n in (1, 2)] == bodies
        assert api.bundles == made.bundles
