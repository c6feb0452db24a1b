"""Generation 2: one export a window and run, fetched by a signed URL that never sees the token."""

from __future__ import annotations

import email.utils
import gzip
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from hauserpy.config import ExportApi, Header, Secret
from hauserpy.errors import AccessDenied, ApiUnavailable, ConfigError, Interrupted
from hauserpy.export import Timing, Waiter, open_source
from hauserpy.export.bundles import Bundles
from hauserpy.export.fetch import fetch
from hauserpy.export.http import Http
from hauserpy.export.operations import Operation
from hauserpy.export.segments import Segments
from hauserpy.export.source import SourceClosed
from hauserpy.export.windows import bundle_of
from hauserpy.fields import catalogue, request_fields
from hauserpy.mockapi import MockApi
from hauserpy.model import Window
from tests.export.conftest import TOKEN, FakeTime, settings_for
from tests.export.scripted import Reply, Scripted, Seen, json_reply

HOUR = timedelta(hours=1)
FIRST = datetime(2026, 11, 20, tzinfo=UTC)
ONE, TWO, THREE = (bundle_of(Window(FIRST + n * HOUR, FIRST + (n + 1) * HOUR)) for n in range(3))


class Memory:
    def __init__(self) -> None:
        self.data = b""

    def restart(self) -> None:
        self.data = b""

    def write(self, chunk: bytes) -> None:
        self.data += chunk


@contextmanager
def mock(time: FakeTime, **options: Any) -> Iterator[MockApi]:
    made = {"bundles": 3, "events": 40, "window": HOUR, "start_time": FIRST, "token": TOKEN}
    with MockApi(clock=lambda: time.now, **{**made, **options}) as api:
        yield api


@contextmanager
def source_for(
    url: str, time: FakeTime, preparing: Any = None, timing: Timing | None = None, **changes: Any
) -> Iterator[Segments]:
    settings = settings_for(url, ExportApi.SEGMENTS, **changes)
    source = Segments(settings, catalogue(), timing or time.timing, preparing)
    try:
        yield source
    finally:
        source.close()


def load(source: Segments, time: FakeTime, bundle: Any = ONE, **changes: Any) -> list[Any]:
    sink = Memory()
    settings = settings_for("https://unused.test", **changes)
    fetch(source, bundle, sink, settings, timing=time.timing)
    found = json.loads(gzip.decompress(sink.data))
    assert isinstance(found, list)
    return found


def rows_of(records: list[Any]) -> list[dict[str, Any]]:
    """The records less what the two generations name or select differently."""
    asked = set(request_fields(catalogue())) - {"PageUserAgent"}
    prefixes = ("user_", "evt_", "page_")
    return [
        {k: v for k, v in record.items() if k in asked or k.startswith(prefixes)}
        for record in records
    ]


def endpoints(api: MockApi) -> list[str]:
    return [request.endpoint for request in api.requests]


def test_the_way_of_a_window(time: FakeTime) -> None:
    progress: list[tuple[str, int | None]] = []
    with mock(time, polls=4) as api:
        with source_for(api.segments_url, time, lambda b, p: progress.append((b.id, p))) as source:
            assert rows_of(load(source, time)) == rows_of(api.records(ONE.window))
        assert endpoints(api) == ["create", *["poll"] * 5, "locate", "download"]
        wanted = json.loads(api.requests[0].body)
    assert time.slept == [1, 1.5, 2.25, 3.375]
    assert [bundle for bundle, _ in progress] == [ONE.id] * 4
    percents = [percent for _, percent in progress if percent is not None]
    assert percents == sorted(percents)
    assert wanted["segmentId"] == "everyone"
    assert wanted["type"] == "TYPE_EVENT"
    assert wanted["format"] == "FORMAT_JSON"
    assert wanted["segmentTimeRange"] == {"start": "", "end": ""}
    assert wanted["timeRange"] == {"start": "2026-11-20T00:00:00Z", "end": "2026-11-20T01:00:00Z"}
    assert wanted["fields"][-3:] == ["user_*", "evt_*", "page_*"]
    assert {"IndvId", "PageUserAgent", "LoadEventTime"} < set(wanted["fields"])
    never = {"CustomVars", "AppName", "PageAgent", "EventTargetSelectorTok"}
    assert not never & set(wanted["fields"])


