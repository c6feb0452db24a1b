"""The stand-in as an HTTP server in threads: sockets, faults and the log around the service."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.standins.bigquery.errors import Refused
from tests.standins.bigquery.faults import Action, Fault, Faults, Gates, Request
from tests.standins.bigquery.service import Answer, Call, Service
from tests.standins.quiet import QuietServer


class _Server(QuietServer):
    request_queue_size = 64

    def __init__(self, port: int, service: Service, faults: Faults) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.service = service
        self.faults = faults


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the log is the stand-in's own."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.faults.strike(f"{self.command} {self._short_path}")
        if fault is not None and fault.action is Action.DROP_BEFORE:
            self._record(body, None)
            self._hang_up()
            return
        if fault is not None and fault.action is Action.HOLD:
            fault.released.wait(timeout=60)
        answer = self._answer(body, fault)
        if fault is not None and fault.action is Action.DROP_AFTER:
            self._record(body, None)
            self._hang_up()
            return
        self._record(body, answer.status)
        self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _answer(self, body: bytes, fault: Fault | None) -> Answer:
        if fault is not None and fault.action is Action.STATUS:
            refused = Refused(fault.reason, "a fault made on purpose", status=fault.status)
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return Answer(fault.status, refused.as_answer(), headers)
        split = urlsplit(self.path)
        host, port = self.server.server_address[:2]
        call = Call(
            self.command,
            split.path,
            dict(parse_qsl(split.query, keep_blank_values=True)),
            self.headers,  # type: ignore[arg-type]
            body,
            f"http://{host!s}:{port}",
        )
        try:
            return self.server.service.handle(call)
        except Refused as refusal:
            return Answer(refusal.status, refusal.as_answer())

    def _record(self, body: bytes, status: int | None) -> None:
        self.server.faults.record(Request(self.command, self._short_path, len(body), status))

    @property
    def _short_path(self) -> str:
        """Without what every request has: for patterns and the log."""
        path = self.path.removeprefix("/bigquery/v2").replace("prettyPrint=false", "")
        return path.rstrip("?&")

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, answer: Answer) -> None:
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (answer.headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class BigQueryStandIn:
    """A running stand-in on a loopback port of its own; a context manager.

    ``url`` is what ``[bigquery] Endpoint`` takes (and ``[gcs] Endpoint``). What tests use: `dataset`
    to begin with, `faults` and `gates` to disturb, `sql` to look, `withhold` for permissions.
    ``clock`` gives seconds since the epoch.
    """

    PROJECT = "stand-in"

    def __init__(self, port: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.service = Service(clock)
        self.faults = Faults()
        self._server = _Server(port, self.service, self.faults)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def gates(self) -> Gates:
        return self.service.gates

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reset()
        self._server.shutdown()
        self._server.server_close()
        self.service.jobs.join()
        self.service.catalog.close()

    def dataset(self, name: str, location: str = "US") -> str:
        """Make a dataset; returns its name."""
        self.service.catalog.create_dataset(self.PROJECT, name, location)
        return name

    def withhold(self, *permissions: str) -> None:
        """Take permissions (``bigquery.tables.create``, ``storage.objects.get``) from everyone."""
        self.service.withheld.update(permissions)

    def reset(self) -> None:
        """Faults, gates and withheld permissions go; data stay."""
        self.faults.clear()
        self.gates.clear()
        self.service.withheld.clear()
        self.service.uploads.forget_finished = False

    def sql(self, script: str, dataset: str | None = None, location: str = "US") -> list[tuple]:
        """Run a script as a user of the warehouse would; the last SELECT's rows, as Python values
        (timestamps naive, in UTC)."""
        outcome = self.service.scripts.run(
            script,
            parameters={},
            project=self.PROJECT,
            dataset=dataset,
            location=location,
            allow=lambda _permission, _table: None,
        )
        return outcome.rows

    def tables(self, dataset: str) -> list[str]:
        return [t.name for t in self.service.catalog.tables(self.PROJECT, dataset)]

    def table(self, dataset: str, name: str) -> dict[str, Any]:
        """The table as the REST API describes it."""
        catalog = self.service.catalog
        return catalog.describe(catalog.table(self.PROJECT, dataset, name))

    def create_table(self, dataset: str, name: str, **body: Any) -> None:
        """``schema={"fields": […]}, timePartitioning={…}``: as in the REST API."""
        reference = {"projectId": self.PROJECT, "datasetId": dataset, "tableId": name}
        self.service.catalog.create_table(
            self.PROJECT, dataset, {"tableReference": reference, **body}
        )
