"""One client's connection: statements are checked, rewritten and executed on one backend connection."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.standins.redshift import copying, dialect, wire
from tests.standins.redshift.faults import Fault
from tests.standins.redshift.tokens import Token, statements, text, tokenize, words
from tests.standins.redshift.values import LoadError, Target
from tests.standins.redshift.wire import Closed, SqlError, Stream

if TYPE_CHECKING:
    from tests.standins.redshift.server import RedshiftStandin

_REPORTED = {
    # Redshift says that it is PostgreSQL 8.0.2 and that its encoding is UNICODE.
    "server_version": "8.0.2",
    "server_encoding": "UNICODE",
    "client_encoding": "UNICODE",
    "DateStyle": "ISO, MDY",
    "is_superuser": "off",
    "integer_datetimes": "on",
}
_SETTABLE = {
    "STATEMENT_TIMEOUT", "TIMEZONE", "TIME", "DATESTYLE", "CLIENT_ENCODING", "SEARCH_PATH",
    "EXTRA_FLOAT_DIGITS", "APPLICATION_NAME",
}  # fmt: skip
_CHUNK = 64 * 1024


class Session:
    """Owns the client's socket and the backend's; `run` returns when either is closed."""

    def __init__(self, standin: RedshiftStandin, sock: socket.socket) -> None:
        self._standin = standin
        self._client = Stream(sock)
        self._backend: Stream | None = None
        self._user = ""
        self._status = b"I"
        self._copied = 0
        self._pid = 0

    def run(self) -> None:
        try:
            if self._greet():
                while True:
                    kind, body = self._client.message()
                    if kind == b"X":
                        return
                    if kind != b"Q":
                        raise Closed
                    self._query(body.rstrip(b"\0").decode())
        except (Closed, ssl.SSLError, OSError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        self._client.close()
        if self._backend is not None:
            self._backend.close()

    # Greeting

    def _greet(self) -> bool:
        code, body = self._client.startup()
        encrypted = False
        while code in (wire.SSL_REQUEST, wire.GSS_REQUEST):
            if code == wire.SSL_REQUEST and self._standin.tls is not None:
                self._client.send(b"S")
                secured = self._standin.tls.wrap_socket(self._client.sock, server_side=True)
                self._client = Stream(secured)
                encrypted = True
            else:
                self._client.send(b"N")
            code, body = self._client.startup()
        if code != wire.PROTOCOL_3:
            return False
        parameters = wire.parse_parameters(body)
        self._user = parameters.get("user", "")
        database = parameters.get("database", self._user)
        if self._standin.require_tls and not encrypted:
            return self._refuse("28000", f'no pg_hba.conf entry for user "{self._user}", SSL off')
        challenge, salt = wire.md5_challenge()
        self._client.send(challenge)
        kind, answer = self._client.message()
        password = self._standin.users.get(self._user)
        if (
            kind != b"p"
            or password is None
            or answer.rstrip(b"\0") != wire.md5_answer(self._user, password, salt)
        ):
            return self._refuse("28000", f'password authentication failed for user "{self._user}"')
        if database != self._standin.database:
            return self._refuse("3D000", f'database "{database}" does not exist')
        self._open_backend()
        self._client.send(wire.message(b"R", b"\0\0\0\0"))
        for key, value in _REPORTED.items():
            self._client.send(wire.parameter_status(key, value))
        self._client.send(
            wire.message(b"K", self._pid.to_bytes(4, "big") + b"\0\0\0\0"), wire.ready(b"I")
        )
        return True

    def _refuse(self, sqlstate: str, reason: str) -> bool:
        self._client.send(wire.error(SqlError(sqlstate, reason, "FATAL")))
        return False

    def _open_backend(self) -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(f"{self._standin.postgres.socket_dir}/.s.PGSQL.5432")
        self._backend = Stream(sock)
        isolation = self._standin.postgres_isolation.replace(" ", "\\ ")
        options = (
            f"-c default_transaction_isolation={isolation} -c timezone=UTC"
            # Redshift, like PostgreSQL 8.0, takes a backslash in a string for an escape.
            " -c standard_conforming_strings=off -c escape_string_warning=off"
            " -c client_encoding=SQL_ASCII"
        )
        self._backend.send(
            wire.startup_packet(
                {"user": self._user, "database": self._standin.database, "options": options}
            )
        )
        for kind, body in self._until_ready():
            if kind == b"K":
                self._pid = int.from_bytes(body[:4], "big")
            if kind == b"E":
                raise Closed

    # Statements

    def _query(self, sql: str) -> None:
        try:
            parts = list(statements(tokenize(sql)))
            if not parts:
                self._client.send(wire.message(b"I"), wire.ready(self._status))
                return
            for part in parts:
                self._statement(part)
        except SqlError as problem:
            self._abort()
            self._client.send(wire.error(problem))
        self._client.send(wire.ready(self._status))

    def _statement(self, tokens: list[Token]) -> None:
        sql = text(tokens).strip()
        self._fault(sql, "before")
        verb = dialect.check(tokens)
        self._standin.log.append(sql)
        if verb == "COPY":
            answer = self._copy(tokens, sql)
        else:
            answer = self._execute(self._rewritten(verb, tokens))
            if verb == "TRUNCATE" and self._status == b"T":
                # TRUNCATE commits the transaction that it is in.
                self._execute("COMMIT")
        self._fault(sql, "after")
        self._client.send(*answer)

    def _rewritten(self, verb: str, tokens: list[Token]) -> str:
        if verb in ("BEGIN", "START"):
            return dialect.begin(tokens)
        if verb == "SET" and words(tokens)[1].upper not in _SETTABLE:
            raise SqlError(
                "42704", f'unrecognized configuration parameter "{words(tokens)[1].text}"'
            )
        if verb == "SET" and words(tokens)[1].upper == "CLIENT_ENCODING":
            # What the client calls UNICODE or UTF8 passes through as bytes.
            return "SET application_name TO 'standin'"
        if verb in ("CREATE", "ALTER") and words(tokens)[1].upper in ("TABLE", "TEMP", "TEMPORARY"):
            return dialect.ddl(tokens)
        return dialect.with_copy_count(tokens, self._copied)

    def _execute(self, sql: str) -> list[bytes]:
        """The backend's answer, to be passed on; raises SqlError when it is an error."""
        assert self._backend is not None
        self._backend.send(wire.query(sql.encode()))
        answer: list[bytes] = []
        problem: SqlError | None = None
        for kind, body in self._until_ready():
            if kind == b"E":
                problem = wire.parse_error(body)
            elif kind in (b"T", b"D", b"C", b"I", b"N"):
                answer.append(wire.message(kind, body))
        if problem is not None:
            raise self._as_redshift(problem)
        return answer

    def _rows(self, sql: str) -> list[tuple[str | None, ...]]:
        assert self._backend is not None
        self._backend.send(wire.query(sql.encode()))
        messages = list(self._until_ready())
        for kind, body in messages:
            if kind == b"E":
                raise wire.parse_error(body)
        return wire.parse_rows(messages)

    def _until_ready(self) -> Iterator[tuple[bytes, bytes]]:
        assert self._backend is not None
        while True:
            kind, body = self._backend.message()
            if kind == b"Z":
                self._status = body
                return
            yield kind, body

    def _abort(self) -> None:
        """An error of ours aborts the transaction, as one of the server's own does."""
        if self._status == b"T":
            with contextlib.suppress(SqlError):
                self._execute("SELECT 1/0")

    def _as_redshift(self, problem: SqlError) -> SqlError:
        if problem.sqlstate == "40001":
            return SqlError(
                "XX000", "1023 DETAIL: Serializable isolation violation on table - 100123"
            )
        return problem

    # COPY

    def _copy(self, tokens: list[Token], sql: str) -> list[bytes]:
        command = copying.parse(tokens)
        targets = self._targets(command)
        files = self._standin.bucket.files(command)
        self._copied = 0
        if not command.noload:
            self._begin_copy(command)
        count = 0
        url = ""
        try:
            for url in files:
                body = self._standin.bucket.read(url)
                for rows, chunk in _chunks(copying.lines(command, url, body, targets)):
                    count += rows
                    if not command.noload:
                        assert self._backend is not None
                        self._backend.send(wire.message(b"d", chunk))
                    self._fault(sql, "during")
        except LoadError as problem:
            self._standin.record(problem, url, self._user, self._pid)
            self._fail_copy(command)
            raise SqlError(
                "XX000",
                f"Load into table '{command.table[-1]}' failed.  Check 'stl_load_errors' system"
                " table for details.",
            ) from None
        except SqlError:
            self._fail_copy(command)
            raise
        if not command.noload:
            self._end_copy()
        self._copied = 0 if command.noload else count
        return [wire.complete("COPY")]

    def _targets(self, command: copying.CopyCommand) -> list[Target]:
        found = self._rows(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
            f" WHERE attrelid = '{command.target}'::regclass AND attnum > 0 AND NOT attisdropped"
            " ORDER BY attnum"
        )
        every = {str(n): Target(str(n), str(kind), must == "t") for n, kind, must in found}
        for column in command.columns:
            if column not in every:
                raise SqlError("42703", f'column "{column}" of relation does not exist')
        return [every[c] for c in command.columns] if command.columns else list(every.values())

    def _begin_copy(self, command: copying.CopyCommand) -> None:
        assert self._backend is not None
        self._backend.send(wire.query(command.stdin.encode()))
        kind, body = self._backend.message()
        if kind == b"E":
            list(self._until_ready())
            raise self._as_redshift(wire.parse_error(body))
        assert kind == b"G", kind

    def _fail_copy(self, command: copying.CopyCommand) -> None:
        """The transaction is aborted by the failure, whoever found it."""
        assert self._backend is not None
        if not command.noload:
            self._backend.send(wire.message(b"f", b"load failed\0"))
            list(self._until_ready())

    def _end_copy(self) -> None:
        assert self._backend is not None
        self._backend.send(wire.message(b"c"))
        for kind, body in self._until_ready():
            if kind == b"E":
                raise self._as_redshift(wire.parse_error(body))

    # Faults

    def _fault(self, sql: str, when: str) -> None:
        fault = self._standin.faults.due(sql, when)
        if fault is None:
            return
        if fault.action == "error":
            assert fault.error is not None
            raise fault.error
        if fault.action == "hold":
            self._hold(fault)
            return
        raise Closed

    def _hold(self, fault: Fault) -> None:
        """Wait until the test says so; a client that dies meanwhile is gone."""
        while not fault.released.wait(0.02):
            try:
                readable, _, _ = select.select([self._client.sock], [], [], 0)
            except ValueError:
                raise Closed from None
            # While it waits for an answer a client says nothing: what can be read is its end.
            if readable:
                raise Closed


def _chunks(rows: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Rows joined to pieces of a good size, with how many each holds."""
    held: list[bytes] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row)
        if size >= _CHUNK:
            yield len(held), b"".join(held)
            held, size = [], 0
    if held:
        yield len(held), b"".join(held)
