"""The stand-in itself: a listening socket, one thread a client, and what the clients share."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable
from typing import Any, Literal, Self

from tests.standins.redshift.copying import Bucket
from tests.standins.redshift.faults import Faults
from tests.standins.redshift.postgres import Postgres
from tests.standins.redshift.session import Session
from tests.standins.redshift.values import LoadError

ROLE = "arn:aws:iam::123456789012:role/copy"
ACCESS_KEY = "AKIASTANDIN"
_ISOLATION = {"snapshot": "repeatable read", "serializable": "serializable"}


class RedshiftStandin:
    """One Redshift database at ``host`` and ``port``; a context manager.

    ``users`` may log in with their passwords; the first owns the schema ``public``. ``log`` holds
    the statements that were let through, in order. ``tls`` wraps connections that ask for it.
    """

    def __init__(
        self,
        postgres: Postgres,
        s3_endpoint: str,
        *,
        users: dict[str, str] | None = None,
        isolation: Literal["snapshot", "serializable"] = "snapshot",
        region: str = "us-east-1",
        authorized: Iterable[str] = (ROLE, ACCESS_KEY),
        tls: ssl.SSLContext | None = None,
        require_tls: bool = False,
        sys_views: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.postgres = postgres
        self.postgres_isolation = _ISOLATION[isolation]
        self.users = users or {"hauser": "correct horse"}
        self.bucket = Bucket(s3_endpoint, region, frozenset(authorized))
        self.tls = tls
        self.require_tls = require_tls
        self.faults = Faults()
        self.log: list[str] = []
        self.database = postgres.database()
        self._admin = postgres.connect(self.database)
        self._admin_lock = threading.Lock()
        for user in self.users:
            postgres.user(user)
        self.sql(f'ALTER SCHEMA public OWNER TO "{next(iter(self.users))}"')
        self._as_new = sys_views
        if not sys_views:
            # A cluster from before the SYS monitoring views.
            self.sql("SET allow_system_table_mods = on; DROP VIEW pg_catalog.sys_load_error_detail")
        self._listener = socket.create_server((host, port))
        self.host, self.port = self._listener.getsockname()[:2]
        self._sessions: set[Session] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping = True
        self.faults.clear()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        if self._acceptor.is_alive():
            self._acceptor.join(10)
        for thread in self._threads:
            thread.join(10)
        self._admin.close()
        if self._as_new:
            self.postgres.give_back(self.database)

    def hang_up(self) -> None:
        """Close every client's connection, as a restart of the cluster does."""
        for session in list(self._sessions):
            session.close()

    def sql(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Ask PostgreSQL itself, as superuser and past all rules: for set-up and for looking."""
        with self._admin_lock, self._admin.cursor() as cursor:
            cursor.execute(query, arguments or None)
            rows: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
            return rows

    def record(self, problem: LoadError, url: str, user: str, session: int) -> None:
        """Keep the reason of a failed COPY, outside the transaction that it aborts."""
        self.sql(
            "INSERT INTO pg_catalog.standin_load_errors (usename, session, database_name, filename,"
            " line_number, colname, type, col_length, position, raw_field_value, err_code,"
            " err_reason) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, %s, %s, %s)",
            user,
            session,
            self.database,
            url[:256],
            problem.line,
            problem.column,
            problem.type,
            problem.length,
            problem.field.decode("ascii", "replace").replace("\0", "").replace("�", ".")[:1024],
            problem.code,
            problem.reason[:512],
        )

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, sock)
            thread = threading.Thread(target=self._serve, args=(session,), daemon=True)
            self._sessions.add(session)
            self._threads.append(thread)
            thread.start()

    def _serve(self, session: Session) -> None:
        try:
            session.run()
        finally:
            self._sessions.discard(session)
