"""The connection: statements with a time-out, explicit transactions, and retries on a fresh one.

It is in autocommit, with BEGIN sent by hand: a driver that begins transactions by itself would take
the snapshot with the first catalog query, and the ledger read after LOCK would be a stale one
("Serializable isolation" in the Database Developer Guide: the snapshot is created by the first
SELECT, DML or DDL).
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import psycopg2
from psycopg2 import extensions

from hauserpy.config import Settings
from hauserpy.destinations.redshift import failures
from hauserpy.destinations.redshift.failures import Passing, Scrubber
from hauserpy.destinations.redshift.login import login
from hauserpy.errors import HauserpyError

_log = logging.getLogger(__name__)

STATEMENT_TIMEOUT = timedelta(hours=1)
"""For each statement, waiting for another run's load included."""

_GRACE_SECONDS = 30.0
"""How much longer than the server's own time-out the client waits for its answer."""

_IDLE = timedelta(minutes=5)
"""After so long a fresh connection: firewalls forget idle ones, and credentials expire."""

_ATTEMPTS = 6
_LONGEST_DELAY = 30.0

T = TypeVar("T")


class _Connection(extensions.connection):
    """``deadline`` is when, by the monotonic clock, waiting for the server ends."""

    deadline: float | None = None

    def __init__(self, dsn: str, seconds: float, **options: Any) -> None:
        self.deadline = time.monotonic() + seconds
        super().__init__(dsn, **options)


def _wait(connection: Any) -> None:
    """psycopg2's wait callback: lets signal handlers run, and ends at the deadline.

    libpq's own waiting is deaf to both ("Support for coroutine libraries" in psycopg2's manual).
    """
    deadline: float | None = getattr(connection, "deadline", None)
    events = {
        extensions.POLL_READ: selectors.EVENT_READ,
        extensions.POLL_WRITE: selectors.EVENT_WRITE,
    }
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        left = None if deadline is None else deadline - time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), events[state])
            if (left is not None and left <= 0) or not selector.select(left):
                raise psycopg2.OperationalError("no answer within the time-out")


class Link:
    """One live connection. Its errors are Passing, LoadFailed and ours."""

    def __init__(self, connection: Any, scrub: Scrubber, timeout: timedelta) -> None:
        self._connection = connection
        self._scrub = scrub
        self._timeout = timeout

    def execute(self, sql: str, arguments: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """All rows of one statement's answer. Without arguments, ``%`` stands for itself."""
        began = time.monotonic()
        self._connection.deadline = began + self._timeout.total_seconds() + _GRACE_SECONDS
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, arguments)
                return list(cursor.fetchall()) if cursor.description else []
        except psycopg2.Error as error:
            made = failures.of_statement(error, self._scrub)
            took = timedelta(seconds=time.monotonic() - began)
            if isinstance(made, Passing) and took >= self._timeout:
                # A run that tries this six times is there all night.
                made = failures.too_long(made.reason, self._timeout)
            raise made from None

    @property
    def closed(self) -> bool:
        return bool(self._connection.closed)

    def close(self) -> None:
        with contextlib.suppress(psycopg2.Error):
            self._connection.close()


class Database:
    """Work on Redshift, done again on a fresh connection when what failed may pass.

    ``clock`` measures idleness; ``sleep`` waits between attempts: 1, 2, 4… seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        statement_timeout: timedelta = STATEMENT_TIMEOUT,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._timeout = statement_timeout
        self._link: Link | None = None
        self._used: datetime | None = None

    def run(self, work: Callable[[Link], T]) -> T:
        """``work`` must be such that doing it twice does no harm.

        Raises DestinationUnavailable when it does not pass, or a statement has run into its time-out;
        LoadFailed; and what ``work`` raises.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                done = work(self._open())
                self._used = self._clock()
                return done
            except Passing as passing:
                self.close()
                if attempt == _ATTEMPTS:
                    raise failures.unavailable(passing.reason, attempt) from None
                delay = min(2.0 ** (attempt - 1), _LONGEST_DELAY)
                _log.warning("%s; trying again in %.0f s", failures.named(passing.reason), delay)
                self._sleep(delay)
            except (HauserpyError, failures.LoadFailed):
                raise
            except BaseException:
                # A signal or a bug, maybe in the middle of an answer.
                self.close()
                raise
        raise AssertionError("unreachable")

    def transaction(self, work: Callable[[Link], T]) -> T:
        """``work`` between BEGIN and COMMIT, rolled back when it raises. When the answer to COMMIT
        is lost, ``work`` runs again, and has to notice that it is done."""

        def whole(link: Link) -> T:
            link.execute("BEGIN")
            try:
                done = work(link)
            except (HauserpyError, failures.LoadFailed):
                self._roll_back(link)
                raise
            link.execute("COMMIT")
            return done

        return self.run(whole)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _roll_back(self, link: Link) -> None:
        try:
            link.execute("ROLLBACK")
        except (Passing, HauserpyError):
            # The server rolls back what its client has left.
            self.close()

    def _open(self) -> Link:
        idle = self._used is not None and self._clock() - self._used > _IDLE
        if self._link is not None and (idle or self._link.closed):
            self.close()
        if self._link is None:
            self._link = self._connect()
            self._used = self._clock()
        return self._link

    def _connect(self) -> Link:
        redshift = self._settings.redshift
        who = login(self._settings)
        secrets = [who.password.reveal()]
        if redshift.credentials is not None:
            secrets.append(redshift.credentials.reveal())
        scrub = Scrubber(secrets)
        seconds = self._settings.connect_timeout.total_seconds()
        extensions.set_wait_callback(_wait)
        root = redshift.ssl_root_cert
        try:
            connection = psycopg2.connect(
                host=redshift.host,
                port=redshift.port,
                dbname=redshift.db,
                user=who.user,
                password=who.password.reveal(),
                application_name="hauserpy",
                # The network may be gone while a COPY runs for minutes without a word.
                keepalives=1,
                keepalives_idle=30,
                keepalives_interval=10,
                keepalives_count=6,
                sslmode=redshift.ssl_mode or "require",
                sslrootcert=None if root is None else str(root),
                connection_factory=lambda dsn, **options: _Connection(dsn, seconds, **options),
            )
        except psycopg2.Error as error:
            where = f"Redshift at {redshift.host}:{redshift.port}"
            raise failures.of_connecting(error, where, scrub) from None
        try:
            connection.autocommit = True
            link = Link(connection, scrub, self._timeout)
            link.execute(f"SET statement_timeout TO {int(self._timeout.total_seconds() * 1000)}")
            link.execute("SET timezone TO 'UTC'")
        except BaseException:
            connection.close()
            raise
        return link
