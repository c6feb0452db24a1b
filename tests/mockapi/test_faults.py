"""Faults: the grammar, where and how often they strike, and what each does on the wire."""

from __future__ import annotations

import email.utils
import gzip
import http.client
import json
import socket
import time
import zlib
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from hauserpy.errors import ConfigError
from hauserpy.mockapi import Fault, MockApi
from hauserpy.mockapi.faults import BODIES, ENDPOINTS, FAULT_HELP, KINDS
from tests.mockapi.client import completed, create, get, listing, locate, send

LIST = "/api/v1/export/list?start=0"


def one(*faults: str, **options: object) -> MockApi:
    return MockApi(**{"bundles": 1, "events": 40, "faults": faults, **options})


# The grammar


@pytest.mark.parametrize(("spec", "fault"), [
    ("429", Fault("429")),
    ("429:2", Fault("429", times=2)),
    ("429:2,retry-after=3", Fault("429", times=2, retry_after=3)),
    ("429,retry-after=3,date", Fault("429", retry_after=3, date=True)),
    ("503,retry-after=none:*", Fault("503", retry_after=None, times=None)),
    ("cut@60%", Fault("cut", share=0.6)),
    ("cut@60%:chunked", Fault("cut", share=0.6, chunked=True)),
    ("get[2]:cut@12.5%:3", Fault("cut", endpoint="get", bundle=2, share=0.125, times=3)),
    ("slow=1MB/s", Fault("slow", value=1_000_000, times=None)),
    ("slow=1.5kB/s:2", Fault("slow", value=1500, times=2)),
    ("create[1]:slow-operation=7", Fault("slow-operation", endpoint="create", bundle=1, value=7,
                                         times=None)),
    (" poll:failed ", Fault("failed", endpoint="poll")),
    ("download:hang@50%", Fault("hang", endpoint="download", share=0.5)),
])  # fmt: skip
def test_a_spec_is_read(spec, fault):
    assert Fault.parse(spec) == fault


@pytest.mark.parametrize(("spec", "said"), [
    ("", "cannot be read"), ("cut@60", "cannot be read"), ("get:", "cannot be read"),
    ("cutt", "hang, reset, cut"), ("200", "400 to 599"), ("600", "400 to 599"),
    ("fetch:500", "list, get, create"), ("list:crc", "get, download"),
    ("get:failed", "create, poll"), ("list[1]:500", "get[2]:"), ("get[0]:500", "from 1"),
    ("cut@101%", "0 to 100 %"), ("crc@5%", "takes no share"), ("500@5%", "takes no share"),
    ("slow", "slow=1MB/s"), ("slow=fast", "slow=1MB/s"), ("slow=0B/s", "slow=1MB/s"),
    ("cut=5", "takes no value"), ("slow-operation=x", "=50"), ("429:0", "from 1"),
    ("429:twice", "retry-after"), ("429,retry-after=soon", "retry-after=SECONDS"),
])  # fmt: skip
def test_a_bad_spec_says_what_is_allowed(spec, said):
    with pytest.raises(ConfigError) as raised:
        Fault.parse(spec)
    assert said in str(raised.value)


@pytest.mark.parametrize("spec", [
    "429:2", "get[2]:cut@12.5%:3,chunked", "slow=1500B/s:*", "slow-operation=7:2",
    "503:*,retry-after=none", "429:1,retry-after=9,date",
])  # fmt: skip
def test_a_fault_reads_back_as_it_prints(spec):
    assert str(Fault.parse(spec)) == spec
    assert Fault.parse(str(Fault.parse(spec))) == Fault.parse(spec)


def test_the_help_names_every_kind():
    assert all(name in FAULT_HELP for name in KINDS)
    assert max(map(len, FAULT_HELP.splitlines())) <= 78


def test_every_kind_can_strike_where_it_usually_does():
    for kind in KINDS.values():
        assert set(kind.usual) <= set(kind.allowed) <= set(ENDPOINTS)
        assert kind.help
    assert set(BODIES) < set(ENDPOINTS)


# How often, and where


def test_a_fault_strikes_once_by_default():
    with one("500") as api:
        assert [send(api, LIST).status for _ in range(3)] == [500, 200, 200]


def test_a_fault_strikes_as_often_as_it_says():
    with one("500:2", "404:*") as api:
        assert [send(api, LIST).status for _ in range(5)] == [500, 500, 404, 404, 404]


def test_a_fault_keeps_to_its_endpoint():
    with one("get:500") as api:
        assert [send(api, LIST).status, get(api).status, get(api).status] == [200, 500, 200]


def test_a_fault_keeps_to_its_bundle():
    with one("get[2]:500:*", bundles=3, events=1) as api:
        assert [get(api, n).status for n in (1, 2, 3, 2)] == [200, 500, 200, 500]


