"""Generation 1: the list is read to its end and no further, and a bundle comes whole or not."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.errors import AccessDenied, ApiUnavailable, BundleGone, RateLimited
from hauserpy.export.bundles import PAGE, Bundles, parse_list
from hauserpy.export.source import BundleTooSlow, SourceClosed
from hauserpy.mockapi import MockApi
from hauserpy.model import BEGINNING, Bundle, Window
from tests.export.conftest import NOW, TOKEN, FakeTime, settings_for
from tests.export.scripted import Reply, Scripted, Seen, in_turn, json_reply

DAY = timedelta(days=1)
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
ONE = Bundle("5724681974841344", Window(FIRST, FIRST + DAY))
TEXT = json.dumps([{"EventType": "navigate", "n": n} for n in range(2000)]).encode()
GZ = gzip.compress(TEXT)


@contextmanager
def mock(time: FakeTime, **options: Any) -> Iterator[MockApi]:
    with MockApi(token=TOKEN, clock=lambda: time.now, start_time=FIRST, **options) as api:
        yield api


@contextmanager
def source_for(url: str, time: FakeTime, **changes: Any) -> Iterator[Bundles]:
    source = Bundles(settings_for(url, **changes), time.timing)
    try:
        yield source
    finally:
        source.close()


def starts(api: MockApi) -> list[int]:
    return [int(request.query["start"]) for request in api.requests_to("list")]


@pytest.mark.parametrize("keys", ["title", "upper", "lower"])
@pytest.mark.parametrize("text", [False, True])
def test_the_whole_list_is_paged_by_the_last_stop(time: FakeTime, keys: Any, text: bool) -> None:
    with (
        mock(time, bundles=45, events=1, list_keys=keys, list_text=text) as api,
        source_for(api.url, time) as source,
    ):
        assert list(source.due(None)) == api.bundles
        assert starts(api) == [0, *(int((FIRST + n * DAY).timestamp()) for n in (20, 40))]


def test_pages_are_asked_for_as_they_are_needed(time: FakeTime) -> None:
    with mock(time, bundles=45, events=1) as api, source_for(api.url, time) as source:
        offered = source.due(None)
        assert [next(offered) for _ in range(PAGE)] == api.bundles[:PAGE]
        assert len(starts(api)) == 1
        next(offered)
        assert len(starts(api)) == 2


def test_a_full_last_page_is_followed_by_an_empty_one(time: FakeTime) -> None:
    with mock(time, bundles=PAGE, events=1) as api, source_for(api.url, time) as source:
        assert list(source.due(None)) == api.bundles
        assert len(starts(api)) == 2


def test_what_ends_at_the_checkpoint_is_not_due_and_until_ends_the_paging(time: FakeTime) -> None:
    with mock(time, bundles=60, events=1) as api, source_for(api.url, time) as source:
        due = list(source.due(FIRST + 3 * DAY, FIRST + 10 * DAY))
        assert due == api.bundles[3:10]
        assert len(starts(api)) == 1
        halfway = timedelta(seconds=0.5)
        assert next(source.due(FIRST + 3 * DAY - halfway)) == api.bundles[2]
        assert next(source.due(FIRST + 3 * DAY + halfway)) == api.bundles[3]
        assert list(source.due(FIRST + 60 * DAY)) == []


def test_asked_twice_it_asks_twice(time: FakeTime) -> None:
    with mock(time, bundles=1, events=1) as api, source_for(api.url, time) as source:
        assert list(source.due(None)) == list(source.due(None)) == api.bundles
        assert len(starts(api)) == 2


def test_what_is_loaded_is_offered_all_the_same(time: FakeTime) -> None:
    with mock(time, bundles=2, events=1) as api, source_for(api.url, time) as source:
        loaded = [bundle.window for bundle in api.bundles]
        assert list(source.due(None, loaded=loaded, replace=True)) == api.bundles
        assert list(source.due(None, loaded=loaded)) == api.bundles


def page(*spans: tuple[float, float], first_id: int = 1) -> str:
    items = [{"Start": a, "Stop": b, "Id": n} for n, (a, b) in enumerate(spans, first_id)]
    return json.dumps({"exports": items})


def test_a_cursor_that_does_not_move_is_an_error_and_no_loop(time: FakeTime) -> None:
    stuck = json_reply(page(*[(0, 1000)] * PAGE))
    with Scripted(in_turn(stuck)) as server, source_for(server.url, time) as source:
        offered = source.due(None)
        for _ in range(PAGE):
            next(offered)
        with pytest.raises(ApiUnavailable, match="goes in a circle: after 1970-01-01T00:16:40Z"):
            next(offered)
        assert len(server.seen) == 2


def test_a_bundle_whose_stop_was_rounded_down_comes_once(time: FakeTime) -> None:
    first = page(*((n * 100, n * 100 + 100) for n in range(PAGE)))
    again = json.loads(page((1900, 2000), (2000, 2100), first_id=PAGE))
    with (
        Scripted(in_turn(json_reply(first), json_reply(json.dumps(again)))) as server,
        source_for(server.url, time) as source,
    ):
        assert [int(b.id) for b in source.due(None)] == list(range(1, PAGE + 2))


def test_a_page_out_of_order_is_put_in_order_and_loses_nothing(time: FakeTime) -> None:
    spans = [(n * 100, n * 100 + 100) for n in reversed(range(PAGE))]
    with (
        Scripted(in_turn(json_reply(page(*spans)), json_reply('{"exports":[]}'))) as server,
        source_for(server.url, time) as source,
    ):
        due = list(source.due(None))
        assert [b.window.start.timestamp() for b in due] == [n * 100 for n in range(PAGE)]
        assert server.seen[1].query["start"] == str(PAGE * 100)


def test_a_bundle_of_no_time_is_left_out(time: FakeTime) -> None:
    reply = json_reply(page((100, 100), (100, 200)))
    with Scripted(in_turn(reply)) as server, source_for(server.url, time) as source:
        assert [b.id for b in source.due(None)] == ["2"]


@pytest.mark.parametrize("answer", ["{}", '{"exports": null}', '{"Exports": []}'])
def test_an_empty_list_is_nothing_due(time: FakeTime, answer: str) -> None:
    with Scripted(in_turn(json_reply(answer))) as server, source_for(server.url, time) as source:
        assert list(source.due(None)) == []


GOOD_ITEM = {"Start": 100, "Stop": 200, "Id": 7}


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ([], "no JSON object"),
        (None, "no JSON object"),
        ({"message": "hello"}, "it has no exports"),
        ({"exports": {}}, "its exports are no array"),
        ({"exports": [GOOD_ITEM, 5]}, "its item 2 is no object"),
        ({"exports": [{**GOOD_ITEM, "Id": None}]}, "its item 1 has the id None"),
        ({"exports": [{**GOOD_ITEM, "Id": True}]}, "its item 1 has the id True"),
        ({"exports": [{**GOOD_ITEM, "Id": 1.5}]}, "its item 1 has the id 1.5"),
        ({"exports": [{**GOOD_ITEM, "Id": "../x?y\n"}]}, "its item 1 has the id"),
        ({"exports": [{"Start": 1, "Id": 7}]}, r"its item 1 \(id 7\) has no stop"),
        (
            {"exports": [{**GOOD_ITEM, "Stop": "soon"}]},
            r"the stop of its item 1 \(id 7\) is 'soon'",
        ),
        ({"exports": [{**GOOD_ITEM, "Stop": [1]}]}, r"the stop of its item 1 \(id 7\) is \[1\]"),
        ({"exports": [{**GOOD_ITEM, "Stop": 1e300}]}, r"the stop of its item 1 \(id 7\)"),
        ({"exports": [{**GOOD_ITEM, "Stop": float("nan")}]}, r"the stop of its item 1 \(id 7\)"),
        ({"exports": [{**GOOD_ITEM, "Stop": 10**15}]}, "no time in Unix seconds"),
        ({"exports": [{**GOOD_ITEM, "Start": -1}]}, "before 1970"),
        ({"exports": [{**GOOD_ITEM, "Stop": 99}]}, "before it starts"),
        ({"exports": [{**GOOD_ITEM, "Stop": NOW.timestamp() + 7200}]}, "lies in the future"),
    ],
)
def test_a_malformed_list_is_refused_by_the_name_of_the_item(answer: Any, named: str) -> None:
    with pytest.raises(ApiUnavailable, match=named):
        parse_list(answer, NOW)


SECONDS = st.integers(0, int(NOW.timestamp()))
NUMBERS: list[Callable[[int], Any]] = [int, str, float, lambda n: f" {n} ", lambda n: f"{n}.0"]


def spelled(word: str) -> st.SearchStrategy[str]:
    return st.sampled_from([word, word.upper(), word.title(), word.swapcase()])


@given(data=st.data())
def test_every_spelling_of_the_same_list_is_the_same_list(data: st.DataObject) -> None:
    spans = data.draw(st.lists(st.tuples(SECONDS, SECONDS, st.integers(0, 2**63)), max_size=25))
    items = []
    for a, b, found_id in spans:
        write = data.draw(st.sampled_from(NUMBERS))
        values = {
            data.draw(spelled("start")): write(min(a, b)),
            data.draw(spelled("stop")): write(max(a, b)),
            data.draw(spelled("id")): data.draw(st.sampled_from([found_id, str(found_id)])),
            "extra": None,
        }
        order = data.draw(st.permutations(list(values)))
        items.append({key: values[key] for key in order})
    answer = json.loads(json.dumps({data.draw(spelled("exports")): items}))
    expected = [
        Bundle(
            str(i),
            Window(
                BEGINNING + timedelta(seconds=min(a, b)), BEGINNING + timedelta(seconds=max(a, b))
            ),
        )
        for a, b, i in spans
    ]
    assert parse_list(answer, NOW) == expected


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["exports", "Id", "Start", "Stop"]) | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(answer=ANY | ANY.map(lambda a: {"exports": [a]}))
def test_any_json_is_a_list_or_a_typed_error(answer: Any) -> None:
    try:
        found = parse_list(answer, NOW)
    except ApiUnavailable:
        return
    assert all(b.window.stop >= b.window.start >= BEGINNING for b in found)


@pytest.mark.parametrize("encoding", ["gzip", "content-encoding", "identity"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_bundle_is_the_same_whatever_the_transport_did_with_its_gzip(
    time: FakeTime, encoding: str, chunked: bool
) -> None:
    headers = {
        "gzip": {"Content-Type": "application/gzip"},
        "content-encoding": {"Content-Encoding": "gzip", "Content-Type": "application/json"},
        "identity": {"Content-Type": "application/json"},
    }[encoding]
    sent = TEXT if encoding == "identity" else GZ
    reply = Reply(200, sent, headers, chunked=chunked)
    with Scripted(in_turn(reply)) as server, source_for(server.url, time) as source:
        with source.open(ONE) as body:
            assert body.total == (None if chunked else len(sent))
            assert b"".join(body) == sent
        (seen,) = server.seen
    assert seen.query == {"id": ONE.id}
    assert seen.headers["authorization"] == f"Basic {TOKEN}"


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gzip_file_that_was_gzipped_again_for_its_way_comes_as_the_file(
    time: FakeTime, layers: int
) -> None:
    sent = GZ
    for _ in range(layers):
        sent = gzip.compress(sent)
    reply = Reply(200, sent, {"Content-Encoding": ", ".join(["gzip"] * layers)})
    with (
        Scripted(in_turn(reply)) as server,
        source_for(server.url, time) as source,
        source.open(ONE) as body,
    ):
        assert b"".join(body) == GZ


@pytest.mark.parametrize(
    "damage", [lambda z: z[:-3], lambda z: z + b"more", lambda z: z[:-8] + b"\0" * 8]
)
def test_a_gzip_around_the_gzip_must_be_whole(
    time: FakeTime, damage: Callable[[bytes], bytes]
) -> None:
    reply = Reply(200, damage(gzip.compress(GZ)), {"Content-Encoding": "gzip"})
    with (
        Scripted(in_turn(reply)) as server,
        source_for(server.url, time) as source,
        source.open(ONE) as body,
        pytest.raises(ApiUnavailable, match="transport encoding"),
    ):
        list(body)


def test_a_bundle_in_an_encoding_that_was_not_asked_for_is_named(time: FakeTime) -> None:
    reply = Reply(200, b"...", {"Content-Encoding": "br"})
    with (
        Scripted(in_turn(reply)) as server,
        source_for(server.url, time) as source,
        pytest.raises(ApiUnavailable) as caught,
        source.open(ONE),
    ):
        pass
    assert caught.value.reason.startswith(f"bundle {ONE.id} ({ONE.window}): ")
    assert "'br'" in caught.value.reason
    assert "proxy" in caught.value.instruction


@pytest.mark.parametrize("body", [b"", b"\x1f", b"[]", b"plain, whatever the header says"])
def test_a_false_content_encoding_changes_nothing(time: FakeTime, body: bytes) -> None:
    reply = Reply(200, body, {"Content-Encoding": "gzip"})
    with (
        Scripted(in_turn(reply)) as server,
        source_for(server.url, time) as source,
        source.open(ONE) as got,
    ):
        assert b"".join(got) == body


def test_a_body_that_only_the_end_of_the_connection_ends_is_taken(time: FakeTime) -> None:
    reply = Reply(200, GZ, length="")
    with (
        Scripted(in_turn(reply)) as server,
        source_for(server.url, time) as source,
        source.open(ONE) as body,
    ):
        assert body.total is None
        assert b"".join(body) == GZ


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("end", ["close", "reset", "hang"])
def test_a_body_that_breaks_off_is_never_taken_for_a_whole_one(
    time: FakeTime, chunked: bool, end: str
) -> None:
    reply = Reply(200, GZ, chunked=chunked, length=len(GZ) + 1, end=end)
    with (
        Scripted(in_turn(reply)) as server,
        source_for(server.url, time) as source,
        source.open(ONE) as body,
        pytest.raises(ApiUnavailable) as caught,
    ):
        list(body)
    assert ONE.id in caught.value.reason
    assert ("nothing came for" in caught.value.reason) == (end == "hang")


def test_a_download_is_not_whole_without_its_last_chunk(time: FakeTime) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    reply = Reply(raw=raw, end="close")
    with (
        Scripted(in_turn(reply)) as server,
        source_for(server.url, time) as source,
        source.open(ONE) as body,
        pytest.raises(ApiUnavailable, match="broke after 5 bytes"),
    ):
        list(body)


def test_the_first_byte_may_take_longer_than_the_later_ones(time: FakeTime) -> None:
    """The server says nothing for twice ReadTimeout, and then answers."""
    released: list[bool] = []

    def late(seen: Seen) -> Reply:
        released.append(server.released.wait(1.0))
        return Reply(200, GZ)

    with Scripted(late) as server, source_for(server.url, time) as source:
        with source.open(ONE) as body:
            assert b"".join(body) == GZ
        assert len(server.seen) == 1


def test_a_bundle_that_takes_too_long_in_all_is_given_up(time: FakeTime) -> None:
    with (
        Scripted(in_turn(Reply(200, GZ))) as server,
        source_for(server.url, time, bundle_timeout=timedelta(hours=2)) as source,
        source.open(ONE) as body,
    ):
        chunks = iter(body)
        next(chunks)
        time.pass_by(7201)
        with pytest.raises(BundleTooSlow, match=r"not whole after 2 h \(BundleTimeout\)"):
            next(chunks)


@pytest.mark.parametrize("status", [404, 410])
def test_a_bundle_that_is_gone_is_told_once_and_how_to_go_on(time: FakeTime, status: int) -> None:
    with (
        Scripted(in_turn(Reply(status))) as server,
        source_for(server.url, time) as source,
    ):
        with pytest.raises(BundleGone, match=ONE.id) as caught, source.open(ONE):
            pass
        assert len(server.seen) == 1
    assert "skip --since 2026-09-01T00:00:00Z --until 2026-09-02T00:00:00Z" in str(caught.value)
    assert caught.value.exit_code == 6


def test_a_download_that_is_no_answer_is_asked_for_again(time: FakeTime) -> None:
    part = Reply(206, GZ[:10])
    with (
        Scripted(in_turn(part, Reply(500), Reply(200, GZ))) as server,
        source_for(server.url, time) as source,
        source.open(ONE) as body,
    ):
        assert b"".join(body) == GZ
        assert len(time.slept) == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("get:401", AccessDenied),
        ("get:429,retry-after=5000", RateLimited),
        ("get:500:*", ApiUnavailable),
    ],
)
def test_a_download_that_is_refused_raises_what_the_operator_can_do(
    time: FakeTime, fault: str, error: type[Exception]
) -> None:
    with mock(time, bundles=1, faults=[fault]) as api, source_for(api.url, time) as source:
        (bundle,) = source.due(None)
        with pytest.raises(error), source.open(bundle):
            pass


@pytest.mark.parametrize(
    "hanging",
    [
        pytest.param(Reply(200, GZ, length=len(GZ) + 1, end="hang"), id="in the body"),
        pytest.param(Reply(raw=b"", end="hang"), id="before the answer"),
    ],
)
def test_closing_the_source_ends_what_other_threads_wait_for(
    time: FakeTime, hanging: Reply
) -> None:
    errors: list[BaseException] = []
    asked = threading.Event()

    def answer(seen: Seen) -> Reply:
        asked.set()
        return hanging

    patient = {"read_timeout": timedelta(seconds=60)}
    with Scripted(answer) as server, source_for(server.url, time, **patient) as source:

        def read() -> None:
            try:
                with source.open(ONE) as body:
                    list(body)
            except BaseException as error:
                errors.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        assert asked.wait(10)
        source.close()
        reader.join(20)
        assert not reader.is_alive()
    assert [type(error) for error in errors] == [SourceClosed]
    assert time.slept == []


def test_announcing_is_nothing_and_asks_nothing(time: FakeTime) -> None:
    with Scripted(in_turn(Reply(500))) as server, source_for(server.url, time) as source:
        source.announce(ONE)
        assert server.seen == []
