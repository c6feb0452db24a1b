"""The HTTP server on loopback: threads, keep-alive, streamed bodies, and connections that misbehave."""

from __future__ import annotations

import email.utils
import socket
import struct
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from hauserpy.mockapi.content import Content, small, up_to

_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Request:
    """One request as it arrived. ``headers`` have lower-case names; ``query`` the last of each."""

    server: Literal["api", "storage"]
    """Which of the two hosts it was sent to."""
    port: int
    method: str
    path: str
    raw_target: str
    """Path and query, as they were sent."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    endpoint: str = ""
    """list, get, create, poll, cancel, locate, download; empty for any other path."""
    status: int = 0
    """The status that was answered; 0 when no answer was given."""

    @property
    def host(self) -> str:
        """The Host header."""
        return self.headers.get("host", "")


@dataclass(frozen=True, slots=True)
class Transport:
    """How an answer goes over the wire."""

    chunked: bool = False
    """Without a Content-Length, though it be known."""
    ends_at: float | None = None
    """The share of the body after which nothing more is sent, 0 to 1."""
    ends_by: Literal["cut", "hang", "reset"] = "cut"
    rate: int | None = None
    """Bytes a second."""
    announced_short: int = 0
    """By how many bytes Content-Length is less than what is sent."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. ``silent``: none is given; the connection hangs or is reset."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content = field(default_factory=lambda: Content.of(b""))
    transport: Transport = Transport()
    silent: Literal["hang", "reset"] | None = None
    events: bool = False
    """The body is a bundle's events, not a short answer."""


class LoopbackServer(ThreadingHTTPServer):
    """Serves ``application`` on 127.0.0.1 in threads, from `start` to `stop`."""

    request_queue_size = 128

    def __init__(
        self,
        name: Literal["api", "storage"],
        application: Callable[[Request], Response],
        clock: Callable[[], datetime],
        port: int = 0,
        heard: Callable[[Request], None] | None = None,
    ) -> None:
        """``heard`` is told of each request, from its thread, when it is known what is answered."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.name: Literal["api", "storage"] = name
        self.application = application
        self.clock = clock
        self.heard = heard
        self.stopping = threading.Event()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def server_bind(self) -> None:
        # http.server's own looks the host name up, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.port

    def start(self) -> None:
        self._thread = threading.Thread(target=self._accept, name=f"mock-{self.name}", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        # serve_forever looks only twice a second whether it is to end.
        while not self.stopping.is_set():
            try:
                request, address = self.get_request()
            except OSError:
                # Out of file descriptors, or a client that was quick to leave.
                self.stopping.wait(0.05)
                continue
            if self.stopping.is_set():
                request.close()
            else:
                self.process_request(request, address)

    def stop(self) -> None:
        """Stop listening and end every connection, also those that hang."""
        self.stopping.set()
        if self._thread is not None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                pass  # wakes the thread, which would wait for a connection for ever
            self._thread.join()
            self._thread = None
        with self._lock:
            open_still = dict(self._connections)
        for connection, thread in open_still.items():
            with suppress(OSError):  # the client was quicker
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)  # one may be measuring a long body
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up is no news to a server that tests clients.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 << 10
    server: LoopbackServer

    def version_string(self) -> str:
        return "hauserpy-mock"

    def date_time_string(self, timestamp: float | None = None) -> str:
        moment = self.server.clock().timestamp() if timestamp is None else timestamp
        return email.utils.formatdate(moment, usegmt=True)

    def log_message(self, *_: Any) -> None:
        return  # requests are recorded, and stderr belongs to the caller

    def _serve(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        size = self.headers.get("Content-Length", "0")
        if not size.isdigit() or "Transfer-Encoding" in self.headers:
            self.send_error(411)
            self.close_connection = True
            return
        request = Request(
            server=self.server.name,
            port=self.server.port,
            method=self.command,
            path=url.path,
            raw_target=self.path,
            query=dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(size)),
        )
        response = self.server.application(request)
        request.status = response.status if response.silent is None else 0
        if self.server.heard is not None:
            self.server.heard(request)
        if response.silent is not None:
            self._end(response.silent)
            return
        self._answer(response)

    def __getattr__(self, name: str) -> Any:
        # http.server looks for do_GET and do_POST by name.
        if name in {"do_GET", "do_POST"}:
            return self._serve
        raise AttributeError(name)

    def _answer(self, response: Response) -> None:
        transport, content = response.transport, response.content
        if transport.ends_at is not None or (transport.announced_short and not transport.chunked):
            content = content.measured()
        length = None if transport.chunked else content.length
        framed = length is None and self.request_version != "HTTP/1.0"
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(max(0, length - transport.announced_short)))
        elif framed:
            self.send_header("Transfer-Encoding", "chunked")
        if (length is None and not framed) or transport.announced_short:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()

        chunks = small(content.chunks())
        if transport.ends_at is not None:
            assert content.length is not None
            chunks = up_to(chunks, int(content.length * transport.ends_at))
        for chunk in self._paced(chunks, transport.rate):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if framed else chunk)
            if transport.rate is not None:
                self.wfile.flush()
        if transport.ends_at is not None:
            self._end(transport.ends_by)
            return
        if framed:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _paced(self, chunks: Iterator[bytes], rate: int | None) -> Iterator[bytes]:
        """The chunks, so that ``rate`` bytes have gone by each second since the first: what comes
        late on a busy machine is made up for."""
        began = time.monotonic()
        sent = 0
        for chunk in chunks:
            if rate is None:
                if chunk:
                    yield chunk
                continue
            step = max(1, rate // 20)
            for start in range(0, len(chunk), step):
                piece = chunk[start : start + step]
                yield piece
                sent += len(piece)
                if self.server.stopping.wait(max(0.0, began + sent / rate - time.monotonic())):
                    return

    def _end(self, how: Literal["cut", "hang", "reset"]) -> None:
        """Break the connection off as ``how`` says."""
        self.wfile.flush()
        self.close_connection = True
        if how == "hang":
            self.server.stopping.wait()
        elif how == "reset":
            # A linger of zero seconds makes close() send RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self.connection.close()
        else:
            with suppress(OSError):  # the client was quicker
                self.connection.shutdown(socket.SHUT_RDWR)