def test_a_bundle_of_generation_2_is_a_distinct_range():
    with one("create[2]:500", "download[1]:500", bundles=2, events=1) as api:
        first, second = (b.window for b in api.bundles)
        assert [create(api, w).status for w in (first, first, second, second)] == [
            200, 200, 500, 200,
        ]  # fmt: skip
        statuses = [send(api, locate(api, w), token=None).status for w in (second, first, first)]
        assert statuses == [200, 500, 200]


def test_faults_can_be_armed_while_it_runs():
    with one() as api:
        assert send(api, LIST).status == 200
        api.faults.add("503")
        assert [str(f) for f in api.faults.pending()] == ["503:1"]
        assert send(api, LIST).status == 503
        assert api.faults.pending() == []
        api.faults.add("500:*")
        api.faults.clear()
        assert send(api, LIST).status == 200


# Statuses


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_any_endpoint_can_answer_any_status(endpoint, status):
    with one(f"{endpoint}:{status}") as api:
        window = api.bundles[0].window
        try:
            send(api, LIST)
            get(api)
            operation = create(api, window).json.get("operationId")
            if endpoint == "create":
                operation = create(api, window).json["operationId"]
            send(api, f"/operations/v1/{operation}/cancel", method="POST")
            for _ in range(2 if endpoint in ("poll", "locate") else 1):
                send(api, locate(api, window), token=None)
        except (KeyError, ValueError):
            pass  # the answer that was struck had not what the next step needs
        struck = [(r.endpoint, r.status) for r in api.requests if r.status >= 400]
    assert struck == [(endpoint, status)]


def test_429_says_when_to_come_again():
    with one("429:1,retry-after=7", "429:1,retry-after=none") as api:
        first, second = send(api, LIST), send(api, LIST)
    assert first.headers["Retry-After"] == "7"
    assert "Retry-After" not in second.headers
    assert first.json["code"] == "rate_limited"


def test_429_can_say_it_as_a_date():
    now = datetime(2026, 11, 1, tzinfo=UTC)
    with one("429,retry-after=90,date", clock=lambda: now) as api:
        when = send(api, LIST).headers["Retry-After"]
    assert (email.utils.parsedate_to_datetime(when) - now).total_seconds() == 90


# The connection


def test_cut_drops_the_connection_short_of_the_announced_length():
    with one("cut@60%") as api:
        with pytest.raises(http.client.IncompleteRead) as raised:
            get(api)
        whole = get(api).body
    assert raised.value.partial == whole[: int(len(whole) * 0.6)]
    assert raised.value.expected == len(whole) - len(raised.value.partial)


def test_cut_can_be_chunked():
    with one("cut@60%:chunked") as api:
        with pytest.raises(http.client.IncompleteRead) as raised:
            get(api)
        assert raised.value.partial == (whole := get(api).body)[: int(len(whole) * 0.6)]


def test_a_short_answer_can_be_cut_too():
    with one("list:cut@50%") as api:
        with pytest.raises(http.client.IncompleteRead):
            send(api, LIST)
        assert len(listing(api)) == 1


def test_reset_gives_no_answer():
    with one("list:reset") as api:
        with pytest.raises(ConnectionResetError):
            send(api, LIST)
        assert api.requests[0].status == 0


def test_reset_can_come_in_the_body():
    with one("reset@50%", events=3000) as api:
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            get(api)
        assert get(api).status == 200


def test_hang_never_answers_and_ends_with_the_mock():
    with one("hang") as api:
        connection = socket.create_connection(("127.0.0.1", urlsplit(api.url).port), timeout=20)
        connection.sendall(
            f"GET {LIST} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {api.token}\r\n\r\n".encode()
        )
        # Else the next request may be the first that the mock comes to.
        until = time.monotonic() + 20
        while api.faults.pending() and time.monotonic() < until:
            time.sleep(0.01)
        assert not api.faults.pending()
        assert send(api, LIST).status == 200, "others are served meanwhile"
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
    assert connection.recv(1) == b""
    connection.close()


