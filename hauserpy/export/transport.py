"""Connections with two patiences: one for the first byte of an answer, one for those behind it.

requests and urllib3 know one read time-out, for both. A bundle is generated on demand, so its first
byte may take minutes; between two later bytes a minute of silence means that the line is dead.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import requests.adapters
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Sockets:
    """The open sockets, so that `close` can end reads that other threads are blocked in."""

    def __init__(self, idle: float) -> None:
        self.idle = idle
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._aborted = False

    def add(self, sock: socket.socket | None) -> None:
        if sock is not None:
            with self._lock:
                self._open.add(sock)
                late = self._aborted
            if late:
                _shut(sock)

    @contextlib.contextmanager
    def awaiting_head(self, sock: socket.socket | None) -> Iterator[None]:
        """While the head of an answer is read: it may take as long as its first byte may, and
        ``idle`` seconds more, so that one which comes byte by byte for ever ends. From then on the
        socket waits no longer than ``idle`` seconds for a byte."""
        patience = self.idle if sock is None else (sock.gettimeout() or self.idle) + self.idle
        timer = threading.Timer(patience, _shut, [sock])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        if sock is not None:
            # The answer may already be whole and the socket closed.
            with contextlib.suppress(OSError):
                sock.settimeout(self.idle)

    def abort(self) -> None:
        """End all reads, also those of connections that are still to come."""
        with self._lock:
            self._aborted = True
            found = list(self._open)
            self._open.clear()
        for sock in found:
            _shut(sock)


def _shut(sock: socket.socket | None) -> None:
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


class Adapter(requests.adapters.HTTPAdapter):
    """Connections whose read time-out drops to ``sockets.idle`` once the head of an answer is in.

    The read time-out of a request is then the wait for that head alone.
    """

    def __init__(self, sockets: Sockets) -> None:
        self._pools = _pools(sockets)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        # A SOCKS manager has connection classes of its own; there the one time-out serves for both.
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(sockets: Sockets) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3 overrides so
            with sockets.awaiting_head(self.sock):
                return super().getresponse()

    class Tls(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3 overrides so
            with sockets.awaiting_head(self.sock):
                return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}
