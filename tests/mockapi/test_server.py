"""The server: keep-alive, records of requests, streaming of big bodies, a clean end."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import threading
import tracemalloc
import zlib
from urllib.parse import urlsplit

import pytest

from hauserpy.errors import ConfigError
from hauserpy.mockapi import MockApi
from tests.mockapi.client import get, listing, send


def connect(api: MockApi) -> http.client.HTTPConnection:
    url = urlsplit(api.url)
    return http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)


def test_a_connection_is_kept_alive():
    with MockApi(bundles=1, events=5, chunked=True) as api:
        connection = connect(api)
        headers = {"Authorization": f"Basic {api.token}"}
        connection.request("GET", "/api/v1/export/list?start=0", headers=headers)
        connection.getresponse().read()
        used = connection.sock
        for _ in range(3):
            connection.request("GET", f"/api/v1/export/get?id={api.bundles[0].id}", headers=headers)
            assert connection.getresponse().read()
            connection.request("GET", "/nowhere", headers=headers)
            assert connection.getresponse().read()
        assert connection.sock is used
        connection.close()


def test_every_request_is_recorded():
    with MockApi(bundles=1, events=1) as api:
        send(api, "/api/v1/export/list?start=0&x=%C3%BC", headers={"X-Mine": "1"})
        send(api, "/segments/v1/exports", method="POST", body={"a": 1}, token=None)
        send(api, f"{api.storage_url}/exports/x.json.gz?a=b", token=None)
        first, second, third = api.requests
        api.forget_requests()
        assert api.requests == []
    assert (first.method, first.path, first.query) == (
        "GET", "/api/v1/export/list", {"start": "0", "x": "ü"},
    )  # fmt: skip
    assert (first.headers["x-mine"], first.headers["authorization"]) == ("1", "Basic na1.mock")
    assert first.host == urlsplit(api.url).netloc
    assert (first.server, first.port, first.endpoint, first.status) == (
        "api", urlsplit(api.url).port, "list", 200,
    )  # fmt: skip
    assert (second.endpoint, second.status, json.loads(second.body)) == ("create", 401, {"a": 1})
    assert (third.server, third.status) == ("storage", 403)
    assert f"http://{third.host}" == api.storage_url


def test_many_are_served_at_once():
    with MockApi(bundles=1, events=500) as api:
        bodies: list[bytes] = []
        readers = [threading.Thread(target=lambda: bodies.append(get(api).body)) for _ in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert len(bodies) == 8
    assert len(set(bodies)) == 1


def test_a_big_body_is_streamed_without_being_held():
    size = 40_000_000
    with MockApi(bundles=1, bundle_bytes=size) as api:
        connection = connect(api)
        connection.request("GET", f"/api/v1/export/get?id={api.bundles[0].id}",
                           headers={"Authorization": f"Basic {api.token}"})  # fmt: skip
        gc.collect()
        tracemalloc.start()
        response = connection.getresponse()
        assert response.headers["Transfer-Encoding"] == "chunked"
        unzip = zlib.decompressobj(31)
        total = 0
        while piece := response.read(1 << 16):
            total += len(unzip.decompress(piece))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        connection.close()
    assert total >= size
    assert unzip.eof
    assert peak < 12 << 20


def test_a_fault_in_a_big_body_knows_the_length():
    with MockApi(bundles=1, bundle_bytes=12_000_000, faults=["cut@10%"]) as api:
        with pytest.raises(http.client.IncompleteRead) as raised:
            get(api)
        whole = get(api)
    assert "Content-Length" not in whole.headers
    assert raised.value.partial == whole.body[: len(whole.body) // 10]


def test_http_1_0_gets_a_body_that_ends_with_the_connection():
    with MockApi(bundles=1, events=3, chunked=True) as api:
        raw = socket.create_connection(("127.0.0.1", urlsplit(api.url).port), timeout=20)
        raw.sendall(
            f"GET /api/v1/export/get?id={api.bundles[0].id} HTTP/1.0\r\n"
            f"Authorization: Basic {api.token}\r\n\r\n".encode()
        )
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
        raw.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"chunked" not in head
        assert body == get(api).body


def test_a_client_that_hangs_up_disturbs_nobody(capfd):
    with MockApi(bundles=1, bundle_bytes=30_000_000) as api:
        connection = connect(api)
        connection.request("GET", f"/api/v1/export/get?id={api.bundles[0].id}",
                           headers={"Authorization": f"Basic {api.token}"})  # fmt: skip
        connection.getresponse().read(10)
        connection.close()
        assert len(listing(api)) == 1
    assert capfd.readouterr().err == ""


def test_close_ends_idle_connections_and_every_thread():
    before = set(threading.enumerate())
    with MockApi(bundles=1, events=1) as api:
        connection = connect(api)
        connection.request("GET", "/nowhere")
        connection.getresponse().read()
        sock = connection.sock
        assert set(threading.enumerate()) - before
    assert sock is not None
    assert sock.recv(1) == b""
    connection.close()
    assert set(threading.enumerate()) - before == set()


def test_closing_twice_or_without_a_start_is_no_error():
    api = MockApi(events=0)
    api.close()
    api.close()
    with MockApi(events=0) as started:
        started.close()


def test_a_port_can_be_chosen_and_one_that_is_taken_is_refused():
    with MockApi(events=0) as api:
        port = urlsplit(api.url).port
        with pytest.raises(ConfigError, match=f"port {port}"):
            MockApi(events=0, port=port)
    with MockApi(events=0, port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}/api/v1"