def test_hang_in_the_body_sends_its_share_first():
    with one("hang@50%", events=2000) as api:
        url = urlsplit(api.url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        connection.request("GET", f"/api/v1/export/get?id={api.bundles[0].id}",
                           headers={"Authorization": f"Basic {api.token}"})  # fmt: skip
        response = connection.getresponse()
        half = int(response.headers["Content-Length"]) // 2
        assert len(response.read(half)) == half
        with pytest.raises(TimeoutError):
            response.fp.raw._sock.settimeout(0.05)
            response.read(1)
        connection.close()


def test_slow_goes_with_other_faults_and_keeps_the_bytes():
    with one("slow=20MB/s", "get:500") as api:
        assert get(api).status == 500
        assert get(api).records == api.records()


def test_a_wrong_length_is_short_of_what_is_sent():
    with one("wrong-length") as api:
        short = get(api).body
        whole = get(api).body
    assert short == whole[:-10]


# The body


@pytest.mark.parametrize(("kind", "error"), [
    ("corrupt", zlib.error | gzip.BadGzipFile | ValueError | EOFError),
    ("crc", gzip.BadGzipFile), ("trailing", gzip.BadGzipFile), ("truncated", EOFError),
])  # fmt: skip
@pytest.mark.parametrize("chunked", [False, True])
def test_a_gzip_can_be_broken_though_http_is_whole(kind, error, chunked):
    errors = (zlib.error, gzip.BadGzipFile, EOFError) if kind == "corrupt" else error
    with one(f"{kind}", chunked=chunked) as api:
        broken = get(api)
        with pytest.raises(errors):
            gzip.decompress(broken.body)
        assert broken.status == 200
        assert get(api).records == api.records()


@pytest.mark.parametrize(("kind", "expected"), [
    ("null", "null"), ("object", "object"), ("number-record", "number"),
    ("second-array", "second"),
])  # fmt: skip
def test_a_text_can_be_what_it_should_not_though_the_gzip_is_whole(kind, expected):
    with one(kind) as api:
        text = gzip.decompress(get(api).body).decode()
        records = api.records()
    if expected == "null":
        assert text == "null"
    elif expected == "object":
        assert isinstance(json.loads(text), dict)
    elif expected == "number":
        assert json.loads(text) == [*records, 42]
    else:
        first, end = json.JSONDecoder().raw_decode(text)
        assert first == records
        assert isinstance(json.loads(text[end:]), list)


def test_a_number_can_be_the_only_record():
    with one("number-record", events=0) as api:
        assert get(api).records == [42]


def test_an_html_page_can_be_the_answer():
    with one("list:html", "get:html") as api:
        for answer in (send(api, LIST), get(api)):
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/html")
            assert answer.body.startswith(b"<!DOCTYPE html>")


def test_short_answers_can_be_null_or_another_object():
    with one("list:null", "list:object", "poll:null") as api:
        assert send(api, LIST).json is None
        assert "exports" not in send(api, LIST).json
        operation = create(api, api.bundles[0].window).json["operationId"]
        assert send(api, f"/operations/v1/{operation}").json is None


# Redirects


@pytest.mark.parametrize("endpoint", ["list", "get"])
def test_a_redirect_leads_to_the_other_host_which_answers_without_the_token(endpoint):
    with one(f"{endpoint}:redirect") as api:
        target = LIST if endpoint == "list" else f"/api/v1/export/get?id={api.bundles[0].id}"
        moved = send(api, target)
        assert moved.status == 302
        location = moved.headers["Location"]
        assert location.startswith(api.storage_url)
        direct = send(api, target)
        followed = send(api, location, token=None)
        assert (followed.status, followed.body) == (200, direct.body)
        assert send(api, location).status == 400, "the token has no business there"


def test_an_operation_can_be_polled_through_a_redirect():
    with one("poll:redirect", polls=0) as api:
        operation = create(api, api.bundles[0].window).json["operationId"]
        location = send(api, f"/operations/v1/{operation}").headers["Location"]
        assert send(api, location, token=None).json["state"] == "COMPLETED"


# Generation 2


def test_an_operation_can_fail_and_be_created_anew():
    with one("failed") as api:
        window = api.bundles[0].window
        failed = completed(api, create(api, window).json["operationId"])
        assert failed["state"] == "FAILED"
        assert failed["errorDetails"]
        assert "results" not in failed
        assert completed(api, create(api, window).json["operationId"])["state"] == "COMPLETED"


def test_an_operation_can_fail_at_a_poll():
    with one("poll:failed") as api:
        operation = create(api, api.bundles[0].window).json["operationId"]
        states = [send(api, f"/operations/v1/{operation}").json["state"] for _ in range(2)]
    assert states == ["FAILED", "FAILED"]


def test_an_operation_can_be_slow():
    with one("slow-operation=9:1") as api:
        window = api.bundles[0].window
        completed(api, create(api, window).json["operationId"])
        assert len(api.requests_to("poll")) == 10
        completed(api, create(api, window).json["operationId"])
        assert len(api.requests_to("poll")) == 14


def test_a_state_can_be_unknown():
    with one("unknown-state") as api:
        operation = create(api, api.bundles[0].window).json["operationId"]
        states = [send(api, f"/operations/v1/{operation}").json["state"] for _ in range(2)]
    assert states[0] not in {"PENDING", "COMPLETED", "FAILED"}
    assert states[1] == "PENDING"


def test_a_location_can_be_stale():
    with one("expired") as api:
        window = api.bundles[0].window
        assert send(api, locate(api, window), token=None).status == 403
        assert send(api, locate(api, window), token=None).status == 200


def test_a_location_can_expire_just_once():
    with one("download:expired") as api:
        location = locate(api, api.bundles[0].window)
        assert [send(api, location, token=None).status for _ in range(2)] == [403, 200]


def test_a_download_of_generation_2_can_be_cut_and_broken():
    with one("download:cut@30%", "download:crc") as api:
        location = locate(api, api.bundles[0].window)
        with pytest.raises(http.client.IncompleteRead):
            send(api, location, token=None)
        with pytest.raises(gzip.BadGzipFile):
            gzip.decompress(send(api, location, token=None).body)
        assert len(send(api, location, token=None).records) == 40
