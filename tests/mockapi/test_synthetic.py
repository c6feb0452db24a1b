"""Synthetic events: deterministic, in order, realistic, streamed."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from hauserpy.fields import catalogue
from hauserpy.mockapi import MockApi, synthetic
from hauserpy.mockapi.content import json_array
from hauserpy.model import Window
from tests.mockapi.client import get

DAY = Window(synthetic.END - timedelta(days=1), synthetic.END)


def texts(**options: int) -> list[bytes]:
    window = options.pop("window", DAY)
    return [text for batch in synthetic.records(window, **options) for text in batch]


@pytest.fixture(scope="module")
def events() -> list[dict[str, object]]:
    return [json.loads(text) for text in texts(events=6000)]


def test_the_same_arguments_give_the_same_bytes():
    first = b"".join(texts(seed=5, events=300))
    assert first == b"".join(texts(seed=5, events=300))
    assert first != b"".join(texts(seed=6, events=300))


def test_a_window_gives_the_same_however_many_there_are():
    with MockApi(bundles=2, events=30) as two, MockApi(bundles=5, events=30) as five:
        assert get(two, 2).body == get(five, 5).body
        assert two.bundles[1] == five.bundles[4]
        assert get(two, 1).body != get(two, 2).body


def test_windows_are_consecutive_days_to_a_fixed_end():
    with MockApi(bundles=4, events=0) as api:
        windows = [b.window for b in api.bundles]
    assert windows[-1].stop == synthetic.END
    assert all(a.stop == b.start for a, b in pairwise(windows))


@pytest.mark.parametrize("minutes", [1, 15, 30, 60, 24 * 60])
def test_events_lie_within_their_window_in_order(minutes):
    window = Window(DAY.start, DAY.start + timedelta(minutes=minutes))
    starts = [json.loads(text)["EventStart"] for text in texts(window=window, events=400)]
    moments = [datetime.fromisoformat(start) for start in starts]
    assert len(moments) == 400
    assert moments == sorted(moments)
    assert all(moment in window for moment in moments)


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513])
def test_there_are_as_many_events_as_asked_for(count):
    assert len(texts(events=count)) == count


@pytest.mark.parametrize("size", [1, 20_000, 3_000_000])
def test_there_are_as_many_bytes_as_asked_for(size):
    text = b"".join(json_array(lambda: synthetic.records(DAY, bytes=size)).chunks())
    assert size <= len(text) < size + 10_000
    json.loads(text)


def test_every_record_is_plain_json_of_about_the_promised_size(events):
    sizes = [len(text) for text in texts(events=2000)]
    assert 0.8 * synthetic.ABOUT < sum(sizes) / len(sizes) < 1.2 * synthetic.ABOUT
    assert all(isinstance(record, dict) for record in events)


def test_ids_are_beyond_what_a_double_holds(events):
    for name in ("IndvId", "UserId", "SessionId", "PageId"):
        ids = {record[name] for record in events}
        assert all(2**53 < id < 2**63 for id in ids)
        assert len(ids) > 30
    assert len({r["UserId"] for r in events}) < len({r["SessionId"] for r in events})


def test_people_browse_rage_err_and_buy(events):
    types = Counter(record["EventType"] for record in events)
    assert {"navigate", "load", "click", "change", "custom", "exception", "request"} <= types.keys()
    names = Counter(record.get("EventCustomName") for record in events)
    assert names["Order Completed"] and names["Product Viewed"]
    assert any(record.get("EventModDead") for record in events)
    assert any(record.get("EventModError") for record in events)
    assert any(record.get("ReqStatus") == 500 for record in events)


def test_a_rage_click_series_is_a_running_total(events):
    series: dict[object, list[int]] = {}
    for record in events:
        if record.get("EventModFrustrated"):
            series.setdefault(record["SessionId"], []).append(record["EventModFrustrated"])
    whole = [clicks for clicks in series.values() if len(clicks) > 2]
    assert whole
    assert all(clicks == list(range(1, len(clicks) + 1)) for clicks in whole)


def test_custom_variables_have_every_suffix_dots_and_no_prefix(events):
    known = {field.name for field in catalogue()} | {"PageAgent"}
    custom = {key for record in events for key in record if key not in known}
    kinds = ("str", "int", "real", "bool", "date")
    suffixes = {key.rsplit("_", 1)[1] for key in custom}
    assert suffixes == {*kinds, *(kind + "s" for kind in kinds)}
    assert any("." in key for key in custom)
    assert any(not key.startswith(("user_", "evt_", "page_")) for key in custom)
    mean = sum(sum(key not in known for key in record) for record in events) / len(events)
    assert 5 <= mean <= 8


def test_fields_are_absent_in_many_ways(events):
    assert len({tuple(record) for record in events}) > 2000
    assert any(record.get("UserAppKey") == "" for record in events)
    assert any("UserAppKey" not in record for record in events)
    assert any(None in record.values() for record in events)


def test_texts_hold_what_texts_hold():
    body = b"\n".join(texts(events=3000))
    for mark in ("😕", "届け先", "سارة", "\\n", '\\"', "\\\\", "\\u00e9", "\\ud83d\\ude15"):
        assert mark.encode() in body, mark
    tricky = sum(b"\\n" in text or b'\\"' in text for text in body.split(b"\n"))
    assert 0.25 < tricky / 3000 < 0.5


def test_a_session_is_one_persons_and_its_pages_are_its_own(events):
    person: dict[object, object] = {}
    session: dict[object, object] = {}
    for record in events:
        assert person.setdefault(record["SessionId"], record["UserId"]) == record["UserId"]
        assert session.setdefault(record["PageId"], record["SessionId"]) == record["SessionId"]
        assert record["SessionStart"] <= record["PageStart"] <= record["EventStart"]


def test_memory_does_not_grow_with_the_bundle():
    for _ in synthetic.records(DAY, events=20_000):
        pass  # scripts and profiles are cached; what is measured is the stream

    def peak(count: int) -> int:
        tracemalloc.start()
        size = sum(
            len(c) for c in json_array(lambda: synthetic.records(DAY, events=count)).chunks()
        )
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size > count * 1000
        return most

    assert peak(20_000) < 8 << 20, "28 MB of JSON text"


def test_a_bundle_can_be_written_to_a_file(tmp_path):
    path = tmp_path / "bundle.json.gz"
    size = synthetic.write_bundle(path, bytes=200_000, seed=3, window=DAY)
    text = gzip.decompress(path.read_bytes())
    assert len(text) == size >= 200_000
    assert json.loads(text) == [json.loads(t) for t in texts(bytes=200_000, seed=3)]


def test_events_or_bytes_but_not_both():
    with pytest.raises(ValueError, match="either"):
        next(synthetic.records(DAY, events=1, bytes=1))