def test_mobile_fields_and_the_segment_are_asked_for_when_configured(time: FakeTime) -> None:
    with mock(time) as api:
        settings = settings_for(api.segments_url, ExportApi.SEGMENTS, segment_id="vip")
        source = open_source(settings, catalogue(mobile=True), timing=time.timing)
        with source.open(ONE) as body:
            list(body)
        source.close()
        wanted = json.loads(api.requests[0].body)
    assert "AppName" in wanted["fields"]
    assert wanted["segmentId"] == "vip"


def test_the_token_is_seen_by_the_api_host_alone(time: FakeTime) -> None:
    headers = (Header("X-Gateway-Key", Secret("gate-key")),)
    with mock(time) as api:
        with source_for(api.segments_url, time, additional_http_header=headers) as source:
            load(source, time)
        for request in api.requests:
            ours = request.server == "api"
            assert (request.headers.get("authorization") == f"Basic {TOKEN}") is ours
            assert ("x-gateway-key" in request.headers) is ours
        assert [r.server for r in api.requests].count("storage") == 1


def test_both_generations_give_the_same_rows(time: FakeTime) -> None:
    with mock(time) as api:
        with source_for(api.segments_url, time) as source:
            new = [load(source, time, b) for b in source.due(FIRST)][:3]
        settings = settings_for(api.url)
        old_source = Bundles(settings, time.timing)
        old = []
        for bundle in old_source.due(FIRST):
            with old_source.open(bundle) as body:
                old.append(json.loads(gzip.decompress(b"".join(body))))
        old_source.close()
    assert [rows_of(rows) for rows in new] == [rows_of(rows) for rows in old]
    assert [len(rows) for rows in new] == [40] * 3


FAULTS = [
    "create:429", "create:500", "create:html", "poll:reset", "poll:503", "poll:null",     "poll:429,date", "locate:500", "locate:html", "download:500", "download:cut@60%",
    "download:reset@10%", "download:403", "download:hang@50%",
]  # fmt: skip


def test_every_endpoint_failing_in_its_own_way_is_survived_by_one_export(time: FakeTime) -> None:
    with mock(time, faults=FAULTS) as api:
        with source_for(api.segments_url, time, backoff_steps_max=8) as source:
            assert rows_of(load(source, time, backoff_steps_max=8)) == rows_of(
                api.records(ONE.window)
            )
        assert len(api.operations) == 1
        assert not api.operations[0].cancelled


@pytest.mark.parametrize("fault", ["download:cut@30%", "download:reset@80%", "download:500"])
def test_every_retry_of_a_download_asks_for_a_fresh_location(time: FakeTime, fault: str) -> None:
    with mock(time, faults=[fault]) as api:
        with source_for(api.segments_url, time) as source:
            load(source, time)
        assert endpoints(api).count("create") == 1
        # Not by the URLs: two that were signed within one second are the same.
        assert endpoints(api)[-4:] == ["locate", "download"] * 2


def test_an_expired_location_is_asked_for_anew(time: FakeTime) -> None:
    with mock(time, faults=["download:403:2"]) as api:
        with source_for(api.segments_url, time) as source:
            load(source, time)
        assert endpoints(api)[-6:] == ["locate", "download"] * 3


@pytest.mark.parametrize(("status", "error"), [(403, AccessDenied), (404, ApiUnavailable)])
def test_locations_that_are_always_refused_end_the_run(
    time: FakeTime, status: int, error: type[Exception]
) -> None:
    with mock(time, faults=[f"download:{status}:*"]) as api:
        with (
            source_for(api.segments_url, time) as source,
            pytest.raises(error, match=f"answered {status} to 3 fresh locations"),
        ):
            load(source, time)
        assert endpoints(api).count("download") == 3


