"""S3 for tests: moto's server on an ephemeral port, and a TCP tap before it that can hold or cut."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import boto3
import pytest
from botocore.config import Config

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "standin", "AWS_SECRET_ACCESS_KEY": "standin"}


@dataclass
class S3Standin:
    """A running S3: ``endpoint`` is its URL, ``environ`` what a subprocess needs to use it."""

    endpoint: str

    @property
    def environ(self) -> dict[str, str]:
        # No look at the machine's own AWS set-up, and no wait for the metadata service.
        nowhere = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        return {**CREDENTIALS, **nowhere, "AWS_EC2_METADATA_DISABLED": "true"}

    def client(self, region: str = "us-east-1") -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id="standin",
            aws_secret_access_key="standin",
            config=Config(s3={"addressing_style": "path"}),
        )

    def bucket(self, region: str = "us-east-1") -> str:
        """Make a new bucket; returns its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        place = {"LocationConstraint": region}
        extra = {} if region == "us-east-1" else {"CreateBucketConfiguration": place}
        self.client(region).create_bucket(Bucket=name, **extra)
        return name

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        listed = self.client().list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [o["Key"] for o in listed.get("Contents", [])]


@contextlib.contextmanager
def running_s3() -> Iterator[S3Standin]:
    from moto.server import ThreadedMotoServer

    _make_conditions_atomic()
    read_models_once()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield S3Standin(f"http://{host}:{port}")
    finally:
        server.stop()


def _make_conditions_atomic() -> None:
    """S3 looks at a write's condition and writes in one step, moto in two."""
    from moto.s3.responses import S3Response

    lock = threading.RLock()

    def alone(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        def handle(*args: Any, **given: Any) -> Any:
            with lock:
                return handler(*args, **given)

        return handle

    for name in ("put_object", "_key_response_post", "delete_object"):
        handler = getattr(S3Response, name)
        if not hasattr(handler, "__wrapped__"):  # else done before
            setattr(S3Response, name, alone(handler))


def read_models_once() -> None:
    """Every client of a new session looks anew for what is known of AWS's services, and reads it,
    which takes longer than most tests."""
    from botocore.loaders import JSONFileLoader, Loader

    read = functools.cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _, path: read(path)
    services = functools.cache(Loader().list_available_services)
    Loader.list_available_services = lambda _, type_name: services(type_name)


@pytest.fixture(scope="session")
def s3_standin() -> Iterator[S3Standin]:
    with running_s3() as standin:
        yield standin


@dataclass(eq=False)
class TapFault:
    """At the ``nth`` request whose first line matches ``pattern`` (``PUT /bucket/key``): ``hold``
    until released or until the client is gone, or ``drop`` both connections.

    ``when`` is before the request is passed on, or after the server has answered it.
    """

    pattern: str
    when: Literal["before", "after"] = "before"
    action: Literal["hold", "drop"] = "hold"
    nth: int = 1
    times: int = 1
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    seen: int = 0

    def release(self) -> None:
        self.released.set()


class Tap:
    """A TCP proxy before an HTTP server: the place where tests break the network."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.faults: list[TapFault] = []
        self.requests: list[str] = []
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Tap:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for fault in self.faults:
            fault.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def add(self, fault: TapFault) -> TapFault:
        self.faults.append(fault)
        return fault

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._server) as server:
            self._open |= {client, server}
            current: list[str] = [""]
            back = threading.Thread(
                target=self._answers, args=(server, client, current), daemon=True
            )
            back.start()
            try:
                while data := client.recv(65536):
                    line = _request_line(data)
                    if line is not None:
                        current[0] = line
                        self.requests.append(line)
                        if not self._passes(line, "before", client):
                            break
                    server.sendall(data)
            finally:
                self._open -= {client, server}
                for sock in (server, client):
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                back.join(10)

    def _answers(self, server: socket.socket, client: socket.socket, current: list[str]) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if _ANSWER.match(data) and not self._passes(current[0], "after", client):
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def _passes(self, line: str, when: str, client: socket.socket) -> bool:
        for fault in self.faults:
            if fault.when != when or not re.match(fault.pattern, line):
                continue
            fault.seen += 1
            if not fault.nth <= fault.seen < fault.nth + fault.times:
                continue
            fault.reached.set()
            if fault.action == "drop":
                return False
            while not fault.released.wait(0.02):
                with contextlib.suppress(BlockingIOError):
                    if not client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                        return False
        return True


_ANSWER = re.compile(rb"(?:HTTP/1\.1 100 [^\r]*\r\n\r\n)?HTTP/1\.1 (?!100)")
"""A client that waited in vain for the 100 goes on, and may get both in one piece."""


def _request_line(data: bytes) -> str | None:
    found = re.match(rb"(GET|PUT|POST|HEAD|DELETE) (\S+) HTTP/1\.1\r\n", data)
    return None if found is None else found.expand(rb"\1 \2").decode()
