"""Messages of the PostgreSQL wire protocol, version 3, as far as the stand-in speaks it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
PROTOCOL_3 = 196608


class Closed(Exception):
    """The peer has closed the connection."""


@dataclass(frozen=True)
class SqlError(Exception):
    """An error as the server reports it: SQLSTATE and message."""

    sqlstate: str
    message: str
    severity: str = "ERROR"


class Stream:
    """Whole messages over a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def read(self, count: int) -> bytes:
        chunks = []
        while count:
            try:
                chunk = self.sock.recv(count)
            except OSError as error:
                raise Closed from error
            if not chunk:
                raise Closed
            chunks.append(chunk)
            count -= len(chunk)
        return b"".join(chunks)

    def message(self) -> tuple[bytes, bytes]:
        kind = self.read(1)
        (length,) = struct.unpack("!I", self.read(4))
        return kind, self.read(length - 4)

    def startup(self) -> tuple[int, bytes]:
        (length,) = struct.unpack("!I", self.read(4))
        (code,) = struct.unpack("!I", self.read(4))
        return code, self.read(length - 8)

    def send(self, *messages: bytes) -> None:
        try:
            self.sock.sendall(b"".join(messages))
        except OSError as error:
            raise Closed from error

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def query(sql: bytes) -> bytes:
    return message(b"Q", sql + b"\0")


def startup_packet(parameters: dict[str, str]) -> bytes:
    body = struct.pack("!I", PROTOCOL_3)
    for key, value in parameters.items():
        body += key.encode() + b"\0" + value.encode() + b"\0"
    body += b"\0"
    return struct.pack("!I", len(body) + 4) + body


def parse_parameters(body: bytes) -> dict[str, str]:
    parts = body.rstrip(b"\0").split(b"\0")
    return {parts[n].decode(): parts[n + 1].decode() for n in range(0, len(parts) - 1, 2)}


def parameter_status(key: str, value: str) -> bytes:
    return message(b"S", key.encode() + b"\0" + value.encode() + b"\0")


def ready(status: bytes) -> bytes:
    return message(b"Z", status)


def complete(tag: str) -> bytes:
    return message(b"C", tag.encode() + b"\0")


def error(problem: SqlError) -> bytes:
    fields = (
        (b"S", problem.severity),
        (b"V", problem.severity),
        (b"C", problem.sqlstate),
        (b"M", problem.message),
    )
    body = b"".join(key + value.encode() + b"\0" for key, value in fields)
    return message(b"E", body + b"\0")


def parse_error(body: bytes) -> SqlError:
    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
    return SqlError(fields.get(b"C", "XX000"), fields.get(b"M", ""), fields.get(b"S", "ERROR"))


def parse_rows(messages: Iterable[tuple[bytes, bytes]]) -> list[tuple[str | None, ...]]:
    """The text values of the DataRow messages among ``messages``."""
    rows = []
    for kind, body in messages:
        if kind != b"D":
            continue
        (count,) = struct.unpack("!H", body[:2])
        at, values = 2, []
        for _ in range(count):
            (length,) = struct.unpack("!i", body[at : at + 4])
            at += 4
            if length < 0:
                values.append(None)
                continue
            values.append(body[at : at + length].decode())
            at += length
        rows.append(tuple(values))
    return rows


def md5_challenge() -> tuple[bytes, bytes]:
    """A request for an MD5 password, and its salt (Redshift's default way)."""
    salt = os.urandom(4)
    return message(b"R", struct.pack("!I", 5) + salt), salt


def md5_answer(user: str, password: str, salt: bytes) -> bytes:
    inner = hashlib.md5(password.encode() + user.encode()).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt).hexdigest().encode()
