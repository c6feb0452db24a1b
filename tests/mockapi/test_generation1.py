"""Generation 1: the list, its paging and its variants; bodies and how they are sent."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from hauserpy.mockapi import MockApi
from hauserpy.model import Window
from tests.mockapi.client import get, listing, send

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_list_shows_bundles_oldest_first_with_ids_beyond_32_bits():
    with MockApi(bundles=3, events=5) as api:
        found = listing(api)
    assert [e["Start"] for e in found] == sorted(e["Start"] for e in found)
    assert len(found) == 3
    assert all(e["Stop"] - e["Start"] == 86400 and e["Id"] > 2**32 for e in found)
    assert [str(e["Id"]) for e in found] == [b.id for b in api.bundles]


def test_the_list_holds_twenty_and_goes_on_from_the_last_stop():
    with MockApi(bundles=45, events=0) as api:
        pages, start = [], 0
        while page := listing(api, start):
            pages.append(page)
            start = page[-1]["Stop"]
    assert [len(p) for p in pages] == [20, 20, 5]
    assert [e["Id"] for p in pages for e in p] == [int(b.id) for b in api.bundles]


def test_a_cursor_short_of_the_stop_gives_the_bundle_again():
    with MockApi(bundles=1, events=0) as api:
        stop = listing(api)[0]["Stop"]
        assert len(listing(api, stop - 1)) == 1
        assert listing(api, stop) == []


def test_a_bundle_is_offered_a_day_after_its_end():
    now = [START + 2 * DAY - timedelta(seconds=1)]
    with MockApi(bundles=2, events=1, start_time=START, clock=lambda: now[0]) as api:
        assert listing(api) == []
        assert get(api, 1).status == 404
        now[0] = START + 2 * DAY
        assert len(listing(api)) == 1
        now[0] += DAY
        assert len(listing(api)) == 2
        assert get(api, 2).status == 200


@pytest.mark.parametrize(("keys", "expected"), [
    ("title", {"Start", "Stop", "Id"}), ("upper", {"START", "STOP", "ID"}),
    ("lower", {"start", "stop", "id"}),
])  # fmt: skip
def test_keys_of_the_list_come_in_any_case(keys, expected):
    with MockApi(bundles=1, events=0, list_keys=keys) as api:
        assert listing(api)[0].keys() == expected


def test_numbers_of_the_list_can_be_decimal_strings():
    with MockApi(bundles=1, events=0, list_text=True) as api:
        found = listing(api)[0]
        assert all(isinstance(value, str) and value.isdigit() for value in found.values())
        assert send(api, f"/api/v1/export/get?id={found['Id']}").status == 200


def test_a_body_is_one_gzip_of_one_array_with_its_length():
    with MockApi(bundles=1, events=50) as api:
        answer = get(api)
    assert answer.headers["Content-Type"] == "application/gzip"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert "DataExport.json.gz" in answer.headers["Content-Disposition"]
    assert answer.records == api.records()
    assert len(answer.records) == 50


def test_a_body_can_be_gzip_of_the_transport():
    with MockApi(bundles=1, events=5, encoding="content-encoding") as api:
        answer = get(api)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.records == api.records()


def test_a_body_can_come_gunzipped():
    with MockApi(bundles=1, events=5, encoding="plain") as api:
        answer = get(api)
    assert "Content-Encoding" not in answer.headers
    assert answer.json == api.records()


def test_a_body_can_come_chunked():
    with MockApi(bundles=1, events=5, chunked=True) as api:
        answer = get(api)
        plain = send(api, "/api/v1/export/list?start=0")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers
    assert answer.records == api.records()
    assert "Content-Length" in plain.headers


def test_a_bundle_without_events_is_an_empty_array():
    with MockApi(bundles=1, events=0) as api:
        assert get(api).records == []


@pytest.mark.parametrize(("target", "status"), [
    ("/api/v1/export/get?id=1", 404), ("/api/v1/export/get", 400),
    ("/api/v1/export/list?start=yesterday", 400), ("/api/v1/export/other", 404),
])  # fmt: skip
def test_what_cannot_be_answered_says_so_in_json(target, status):
    with MockApi(bundles=1, events=0) as api:
        answer = send(api, target)
    assert answer.status == status
    assert answer.json.keys() == {"message", "code"}


def test_another_method_is_refused():
    with MockApi(bundles=1, events=0) as api:
        answer = send(api, "/api/v1/export/list", method="POST", body={})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("token", [None, "wrong", "na1.mocké"])
def test_without_the_right_token_there_is_nothing(token):
    with MockApi(bundles=1, events=0) as api:
        answer = send(api, "/api/v1/export/list?start=0", token=token)
    assert answer.status == 401
    assert answer.json.keys() == {"message", "code"}


def test_the_token_can_be_chosen():
    with MockApi(bundles=1, events=0, token="eu1.mine") as api:
        assert send(api, "/api/v1/export/list?start=0", token="eu1.mine").status == 200
        assert send(api, "/api/v1/export/list?start=0", token="na1.mock").status == 401


def test_downloads_are_limited_to_so_many_a_minute():
    now = [datetime(2026, 11, 1, tzinfo=UTC)]
    with MockApi(bundles=1, events=1, rate_limit=2, clock=lambda: now[0]) as api:
        assert [get(api).status for _ in range(3)] == [200, 200, 429]
        now[0] += timedelta(seconds=20)
        refused = get(api)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "40")
        now[0] += timedelta(seconds=40)
        assert get(api).status == 200
        assert len(listing(api)) == 1, "the list is not limited"


def test_the_date_is_that_of_the_clock():
    with MockApi(clock=lambda: datetime(2026, 11, 23, 4, 0, tzinfo=UTC), events=0) as api:
        answer = send(api, "/api/v1/export/list?start=0")
    assert answer.headers["Date"] == "Mon, 23 Nov 2026 04:00:00 GMT"


def test_literal_bodies_are_served_to_the_byte():
    window = Window(START, START + DAY)
    packed = gzip.compress(b'[{"a":1}]') + b"x"
    with MockApi(bodies={window: packed}) as api:
        assert get(api).body == packed
        api.add(Window(START + DAY, START + 2 * DAY), b' [ {"B" : 1e400} ]\n')
        assert gzip.decompress(get(api, 2).body) == b' [ {"B" : 1e400} ]\n'


def test_a_bundle_can_change_between_two_downloads():
    window = Window(START, START + DAY)
    with MockApi(bodies={window: b"[]"}) as api:
        assert get(api).records == []
        api.add(window, json.dumps([{"late": True}]).encode())
        assert get(api).records == [{"late": True}]
        assert len(api.bundles) == 1
