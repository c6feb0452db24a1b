"""Generation 2: exports, operations, signed locations on another host, field selection."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from hauserpy.fields import catalogue
from hauserpy.mockapi import MockApi
from hauserpy.model import Window, rfc3339
from tests.mockapi.client import completed, create, export, get, locate, send

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(START, START + DAY)


def event(minute: int, **fields: object) -> dict[str, object]:
    return {"EventStart": rfc3339(START + timedelta(minutes=minute)), **fields}


def serving(*records: object, **options: object) -> MockApi:
    return MockApi(bodies={WINDOW: json.dumps(records).encode()}, **options)


def test_an_operation_shows_progress_and_then_its_results():
    with MockApi(events=3, polls=3) as api:
        operation = create(api, api.bundles[0].window).json["operationId"]
        answers = [send(api, f"/operations/v1/{operation}").json for _ in range(4)]
    assert [a["state"] for a in answers] == ["PENDING"] * 3 + ["COMPLETED"]
    percent = [a["estimatePctComplete"] for a in answers]
    assert percent == sorted(percent)
    assert percent[-1] == 100 > percent[-2]
    assert {a["type"] for a in answers} == {"SEARCH_EXPORT"}
    assert answers[-1]["results"].keys() == {"searchExportId", "expires"}
    assert "results" not in answers[0]


def test_the_file_is_at_a_signed_location_on_another_host():
    with MockApi(events=10) as api:
        location = locate(api, api.bundles[0].window)
        answer = send(api, location, token=None)
    assert location.startswith(api.storage_url)
    assert not location.startswith(api.segments_url)
    assert len(answer.records) == 10
    assert int(answer.headers["Content-Length"]) == len(answer.body)


def test_a_token_that_reaches_the_other_host_is_refused_and_recorded():
    with MockApi(events=1) as api:
        location = locate(api, api.bundles[0].window)
        assert send(api, location).status == 400
        leaked = [r for r in api.requests if r.server == "storage"]
    assert [r.headers["authorization"] for r in leaked] == [f"Basic {api.token}"]


def test_a_location_expires_and_a_fresh_one_does_not():
    now = [datetime(2026, 11, 1, tzinfo=UTC)]
    with MockApi(events=1, clock=lambda: now[0]) as api:
        location = locate(api, api.bundles[0].window)
        now[0] += timedelta(minutes=4, seconds=59)
        assert send(api, location, token=None).status == 200
        now[0] += timedelta(seconds=1)
        assert send(api, location, token=None).status == 403
        assert send(api, locate(api, api.bundles[0].window), token=None).status == 200


@pytest.mark.parametrize("change", [
    lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
    lambda url: url.replace("expires=", "expires=9"),
    lambda url: url.partition("&signature")[0],
    lambda url: url.partition("?")[0],
])  # fmt: skip
def test_a_location_that_was_tampered_with_is_refused(change):
    with MockApi(events=1) as api:
        assert send(api, change(locate(api, api.bundles[0].window)), token=None).status == 403


def test_what_is_not_there_is_404():
    with MockApi(events=1) as api:
        pending = create(api, api.bundles[0].window).json["operationId"]
        assert send(api, "/operations/v1/none").status == 404
        assert send(api, "/operations/v1/none/cancel", method="POST").status == 404
        assert send(api, "/search/v1/exports/none/results").status == 404
        assert send(api, f"/search/v1/exports/se{pending}/results").status == 404


def test_an_operation_can_be_cancelled():
    with MockApi(events=1) as api:
        operation = create(api, api.bundles[0].window).json["operationId"]
        assert send(api, f"/operations/v1/{operation}/cancel", method="POST").status == 200
        assert send(api, f"/operations/v1/{operation}").json["state"] == "CANCELED"
        assert [o.cancelled for o in api.operations] == [True]


def test_a_range_takes_its_start_and_leaves_its_end():
    records = [event(minute, n=minute) for minute in (0, 10, 20, 30)]
    with serving(*records) as api:
        span = Window(START + timedelta(minutes=10), START + timedelta(minutes=30))
        found = export(api, span, fields=None)
    assert [r["n"] for r in found] == [10, 20]


def test_a_range_can_reach_over_bundles_and_be_open():
    with MockApi(bundles=2, events=20) as api:
        everything = export(api, WINDOW, timeRange={"start": "", "end": ""})
        second = export(api, api.bundles[1].window)
        assert len(everything) == 40
        assert everything[20:] == second


def test_only_the_fields_asked_for_are_there():
    record = event(1, UserId=1, PageUrl="x", user_a_str="u", evt_b_int=2, page_c_real=3.5,
                   acct_disabled_bool=True, Other="o")  # fmt: skip
    with serving(record) as api:
        assert export(api, WINDOW, fields=["UserId", "evt_*"]) == [{"UserId": 1, "evt_b_int": 2}]
        assert export(api, WINDOW, fields=["userid", "user_a_str", "acct_disabled_bool"]) == [
            {"UserId": 1, "user_a_str": "u", "acct_disabled_bool": True}
        ]
        usual = export(api, WINDOW)
        assert usual == [{k: record[k] for k in record if k not in ("acct_disabled_bool", "Other")}]
        assert export(api, WINDOW, fields=None) == [record]


def test_names_are_those_of_generation_2():
    record = event(1, PageAgent="Mozilla", EventTargetSelectorTok="html body")
    with serving(record) as api:
        assert export(api, WINDOW, fields=None) == [event(1, PageUserAgent="Mozilla")]
        assert export(api, WINDOW) == [event(1, PageUserAgent="Mozilla")]


def test_values_come_through_exactly():
    text = (
        '{"EventStart":"2026-01-01T00:00:01Z","UserId":9223372036854775807,'
        '"evt_big_int":123456789012345678901234567890,"evt_e_real":1e400, "evt_c_str":"\\ud83d",'
        '"evt_d_str" : "}, {\\"", "evt_o_str":{"PageAgent": [1 , {}]}, "PageAgent":"m","Other":1 }'
    )
    with MockApi(bodies={WINDOW: f"[{text}]".encode()}) as api:
        body = gzip.decompress(send(api, locate(api, WINDOW), token=None).body).decode()
    assert '"evt_big_int":123456789012345678901234567890,' in body
    assert '"evt_e_real":1e400,' in body
    assert '"evt_c_str":"\\ud83d",' in body
    assert '"evt_d_str":"}, {\\"",' in body
    assert '"evt_o_str":{"PageAgent": [1 , {}]},"PageUserAgent":"m"}' in body
    assert "Other" not in body


def test_both_generations_serve_the_same_events():
    with MockApi(bundles=1, events=300) as api:
        first = get(api).records
        second = export(api, api.bundles[0].window, fields=None)
    assert len(first) == len(second) == 300
    for record in first:
        record.pop("EventTargetSelectorTok", None)
        record["PageUserAgent"] = record.pop("PageAgent")
    assert first == second


def test_hourly_windows_together_are_the_day():
    with MockApi(bundles=1, events=300) as api:
        day = api.bundles[0].window
        hours = [Window(day.start + n * timedelta(hours=1), day.start + (n + 1) * timedelta(hours=1))
                 for n in range(24)]  # fmt: skip
        assert [r for h in hours for r in export(api, h)] == export(api, day)


def test_without_a_segment_range_everyone_means_thirty_days():
    with serving(event(0), event(60), clock=lambda: START + timedelta(days=30, minutes=30)) as api:
        assert len(export(api, WINDOW)) == 2
        assert export(api, WINDOW, segmentTimeRange=None, fields=None) == [event(60)]
        assert len(export(api, WINDOW, segmentTimeRange=None, segmentId="mine")) == 2


def test_records_can_come_one_a_line():
    with MockApi(bundles=1, events=3) as api:
        location = locate(api, api.bundles[0].window, format="FORMAT_NDJSON")
        lines = gzip.decompress(send(api, location, token=None).body).splitlines()
    assert [json.loads(line)["EventType"] for line in lines] == [
        r["EventType"] for r in api.records()
    ]


@pytest.mark.parametrize("changes", [
    {"segmentId": None}, {"segmentId": ""}, {"type": "TYPE_INDIVIDUAL"}, {"type": None},
    {"format": "json"}, {"format": "FORMAT_CSV"}, {"timeRange": None}, {"timeRange": {}},
    {"timeRange": {"start": "yesterday", "end": ""}},
    {"timeRange": {"start": "2026-01-01", "end": ""}},
    {"timeRange": {"start": "2026-01-01T00:00:00", "end": ""}},
    {"timeRange": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
    {"timeRange": {"start": 0, "end": 1}}, {"segmentTimeRange": {"start": ""}},
    {"fields": "EventStart"}, {"fields": [1]}, {"fields": ["NoSuchField"]}, {"Fields": []},
])  # fmt: skip
def test_a_request_that_the_api_would_refuse_is_refused(changes):
    with MockApi(events=0) as api:
        answer = create(api, WINDOW, **changes)
    assert answer.status == 400
    assert answer.json.keys() == {"message", "code"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_a_request_that_is_no_object_is_refused(body):
    with MockApi(events=0) as api:
        assert send(api, "/segments/v1/exports", method="POST", body=body).status == 400


def test_every_field_of_the_catalogue_can_be_asked_for():
    names = [field.name for field in catalogue(mobile=True)]
    with MockApi(events=0) as api:
        assert create(api, WINDOW, fields=names).status == 200


def test_a_literal_body_that_holds_no_records_goes_out_as_it_is():
    with MockApi(bodies={WINDOW: b"[1]"}) as api:
        location = locate(api, WINDOW)
        assert gzip.decompress(send(api, location, token=None).body) == b"[1]"


def test_polls_can_be_none():
    with MockApi(events=0, polls=0) as api:
        operation = create(api, WINDOW).json["operationId"]
        assert completed(api, operation)["state"] == "COMPLETED"
        assert len(api.requests_to("poll")) == 1
