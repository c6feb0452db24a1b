"""The HTTP session: what is tried again, what is not, and to whom the token goes."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import traceback
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from hauserpy.config import Header, Secret
from hauserpy.errors import (
    AccessDenied,
    ApiUnavailable,
    ConfigError,
    Interrupted,
    RateLimited,
)
from hauserpy.export import Timing, Waiter, body
from hauserpy.export.http import Http
from hauserpy.export.pacing import date_of
from hauserpy.export.request import Request
from hauserpy.export.source import SourceClosed
from tests.export.conftest import NOW, TOKEN, FakeTime, settings_for
from tests.export.scripted import Reply, Scripted, Seen, in_turn, json_reply

GOOD = json_reply('{"exports": []}')


def ask(server: Scripted, time: FakeTime, **changes: object) -> object:
    http = Http(settings_for(server.url, **changes), time.timing)
    try:
        return http.json(wanted(http))[1]
    finally:
        http.close()


def wanted(http: Http, **changes: object) -> Request:
    made: dict[str, object] = {"what": "the list", "endpoint": "list", "url": http.url("list")}
    return Request(**{**made, **changes})


def test_it_says_who_it_is_with_the_raw_token_and_the_additional_headers(time: FakeTime) -> None:
    headers = (Header("X-Gateway-Key", Secret("gate-key")), Header("User-Agent", Secret("acme")))
    with Scripted(in_turn(GOOD)) as server:
        ask(server, time, additional_http_header=headers)
        (seen,) = server.seen
    assert seen.headers["authorization"] == f"Basic {TOKEN}"
    assert seen.headers["x-gateway-key"] == "gate-key"
    assert seen.headers["user-agent"] == "acme"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Reply(500), id="500"),
        pytest.param(Reply(503, b"<html>down</html>"), id="503"),
        pytest.param(Reply(408), id="408"),
        pytest.param(Reply(204), id="no content"),
        pytest.param(Reply(304), id="not modified"),
        pytest.param(Reply(302), id="redirect to nowhere"),
        pytest.param(Reply(200, b"<html>hello</html>"), id="html"),
        pytest.param(Reply(200, b""), id="nothing"),
        pytest.param(Reply(200, b"null"), id="null"),
        pytest.param(Reply(200, b"[]"), id="no object"),
        pytest.param(Reply(200, b"{" * 100_000), id="nested without end"),
        pytest.param(Reply(200, b'{"exports": [\xff]}'), id="no utf-8"),
        pytest.param(Reply(200, b'{"exp', length=100, end="close"), id="cut"),
        pytest.param(Reply(200, b'{"exp', length=100, end="reset"), id="reset in the body"),
        pytest.param(Reply(200, b'{"exp', length=100, end="hang"), id="hang in the body"),
        pytest.param(Reply(200, b'{"exports": []}', chunked=True, end="close"), id="last chunk"),
        pytest.param(Reply(raw=b"HTTP/1.1 2", end="close"), id="cut in the status line"),
        pytest.param(Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n", end="close"), id="another protocol"),
        pytest.param(
            Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello"),
            id="two lengths",
        ),
        pytest.param(
            Reply(raw=b"HTTP/1.1 200 OK\r\nX-Slow: ", end="trickle"), id="a head without end"
        ),
        pytest.param(Reply(raw=b"", end="reset"), id="reset"),
        pytest.param(Reply(raw=b"", end="hang"), id="hang"),
        pytest.param(
            Reply(200, b"\x1f\x8b\x08", {"Content-Encoding": "gzip"}), id="broken encoding"
        ),
    ],
)
def test_what_may_pass_is_tried_again(time: FakeTime, bad: Reply) -> None:
    with Scripted(in_turn(bad, GOOD)) as server:
        assert ask(server, time) == {"exports": []}
        assert len(server.seen) == 2
    assert len(time.slept) == 1


def test_tries_are_bounded_and_waits_are_full_jitter_of_the_backoff(time: FakeTime) -> None:
    with Scripted(in_turn(Reply(500))) as server:
        with pytest.raises(ApiUnavailable, match=r"the list: 127.*answered 500, after 7 tries"):
            ask(server, time, backoff_steps_max=7)
        assert len(server.seen) == 7
    caps = [30, 60, 120, 240, 480, 900]
    assert len(time.slept) == 6
    assert all(0 <= wait <= cap for wait, cap in zip(time.slept, caps, strict=True))


def test_nobody_listening_is_tried_again(time: FakeTime) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        http = Http(settings_for(f"http://127.0.0.1:{unused.getsockname()[1]}"), time.timing)
        with pytest.raises(ApiUnavailable, match=r"Connection refused.*after 3 tries"):
            http.json(wanted(http))
        http.close()
    assert len(time.slept) == 2


def test_a_503_is_not_asked_again_before_its_retry_after(time: FakeTime) -> None:
    with Scripted(in_turn(Reply(503, headers={"Retry-After": "77"}), GOOD)) as server:
        ask(server, time)
    assert time.slept == [77]


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("40", 40),
        ("1.5", 1.5),
        ("Mon, 23 Nov 2026 10:21:30 GMT", 60),
        ("Mon, 23 Nov 2026 10:00:00 GMT", 1),
        ("0", 1),
    ],
)
def test_429_waits_as_told_in_seconds_or_until_a_date(
    time: FakeTime, header: str, wait: float
) -> None:
    assert NOW.hour == 10
    with Scripted(in_turn(Reply(429, b"slow down", {"Retry-After": header}), GOOD)) as server:
        ask(server, time)
    assert time.slept == [wait]


@pytest.mark.parametrize("header", [{}, {"Retry-After": "soon"}])
def test_429_without_a_usable_retry_after_backs_off(time: FakeTime, header: dict[str, str]) -> None:
    with Scripted(in_turn(*[Reply(429, headers=header)] * 3, GOOD)) as server:
        ask(server, time)
    assert time.slept == [30, 60, 120]


def test_429_uses_up_no_tries(time: FakeTime) -> None:
    slow = Reply(429, headers={"Retry-After": "5"})
    with Scripted(in_turn(*[slow] * 6, Reply(500), *[slow] * 6, GOOD)) as server:
        ask(server, time, backoff_steps_max=2)
        assert len(server.seen) == 14


def test_429_for_ever_ends_the_run(time: FakeTime) -> None:
    with (
        Scripted(in_turn(Reply(429, headers={"Retry-After": "600"}))) as server,
        pytest.raises(RateLimited, match=r"answered 429 \d+ times in a row"),
    ):
        ask(server, time, retry_after_max=timedelta(minutes=15))
    assert sum(time.slept) <= 4 * 15 * 60


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_beyond_the_cap_ends_the_run_and_says_so(time: FakeTime, status: int) -> None:
    with Scripted(in_turn(Reply(status, headers={"Retry-After": "901"}), GOOD)) as server:
        with pytest.raises(
            RateLimited, match=r"wait 15 min 1 s, longer than RetryAfterMax \(15 min\)"
        ) as caught:
            ask(server, time)
        assert len(server.seen) == 1
    assert caught.value.exit_code == 4
    assert "Run again after 2026-11-23T10:35:31Z, or raise RetryAfterMax." in str(caught.value)
    assert time.slept == []


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("1000000", "11 d 13 h"), ("1000000000", "32 years"), ("9" * 500, "over 100 years"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "over 100 years"),
        ("Tue, 01 Jan 2036 00:00:00 GMT", "9 years"),
    ],
)  # fmt: skip
def test_a_retry_after_that_cannot_be_meant_is_told_so(
    time: FakeTime, status: int, asked: str, said: str
) -> None:
    with Scripted(in_turn(Reply(status, headers={"Retry-After": asked}), GOOD)) as server:
        with pytest.raises(RateLimited) as caught:
            ask(server, time, retry_after_max=timedelta(days=7))
        assert len(server.seen) == 1
    assert f"asks to wait {said}, which can hardly be meant. Run again later" in str(caught.value)
    assert time.slept == []


def test_what_follows_a_429_is_paced_at_that_endpoint_alone(time: FakeTime) -> None:
    first = Reply(429, headers={"Retry-After": "20"})
    with Scripted(in_turn(first, GOOD)) as server:
        http = Http(settings_for(server.url), time.timing)
        with pytest.raises(RateLimited):
            http.json(wanted(http, endpoint="get", hurried=True))
        http.json(wanted(http, endpoint="list"))
        assert time.slept == []
        time.pass_by(5)
        http.json(wanted(http, endpoint="get"))
        http.close()
    assert time.slept == [15]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_never_tried_again(time: FakeTime, status: int) -> None:
    body = json.dumps({"message": f"key {TOKEN} is\nnot known " + "x" * 9000, "code": "no"})
    with Scripted(in_turn(json_reply(body, status))) as server:
        with pytest.raises(AccessDenied) as caught:
            ask(server, time)
        assert len(server.seen) == 1
    said = str(caught.value)
    assert f"127.0.0.1:{server.port} answered {status} (key ******** is not known xxx" in said
    assert "Admin or Architect" in said
    assert len(said) < 700
    assert TOKEN not in said
    assert caught.value.exit_code == 5


def test_a_key_of_another_region_is_told(time: FakeTime) -> None:
    with (
        Scripted(in_turn(Reply(401))) as server,
        pytest.raises(AccessDenied, match=r"begins with eu1\., the region"),
    ):
        ask(server, time, fs_api_token=Secret("eu1.abcdefgh"))


def test_a_refusal_by_html_says_no_html(time: FakeTime) -> None:
    with (
        Scripted(in_turn(Reply(403, b" <html><body>Forbidden</body></html>"))) as server,
        pytest.raises(AccessDenied, match=r"answered 403\. ") as caught,
    ):
        ask(server, time)
    assert "<" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 404, 405, 422])
def test_other_4xx_are_a_matter_of_configuration(time: FakeTime, status: int) -> None:
    with Scripted(in_turn(json_reply('{"message": "no such segment"}', status))) as server:
        with pytest.raises(ConfigError, match=f"answered {status} \\(no such segment\\)"):
            ask(server, time)
        assert len(server.seen) == 1


def test_a_list_without_end_is_not_read_to_its_end(
    time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hauserpy.export.http.MAX_JSON", 1_000_000)
    with (
        Scripted(in_turn(Reply(200, b"[" + b" " * 1_200_000, length=10**9))) as server,
        pytest.raises(ApiUnavailable, match="short JSON document"),
    ):
        ask(server, time)


def test_a_small_gzip_that_holds_a_huge_document_is_not_unpacked(time: FakeTime) -> None:
    bomb = body.zlib.compress(b" " * (body.MAX_JSON + 10), wbits=31)
    reply = Reply(200, bomb, {"Content-Encoding": "gzip"})
    with Scripted(in_turn(reply)) as server, pytest.raises(ApiUnavailable, match="more than 64 MB"):
        ask(server, time)


def test_an_answer_that_trickles_is_given_up(time: FakeTime) -> None:
    def trickle(seen: Seen) -> Reply:
        time.pass_by(3600)
        return GOOD

    http_time = time.timing
    with Scripted(trickle) as server:
        http = Http(settings_for(server.url), http_time)
        # Every look at the clock is a second later: the body takes too long.
        slow = Timing(http_time.clock, _ticking(), http_time.sleep)
        response = http.attempt(wanted(http))
        with pytest.raises(Exception, match="not whole after 2 s"):
            body.read_bytes(response, "the list", most=1000, limit=2, timing=slow)
        response.close()
        http.close()


def _ticking():
    now = [0.0]

    def tick() -> float:
        now[0] += 2.5
        return now[0]

    return tick


def test_an_encoding_that_was_not_asked_for_is_refused(time: FakeTime) -> None:
    reply = Reply(200, b"{}", {"Content-Encoding": "br"})
    with (
        Scripted(in_turn(reply)) as server,
        pytest.raises(ApiUnavailable, match=r"^the list: .* 'br', but gzip alone was asked for"),
    ):
        ask(server, time)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_same_origin_keeps_the_token(time: FakeTime, status: int) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.path == "/list":
            return Reply(status, headers={"Location": "/v2/list?x=1"})
        return GOOD

    with Scripted(answer) as server:
        ask(server, time)
        assert [s.path for s in server.seen] == ["/list", "/v2/list"]
        assert server.seen[1].headers["authorization"] == f"Basic {TOKEN}"


def test_nothing_of_ours_follows_a_redirect_to_another_host_or_back(time: FakeTime) -> None:
    headers = (Header("X-Gateway-Key", Secret("gate-key")), Header("Cookie", Secret("a=b")))
    with Scripted(in_turn(GOOD)) as other, Scripted(in_turn(GOOD)) as server:

        def away(seen: Seen) -> Reply:
            if seen.path == "/list":
                return Reply(307, headers={"Location": f"{other.url}/there", "Set-Cookie": "k=v"})
            return GOOD

        server.answer = away
        other.answer = in_turn(Reply(307, headers={"Location": f"{server.url}/back"}))
        ask(server, time, additional_http_header=headers)
        (there,) = other.seen
        back = server.seen[1]
    for seen in (there, back):
        assert not {"authorization", "x-gateway-key", "cookie"} & set(seen.headers)


def test_a_host_that_was_redirected_to_and_refuses_is_named(time: FakeTime) -> None:
    with Scripted(in_turn(Reply(401))) as other:
        away = Reply(302, headers={"Location": f"{other.url}/list"})
        with (
            Scripted(in_turn(away)) as server,
            pytest.raises(AccessDenied, match=f":{other.port} answered 401") as caught,
        ):
            ask(server, time)
    assert "redirected there, and the token is sent to no other host" in caught.value.instruction


@pytest.mark.parametrize(
    "location",
    [
        "http://example.com/list",
        "ftp://example.com/list",
        "http://user:pw@127.0.0.1/list",
        "http://[::1",
    ],
)
def test_a_redirect_that_others_could_read_along_is_refused(time: FakeTime, location: str) -> None:
    away = Reply(302, headers={"Location": location})
    with Scripted(in_turn(away)) as server:
        with pytest.raises(ApiUnavailable, match="sends us to"):
            ask(server, time)
        assert len(server.seen) == 1


def test_redirects_in_a_circle_end(time: FakeTime) -> None:
    with (
        Scripted(in_turn(Reply(302, headers={"Location": "/list"}))) as server,
        pytest.raises(ApiUnavailable, match="in a circle"),
    ):
        ask(server, time)


@pytest.mark.parametrize(
    "url",
    ["http://api.fullstory.com", "http://192.168.1.1/api/v1", "ftp://127.0.0.1", "https://", "x"],
)
def test_the_token_is_never_sent_over_plain_http_but_to_this_machine(
    time: FakeTime, url: str
) -> None:
    with pytest.raises(ConfigError, match="ApiURL"):
        Http(settings_for(url), time.timing)


def test_a_netrc_entry_for_the_host_does_not_replace_the_token(
    time: FakeTime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password hunter2\ndefault login a password b")
    monkeypatch.setenv("NETRC", str(netrc))
    with Scripted(in_turn(GOOD)) as other:
        away = Reply(302, headers={"Location": f"{other.url}/list"})
        with Scripted(in_turn(away)) as server:
            ask(server, time)
            assert server.seen[0].headers["authorization"] == f"Basic {TOKEN}"
        assert "authorization" not in other.seen[0].headers


def test_what_is_for_this_machine_does_not_go_through_a_proxy(
    time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scripted(in_turn(GOOD)) as proxy, Scripted(in_turn(GOOD)) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        ask(server, time)
        assert proxy.seen == []
        assert len(server.seen) == 1


def test_https_goes_through_the_proxy_of_the_environment_as_a_tunnel(
    time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[bytes] = []
    with Scripted(in_turn(GOOD)) as proxy:

        def refuse(handler) -> None:
            lines.append(handler.raw_requestline + bytes(handler.headers))
            handler.send_error(502)

        monkeypatch.setattr(proxy._server.RequestHandlerClass, "do_CONNECT", refuse, raising=False)
        monkeypatch.setenv("https_proxy", proxy.url)
        http = Http(settings_for("https://api.fullstory.test"), time.timing)
        with pytest.raises(ApiUnavailable, match=r"the proxy could not reach api\.fullstory\.test"):
            http.json(wanted(http))
        http.close()
    assert lines
    assert all(line.startswith(b"CONNECT api.fullstory.test:443") for line in lines)
    assert TOKEN.encode() not in b"".join(lines)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", " padded", "ünï"])
def test_a_header_that_cannot_be_sent_is_refused_without_showing_it(
    time: FakeTime, value: str
) -> None:
    header = Header("X-Key", Secret(value))
    with pytest.raises(ConfigError, match="AdditionalHttpHeader X-Key") as caught:
        Http(settings_for("https://x.test", additional_http_header=(header,)), time.timing)
    assert value not in str(caught.value)
    with pytest.raises(ConfigError, match="no header name"):
        bad = Header("X Key:", Secret("v"))
        Http(settings_for("https://x.test", additional_http_header=(bad,)), time.timing)


def test_a_certificate_that_cannot_be_verified_is_told_at_once(
    time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(*args: object, **kwargs: object) -> None:
        raise requests.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    http = Http(settings_for("https://api.fullstory.test"), time.timing)
    with pytest.raises(ApiUnavailable, match=r"certificate of api\.fullstory\.test cannot"):
        http.json(wanted(http))
    assert time.slept == []


def test_no_secret_shows_in_any_error_or_log(
    time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="hauserpy")
    signed = "X-Signature=abcdef0123456789"
    with Scripted(in_turn(Reply(raw=b"", end="reset"))) as server:
        http = Http(settings_for(server.url), time.timing)
        request = wanted(http, url=f"{server.url}/file?{signed}", ours=False)
        with pytest.raises(ApiUnavailable) as caught:
            http.open(request)
        http.close()
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert signed not in shown
    assert TOKEN not in shown
    assert TOKEN not in repr(http._identity)


def test_a_stopped_waiter_ends_a_wait_at_once_and_every_later_one() -> None:
    waiter = Waiter()
    waiter(0)
    waiter(0.001)
    waiter.stop(15)
    for seconds in (3600, 0, 0.001):
        with pytest.raises(Interrupted) as caught:
            waiter(seconds)
        assert caught.value.exit_code == 143


def test_a_signal_in_a_backoff_ends_the_run() -> None:
    waiter = Waiter()

    def answer(seen: Seen) -> Reply:
        waiter.stop(2)
        return Reply(500)

    with Scripted(answer) as server:
        http = Http(settings_for(server.url), Timing(sleep=waiter))
        with pytest.raises(Interrupted):
            http.json(wanted(http))
        http.close()
        assert len(server.seen) == 1


def test_a_closed_session_asks_nothing_more(time: FakeTime) -> None:
    with Scripted(in_turn(GOOD)) as server:
        http = Http(settings_for(server.url), time.timing)
        http.close()
        http.close()
        with pytest.raises(SourceClosed):
            http.json(wanted(http))
        assert server.seen == []


def test_the_url_of_the_api_may_have_a_path_and_a_slash_at_its_end(time: FakeTime) -> None:
    with Scripted(in_turn(GOOD)) as server:
        http = Http(settings_for(f"{server.url}/api/v1/"), time.timing)
        http.json(wanted(http))
        http.close()
        assert server.paths() == ["/api/v1/list"]
        assert urlsplit(http.url("x")).path == "/api/v1/x"


def test_429_that_asks_for_no_wait_is_not_asked_again_for_ever(time: FakeTime) -> None:
    with Scripted(in_turn(*[Reply(429, headers={"Retry-After": "0"})] * 7, GOOD)) as server:
        ask(server, time)
    assert time.slept[:4] == [1, 1, 1, 1], "at its word"
    assert time.slept[4:] == [480, 900, 900]


@pytest.mark.parametrize("date", ["Thu, 26 Nov 2026 14:00:00", "Thu Nov 26 14:00:00 2026"])
@pytest.mark.parametrize("zone", ["", " -0000"])
def test_a_date_without_a_zone_is_in_utc(date: str, zone: str) -> None:
    found = date_of(date + zone)
    assert found is not None and found.isoformat() == "2026-11-26T14:00:00+00:00"
    assert found == date_of("Thu, 26 Nov 2026 14:00:00 GMT")