def test_a_failed_export_is_created_anew_and_then_loads(time: FakeTime) -> None:
    with mock(time, faults=["create:failed:2"]) as api:
        with source_for(api.segments_url, time, backoff_steps_max=1) as source:
            assert rows_of(load(source, time)) == rows_of(api.records(ONE.window))
        assert len(api.operations) == 3


def test_an_export_that_always_fails_shows_why_and_how_to_go_on(time: FakeTime) -> None:
    with mock(time, faults=["create:failed:*"]) as api:
        with (
            source_for(api.segments_url, time, backoff_steps_max=8) as source,
            pytest.raises(ApiUnavailable, match="the API gave it up") as caught,
        ):
            load(source, time)
        assert len(api.operations) == 3
    assert "skip --since 2026-11-20T00:00:00Z --until 2026-11-20T01:00:00Z" in str(caught.value)


def test_a_window_that_is_opened_again_goes_on_with_its_export(time: FakeTime) -> None:
    with mock(time) as api, source_for(api.segments_url, time) as source:
        first, again = load(source, time), load(source, time)
        assert first == again
        assert endpoints(api).count("create") == 1
        assert endpoints(api).count("locate") == 2


def test_polling_has_an_end_and_the_export_is_cancelled(time: FakeTime) -> None:
    with mock(time, faults=["create:slow-operation=100000"]) as api:
        with source_for(api.segments_url, time, poll_timeout=timedelta(hours=1)) as source:
            with pytest.raises(ApiUnavailable, match=r"not ready after 1 h \(PollTimeout\)"):
                load(source, time)
            assert api.operations[0].cancelled
            with pytest.raises(ApiUnavailable):
                load(source, time)
        assert len(api.operations) == 2
    assert max(time.slept) == 30
    assert sum(time.slept) == pytest.approx(7200, rel=0.01)


def test_a_signal_while_polling_ends_the_run_and_cancels_the_export(time: FakeTime) -> None:
    waiter = Waiter()

    def sleep(seconds: float) -> None:
        if seconds > 0:
            waiter.stop(2)
        waiter(seconds)

    timing = Timing(clock=lambda: time.now, sleep=sleep)
    with mock(time) as api:
        with source_for(api.segments_url, time, timing=timing) as source:
            source.announce(TWO)
            with pytest.raises(Interrupted):
                load(source, time)
        assert [operation.cancelled for operation in api.operations] == [True, True]
        assert endpoints(api).count("cancel") == 2


