"""A server on loopback that answers what a test tells it to, byte by byte where need be."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from tests.standins.quiet import QuietServer


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer. ``length``: what Content-Length says, None: the truth, "": nothing, and the end of
    the connection ends the body. ``end``: what happens after the body's bytes. ``raw``: sent in
    place of everything else."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | str | None = None
    chunked: bool = False
    end: str = "well"  # "well", "close", "reset", "hang", "trickle"
    raw: bytes | None = None


class Scripted:
    """Serves ``answer(seen)`` until its ``with`` ends; ``seen`` are the requests so far."""

    def __init__(self, answer: Callable[[Seen], Reply], tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.handle(self)

            do_POST = do_GET

            def log_message(self, *args: object) -> None:
                pass

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Scripted:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        seen = Seen(
            handler.command,
            parts.path,
            dict(parse_qsl(parts.query)),
            {k.lower(): v for k, v in handler.headers.items()},
            body,
        )
        self.seen.append(seen)
        reply = self.answer(seen)
        with contextlib.suppress(OSError):
            self._send(handler, reply)

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        out = handler.wfile
        if reply.raw is not None:
            out.write(reply.raw)
        else:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            if reply.chunked:
                handler.send_header("Transfer-Encoding", "chunked")
            elif reply.length != "":
                known = len(reply.body) if reply.length is None else reply.length
                handler.send_header("Content-Length", str(known))
            handler.end_headers()
            if reply.chunked:
                for n in range(0, len(reply.body), 1000):
                    part = reply.body[n : n + 1000]
                    out.write(b"%x\r\n%s\r\n" % (len(part), part))
                if reply.end == "well":
                    out.write(b"0\r\n\r\n")
            else:
                out.write(reply.body)
        out.flush()
        if reply.end == "hang":
            self.released.wait(30)
        if reply.end == "reset":
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        if reply.end == "trickle":
            # A byte now and then, for ever: no single wait is long.
            with contextlib.suppress(OSError):
                while not self.released.wait(0.02):
                    out.write(b"x")
                    out.flush()
        if reply.end != "well" or reply.length == "" or reply.raw is not None:
            handler.close_connection = True
            if reply.end == "reset":
                handler.connection.close()


def in_turn(*replies: Reply) -> Callable[[Seen], Reply]:
    """Answers one after the other; the last one for ever."""
    left: Iterator[Reply] = iter(replies)
    last = replies[-1]

    def answer(seen: Seen) -> Reply:
        return next(left, last)

    return answer


def json_reply(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), {"Content-Type": "application/json"})
