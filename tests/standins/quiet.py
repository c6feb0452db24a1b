"""The server that stand-ins are made of, where nothing is to be told of its clients."""

from __future__ import annotations

from http.server import ThreadingHTTPServer


class QuietServer(ThreadingHTTPServer):
    """Clients leave their connections open, and may break them off when another test looks at what is
    written to stderr."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a connection that was broken off."""