def test_a_thread_that_polls_while_it_is_closed_has_nothing_exported_anew(
    time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled, closed = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        if seconds > 0 and not polled.is_set():
            polled.set()
            assert closed.wait(30)

    timing = Timing(clock=lambda: time.now, sleep=sleep)
    caught: list[BaseException] = []

    def loading(source: Segments) -> None:
        try:
            load(source, time)
        except ApiUnavailable as error:
            caught.append(error)

    with mock(time, faults=["create:slow-operation=100000"]) as api:
        with source_for(api.segments_url, time, timing=timing) as source:
            thread = threading.Thread(target=loading, args=(source,))
            thread.start()
            assert polled.wait(30)
            cancel = source._operations.cancel

            def cancel_and_let_it_poll(operation: Operation) -> None:
                cancel(operation)
                closed.set()
                thread.join(30)

            monkeypatch.setattr(source._operations, "cancel", cancel_and_let_it_poll)
        assert [type(error) for error in caught] == [SourceClosed]
        assert [operation.state for operation in api.operations] == ["CANCELED"]


def test_an_export_that_is_asked_for_while_it_is_closed_is_cancelled(time: FakeTime) -> None:
    asked, closing = threading.Event(), threading.Event()
    made = json.dumps({"operationId": "late"}).encode()

    class Telling:
        """The lock under which exports are asked for; tells when `close` begins to wait for it."""

        def __init__(self, lock: threading.Lock) -> None:
            self.release = lock.release
            self._lock = lock

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            if timeout > 0:
                closing.set()
            return self._lock.acquire(blocking, timeout)

    def answer(seen: Seen) -> Reply:
        if seen.path == "/segments/v1/exports":
            asked.set()
            assert closing.wait(30)
        return Reply(body=made, headers={"Content-Type": "application/json"})

    with Scripted(answer) as server:
        with source_for(server.url, time) as source:
            source._creating = Telling(source._creating)  # type: ignore[assignment]  # acts as one
            thread = threading.Thread(target=source.announce, args=(ONE,))
            thread.start()
            assert asked.wait(30)
        thread.join(30)
        assert server.paths() == ["/segments/v1/exports", "/operations/v1/late/cancel"]


@pytest.mark.parametrize(
    "fault", ["cancel:500:*", "cancel:429:*", "cancel:reset:*", "cancel:401:*"]
)
def test_closing_is_quick_and_quiet_whatever_cancelling_answers(time: FakeTime, fault: str) -> None:
    with mock(time, faults=[fault]) as api, source_for(api.segments_url, time) as source:
        source.announce(ONE)
        source.close()
        assert endpoints(api) == ["create", "cancel"]
        assert time.slept == []


def test_the_next_window_s_export_is_begun_ahead_and_no_more_than_two(time: FakeTime) -> None:
    with mock(time) as api, source_for(api.segments_url, time) as source:
        for bundle in (ONE, TWO, TWO, THREE):
            source.announce(bundle)
        assert [operation.span for operation in api.operations] == [ONE.window, TWO.window]
        assert rows_of(load(source, time, ONE)) == rows_of(api.records(ONE.window))
        source.announce(THREE)
        assert rows_of(load(source, time, TWO)) == rows_of(api.records(TWO.window))
        assert rows_of(load(source, time, THREE)) == rows_of(api.records(THREE.window))
        assert [operation.span for operation in api.operations] == [
            ONE.window,
            TWO.window,
            THREE.window,
        ]


@pytest.mark.parametrize("fault", ["create:429", "create:500", "create:401", "create:html"])
def test_an_announcement_that_fails_is_forgotten_without_a_wait(time: FakeTime, fault: str) -> None:
    with mock(time, faults=[fault]) as api, source_for(api.segments_url, time) as source:
        source.announce(ONE)
        assert time.slept == []
        assert len(api.operations) == 0
        assert rows_of(load(source, time)) == rows_of(api.records(ONE.window))


def test_an_announcement_and_an_opening_at_once_create_one_export(time: FakeTime) -> None:
    with mock(time) as api, source_for(api.segments_url, time) as source:
        threads = [threading.Thread(target=source.announce, args=(ONE,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        load(source, time)
        for thread in threads:
            thread.join()
        assert len(api.operations) == 1


def test_due_reaches_from_the_checkpoint_to_now_less_the_delay(time: FakeTime) -> None:
    time.now = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
    with source_for("https://api.test", time) as source:
        due = list(source.due(datetime(2026, 11, 22, 7, 20, tzinfo=UTC)))
        spans = [f"{b.window.start:%H:%M}-{b.window.stop:%H:%M}" for b in due]
        assert spans == ["07:20-08:00", "08:00-09:00", "09:00-10:00"]
        loaded = [b.window for b in due[:2]]
        after = due[0].window.start
        assert list(source.due(after, loaded=loaded)) == due[2:]
        assert list(source.due(after, loaded=loaded, replace=True)) == due


def test_due_begins_at_start_time_or_else_thirty_days_back_on_a_whole_window(
    time: FakeTime,
) -> None:
    start = datetime(2026, 11, 1, 0, 30, tzinfo=UTC)
    with source_for("https://api.test", time, start_time=start) as source:
        assert next(source.due(None)).window == Window(start, start + HOUR / 2)
    with source_for("https://api.test", time, export_duration=24 * HOUR) as source:
        first = next(source.due(None))
        assert first.window.start == datetime(2026, 10, 24, tzinfo=UTC)


class Odd:
    """A generation 2 whose answers a test writes down."""

    def __init__(self, **answers: Any) -> None:
        self.operation: Any = {"operationId": "op"}
        self.states: Any = [{"state": "COMPLETED", "results": {"searchExportId": "se"}}]
        self.location: Any = None
        vars(self).update(answers)
        self._states = itertools.chain(self.states, itertools.repeat(self.states[-1]))

    def __call__(self, seen: Seen) -> Reply:
        if seen.path == "/segments/v1/exports":
            return json_reply(json.dumps(self.operation), 201)
        if seen.path.startswith("/operations/"):
            return json_reply(json.dumps(next(self._states)))
        if seen.path.startswith("/search/"):
            return json_reply(json.dumps({"location": self.location}))
        return Reply(200, gzip.compress(b"[]"))


def test_an_unknown_state_is_pending(time: FakeTime) -> None:
    done = {"state": "completed", "results": {"searchExportId": "se"}, "estimatePctComplete": "x"}
    odd = Odd(states=[{"state": "ARCHIVING"}, {"state": None}, {}, {"state": "RUNNING"}, done])
    with Scripted(odd) as server, source_for(server.url, time) as source:
        odd.location = f"{server.url}/file"
        assert load(source, time) == []
    assert len(time.slept) == 4


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"operation": {}}, "no usable operationId"),
        ({"operation": None}, "JSON that is no object, after 3 tries"),
        ({"operation": {"operationId": "x" * 5000}}, "no usable operationId"),
        ({"operation": {"operationId": ".."}}, r"has '\.\.' as operationId"),
        ({"states": [[]]}, "JSON that is no object, after 3 tries"),
        ({"states": [{"state": "COMPLETED"}]}, "no usable searchExportId"),
        ({"states": [{"state": "COMPLETED", "results": {}}]}, "no usable searchExportId"),
        ({"location": ""}, "no usable location"),
        ({"location": "file:///etc/passwd"}, "sends us to an invalid address"),
        ({"location": "http://storage.example.com/x"}, "where others could read along"),
        ({"location": "https://user:pw@storage.example.com/x"}, "user or a password"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused(
    time: FakeTime, answers: dict[str, Any], problem: str
) -> None:
    with (
        Scripted(Odd(**answers)) as server,
        source_for(server.url, time) as source,
        pytest.raises(ApiUnavailable, match=problem),
    ):
        load(source, time)


def test_ids_from_the_network_are_quoted_in_urls(time: FakeTime) -> None:
    odd = Odd(
        operation={"operationId": "../cancel?x=1#y"},
        states=[{"state": "COMPLETED", "results": {"searchExportId": "a/../b c"}}],
    )
    raw: list[str] = []
    with Scripted(odd) as server, source_for(server.url, time) as source:
        odd.location = f"{server.url}/file"
        handle = server.handle
        server.handle = lambda handler: (raw.append(handler.path), handle(handler))[1]
        load(source, time)
    assert raw[1] == "/operations/v1/..%2Fcancel%3Fx%3D1%23y"
    assert raw[2] == "/search/v1/exports/a%2F..%2Fb%20c/results"


def test_a_signed_url_is_sent_as_it_was_given(time: FakeTime) -> None:
    signed = "/b/o%2Fp.json.gz?X-Goog-Signature=a%2Bb%3D&X-Goog-Date=20261123T000000Z&q=~x"
    odd = Odd()
    raw: list[str] = []
    with Scripted(odd) as server, source_for(server.url, time) as source:
        odd.location = server.url + signed
        handle = server.handle
        server.handle = lambda handler: (raw.append(handler.path), handle(handler))[1]
        load(source, time)
    assert raw[-1] == signed


@pytest.mark.parametrize("word", ["CANCELED", "cancelled"])
def test_an_export_that_somebody_cancelled_is_created_anew(time: FakeTime, word: str) -> None:
    done = {"state": "COMPLETED", "results": {"searchExportId": "se"}}
    odd = Odd(states=[{"state": word}, done])
    with Scripted(odd) as server, source_for(server.url, time) as source:
        odd.location = f"{server.url}/file"
        assert load(source, time) == []
        assert server.paths().count("/segments/v1/exports") == 2


def test_an_export_that_the_api_has_forgotten_is_created_anew(time: FakeTime) -> None:
    with mock(time, faults=["poll:404", "locate:410"]) as api:
        with source_for(api.segments_url, time) as source:
            load(source, time)
        assert len(api.operations) == 3


def test_the_details_of_a_failure_are_short_and_on_one_line(time: FakeTime) -> None:
    odd = Odd(
        states=[{"state": "FAILED", "errorDetails": "too\nmany\x1b[31m events " + "x" * 9999}]
    )
    with (
        Scripted(odd) as server,
        source_for(server.url, time) as source,
        pytest.raises(ApiUnavailable, match=r"gave it up: too many") as caught,
    ):
        load(source, time)
    assert len(caught.value.reason) < 600
    assert re.search(r"[\n\x1b]", str(caught.value)) is None


def test_a_token_in_the_details_of_a_failure_is_not_told(time: FakeTime) -> None:
    odd = Odd(states=[{"state": "FAILED", "errorDetails": "x" * 290 + f" {TOKEN} boom"}])
    with (
        Scripted(odd) as server,
        source_for(server.url, time) as source,
        pytest.raises(ApiUnavailable, match="gave it up") as caught,
    ):
        load(source, time)
    assert TOKEN[:9] not in str(caught.value)


def test_a_segment_that_does_not_exist_is_a_matter_of_configuration(time: FakeTime) -> None:
    with mock(time, faults=["create:400"]) as api, source_for(api.segments_url, time) as source:
        with pytest.raises(ConfigError, match="answered 400"):
            load(source, time)
        assert endpoints(api) == ["create"]


@pytest.mark.parametrize(("minutes", "refused"), [(10, True), (2, False), (-60, False)])
def test_a_clock_that_is_ahead_exports_nothing(time: FakeTime, minutes: int, refused: bool) -> None:
    def theirs() -> datetime:
        return time.now - timedelta(minutes=minutes)

    made = {"bundles": 3, "events": 40, "window": HOUR, "start_time": FIRST, "token": TOKEN}
    with MockApi(clock=theirs, **made) as api, source_for(api.segments_url, time) as source:
        if not refused:
            assert load(source, time)
            return
        with pytest.raises(ConfigError, match=r"clock is 10 min .*ahead of the API's"):
            load(source, time)
        assert endpoints(api) == ["create", "cancel"]


@pytest.mark.parametrize("cached", [False, True])
def test_a_date_from_a_cache_tells_nothing_of_the_clock(time: FakeTime, cached: bool) -> None:
    earlier = email.utils.format_datetime(time.now - timedelta(hours=1), usegmt=True)
    http = Http(settings_for("https://api.fullstory.test", ExportApi.SEGMENTS), time.timing)
    answer = requests.Response()
    answer.url = "https://api.fullstory.test/x"
    answer.headers["Date"] = earlier
    if cached:
        answer.headers["Age"] = "1800"
    http._compare_clocks(answer)
    assert http.ahead == (0 if cached else 3600)
    del answer.headers["Date"]
    http._compare_clocks(answer)
    assert http.ahead == 0, "and none is no longer the last one's"
    http.close()
