"""The stand-in refuses what Redshift refuses, and keeps its semantics."""

from __future__ import annotations

import gzip
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from tests.standins.redshift import ROLE, Fault, RedshiftStandin, SqlError
from tests.standins.s3 import S3Standin

Make = Callable[..., RedshiftStandin]


def connect(standin: RedshiftStandin, **given: Any) -> Any:
    user = next(iter(standin.users))
    parameters = {
        "host": standin.host,
        "port": standin.port,
        "dbname": standin.database,
        "user": user,
        "password": standin.users[user],
        "sslmode": "disable",
    }
    made = psycopg2.connect(**{**parameters, **given})
    made.autocommit = True
    return made


@pytest.fixture
def standin(redshift: Make) -> RedshiftStandin:
    return redshift()


@pytest.fixture
def run(standin: RedshiftStandin) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    connection = connect(standin)

    def execute(sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return cursor.fetchall() if cursor.description else []

    yield execute
    connection.close()


class Loader:
    """Puts CSV objects into a bucket and copies them."""

    def __init__(self, s3: S3Standin, run: Callable[..., list[tuple[Any, ...]]]) -> None:
        self.s3, self.run, self.bucket = s3, run, s3.bucket()
        self.client = s3.client()

    def put(self, key: str, body: bytes) -> str:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def copy(self, body: bytes, table: str = "t", options: str = "") -> int:
        url = self.put("data.csv", body)
        self.run(f"COPY {table} FROM '{url}' IAM_ROLE '{ROLE}' FORMAT AS CSV {options}")
        return int(self.run("SELECT pg_last_copy_count()")[0][0])


@pytest.fixture
def loader(s3_standin: S3Standin, run: Callable[..., list[tuple[Any, ...]]]) -> Loader:
    return Loader(s3_standin, run)


def state(error: pytest.ExceptionInfo[psycopg2.Error]) -> str:
    return str(error.value.pgcode)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "INSERT INTO t VALUES (1) RETURNING a",
        "CREATE INDEX i ON t (a)",
        "CREATE UNIQUE INDEX i ON t (a)",
        "ALTER TABLE t ADD COLUMN b int, ADD COLUMN c int",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS b int",
        "ALTER TABLE t ALTER COLUMN a DROP NOT NULL",
        "COPY t FROM STDIN",
        "CREATE TABLE u (a jsonb)",
        "CREATE TABLE u (a json)",
        "CREATE TABLE u (a varchar(65536))",
        "CREATE TABLE u (a int) SORTKEY (b)",
        "SELECT '1'::jsonb",
        "SELECT a FROM t FOR UPDATE",
        "SELECT pg_advisory_lock(1)",
        "SELECT DISTINCT ON (a) a FROM t",
        "LOCK TABLE t IN SHARE MODE",
        "SAVEPOINT s",
        "SET work_mem TO '1GB'",
        "VACUUM FULL t",
        "EXECUTE p",
        "COPY t FROM 's3://b/k'",
        "COPY t FROM 's3://b/k' IAM_ROLE 'r'",
        "COPY t FROM 's3://b/k' IAM_ROLE 'r' FORMAT CSV FORMAT CSV",
        "COPY t FROM 's3://b/k' IAM_ROLE 'r' FORMAT CSV TIMEFORMAT 'AUTO'",
        "COPY t FROM 's3://b/k' IAM_ROLE 'r' FORMAT CSV PLEASE",
        "COPY t FROM 's3://b/k' CREDENTIALS 'aws_iam_role = r' FORMAT CSV",
        "COPY t (nosuch) FROM 's3://b/k' IAM_ROLE 'r' FORMAT CSV",
    ],
)
def test_refuses_what_redshift_refuses(run: Callable[..., Any], sql: str) -> None:
    run("CREATE TABLE t (a int)")
    with pytest.raises(psycopg2.Error):
        run(sql)


def test_a_refusal_aborts_the_transaction(run: Callable[..., Any]) -> None:
    run("CREATE TABLE t (a int)")
    run("BEGIN")
    run("INSERT INTO t VALUES (1)")
    with pytest.raises(psycopg2.Error):
        run("SAVEPOINT s")
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        run("SELECT 1")
    run("COMMIT")
    assert run("SELECT count(*) FROM t") == [(0,)]


def test_words_inside_strings_and_names_are_not_refused(run: Callable[..., Any]) -> None:
    assert run("SELECT 'ON CONFLICT RETURNING x' AS \"for update\" -- SAVEPOINT s") == [
        ("ON CONFLICT RETURNING x",)
    ]


def test_varchar_counts_bytes_and_is_256_when_bare(run: Callable[..., Any]) -> None:
    run("CREATE TABLE t (a varchar(4), b varchar, c varchar(max))")
    run("INSERT INTO t VALUES ('🙂', %s, '')", "é" * 128)
    for column, value in (("a", "🙂x"), ("b", "é" * 129)):
        with pytest.raises(psycopg2.errors.StringDataRightTruncation):
            run(f"INSERT INTO t ({column}) VALUES (%s)", value)
    assert run("SELECT a FROM t") == [("🙂",)]


def test_names_are_folded_even_when_quoted(run: Callable[..., Any]) -> None:
    run('CREATE TABLE "MyTable" ("EventStart" int)')
    run("INSERT INTO MYTABLE (eventSTART) VALUES (1)")
    assert run('SELECT "eventstart" FROM "mytable"') == [(1,)]


def test_keys_are_not_enforced(run: Callable[..., Any]) -> None:
    run("CREATE TABLE t (a int PRIMARY KEY, b int UNIQUE, PRIMARY KEY (a)) DISTSTYLE AUTO")
    run("INSERT INTO t VALUES (1, 1), (1, 1)")
    assert run("SELECT count(*) FROM t") == [(2,)]


def test_sort_keys_and_encodings_are_taken(run: Callable[..., Any]) -> None:
    run("CREATE TABLE IF NOT EXISTS t (a int ENCODE az64, b timestamp) COMPOUND SORTKEY (b)")
    run("ALTER TABLE t ADD COLUMN c super")
    assert run("SELECT * FROM t") == []


def test_truncate_commits(run: Callable[..., Any]) -> None:
    run("CREATE TABLE t (a int)")
    run("CREATE TABLE u (a int)")
    run("INSERT INTO t VALUES (1)")
    run("BEGIN")
    run("INSERT INTO u VALUES (1)")
    run("TRUNCATE t")
    run("ROLLBACK")
    assert run("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)") == [(0, 1)]


def test_lock_comes_before_the_snapshot_and_a_catalog_query_makes_it_stale(
    standin: RedshiftStandin,
) -> None:
    one, two = connect(standin), connect(standin)
    first, second = one.cursor(), two.cursor()
    first.execute("CREATE TABLE t (a int)")
    first.execute("CREATE TABLE l (a int)")
    for early, seen in (("SELECT 1 FROM pg_class", 0), (None, 2)):
        second.execute("BEGIN")
        if early:
            second.execute(early)
        first.execute("INSERT INTO t VALUES (1)")
        second.execute("LOCK l")
        second.execute("SELECT count(*) FROM t")
        assert second.fetchone() == (seen,)
        second.execute("COMMIT")
    one.close()
    two.close()


def test_lock_shuts_readers_out(standin: RedshiftStandin) -> None:
    one, two = connect(standin), connect(standin)
    first, second = one.cursor(), two.cursor()
    first.execute("CREATE TABLE l (a int)")
    first.execute("BEGIN")
    first.execute("LOCK TABLE l")
    second.execute("SET statement_timeout TO 50")
    with pytest.raises(psycopg2.errors.QueryCanceled):
        second.execute("SELECT * FROM l")
    one.close()
    two.close()


def test_serializable_conflicts_are_error_1023(redshift: Make) -> None:
    standin = redshift(isolation="serializable")
    one, two = connect(standin), connect(standin)
    first, second = one.cursor(), two.cursor()
    first.execute("CREATE TABLE t (a int)")
    first.execute("CREATE TABLE u (a int)")
    for cursor, reads, writes in ((first, "t", "u"), (second, "u", "t")):
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT * FROM {reads}")
        cursor.execute(f"INSERT INTO {writes} VALUES (1)")
    first.execute("COMMIT")
    with pytest.raises(psycopg2.Error, match="1023"):
        second.execute("COMMIT")
    one.close()
    two.close()


def test_copy_reads_csv_as_redshift_does(run: Callable[..., Any], loader: Loader) -> None:
    run("CREATE TABLE t (a bigint, b varchar(20), c timestamp, d float8)")
    body = (
        b'1,"x, ""y""\r\nz",2026-11-23 04:00:00.25,1.5e3\n'
        b",,,\n"
        b"-2,\0,2026-11-23T04:00:00Z,\n"
        b"3,\\N,2026-11-23 04:00:00,.5\n"
    )
    assert loader.copy(body, options=r"TIMEFORMAT 'auto' NULL AS '\000'") == 4
    assert [(r[0], r[1]) for r in run("SELECT a, b FROM t")] == [
        (1, 'x, "y"\r\nz'), (None, ""), (-2, None), (3, r"\N"),
    ]  # fmt: skip
    assert str(run("SELECT max(c) FROM t")[0][0]) == "2026-11-23 04:00:00.250000"
    loader.copy(b"4,\\N,,\n")
    assert run("SELECT b FROM t WHERE a = 4") == [(None,)]


@pytest.mark.parametrize(
    ("body", "column", "reason"),
    [
        (b"1.0,,,,\n", "a", "Invalid digit"),
        (b"9223372036854775808,,,,\n", "a", "Overflow"),
        (b",toolong,,,\n", "b", "String length exceeds DDL length"),
        (b",a\0b,,,\n", "b", "NUL"),
        (b",\xff,,,\n", "b", "UTF8"),
        (b",,yesterday,,\n", "c", "timestamp"),
        (b",,2026-02-30 00:00:00,,\n", "c", "timestamp"),
        (b",,,Infinity,\n", "d", "float"),
        (b",,,,{'a'}\n", "e", "JSON"),
        (b',,,,"{""a"":1' + b"0" * 38 + b'}"\n', "e", "DECIMAL"),
        (b',,,,"{""a"":0.12345678901234567890}"\n', "e", "digits"),
        (b',,,,"{""a"":\n1}"\n', "e", "single line"),
        (b',,,,"{""a"":""' + b"x" * 65536 + b'""}"\n', "e", "65535"),
        (b",,,\n", "", "not found"),
        (b",,,,,\n", "", "Extra column"),
        (b'"a,,,,\n', "", "quote"),
        (b'a"b,,,,\n', "", "quote"),
    ],
)
def test_a_bad_value_fails_copy_and_the_reason_outlives_the_transaction(
    run: Callable[..., Any], loader: Loader, body: bytes, column: str, reason: str
) -> None:
    run("CREATE TABLE t (a bigint, b varchar(4), c timestamp, d float8, e super)")
    run("BEGIN")
    with pytest.raises(psycopg2.Error, match="stl_load_errors") as error:
        loader.copy(b"1,,,,{}\n" + body)
    assert state(error) == "XX000"
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        run("SELECT 1")
    run("ROLLBACK")
    assert run("SELECT count(*) FROM t") == [(0,)]
    assert run("SELECT pg_last_copy_count()") == [(0,)]
    (found,) = run("SELECT line_number, trim(colname), trim(err_reason) FROM stl_load_errors")
    assert found[:2] == (2, column) and reason in found[2]
    (again,) = run("SELECT trim(file_name), error_message FROM sys_load_error_detail")
    assert again[0] == f"s3://{loader.bucket}/data.csv"


def test_copy_is_part_of_the_transaction(run: Callable[..., Any], loader: Loader) -> None:
    run("CREATE TABLE t (a int)")
    run("BEGIN")
    assert loader.copy(b"1\n2\n") == 2
    run("ROLLBACK")
    assert run("SELECT count(*) FROM t") == [(0,)]


def test_a_manifest_names_the_files(run: Callable[..., Any], loader: Loader) -> None:
    run("CREATE TABLE t (a int)")
    there = loader.put("part-1", gzip.compress(b"1\n2\n"))
    gone = there + "-gone"

    def copy(*entries: tuple[str, bool]) -> None:
        listed = {"entries": [{"url": u, "mandatory": m} for u, m in entries]}
        url = loader.put("manifest", json.dumps(listed).encode())
        run(f"COPY t FROM '{url}' IAM_ROLE '{ROLE}' CSV GZIP MANIFEST")

    copy((there, True), (gone, False))
    assert run("SELECT pg_last_copy_count(), count(*) FROM t") == [(2, 2)]
    with pytest.raises(psycopg2.Error, match="NoSuchKey"):
        copy((there, True), (gone, True))
    with pytest.raises(psycopg2.Error, match="does not exist"):
        copy((gone, False))
    loader.put("part-1", b"not gzip")
    with pytest.raises(psycopg2.Error, match="inflate"):
        copy((there, True))


def test_noload_checks_and_loads_nothing(run: Callable[..., Any], loader: Loader) -> None:
    run("CREATE TABLE t (a int)")
    assert loader.copy(b"1\n", options="NOLOAD") == 0
    with pytest.raises(psycopg2.Error):
        loader.copy(b"x\n", options="NOLOAD")
    assert run("SELECT count(*) FROM t") == [(0,)]


def test_copy_needs_the_role_the_region_and_the_bucket(
    run: Callable[..., Any], loader: Loader, s3_standin: S3Standin
) -> None:
    run("CREATE TABLE t (a int)")
    url = loader.put("k", b"1\n")
    elsewhere = s3_standin.bucket("eu-west-1")
    for source, options, told in (
        (url, "IAM_ROLE 'arn:other'", "403"),
        (url, f"IAM_ROLE '{ROLE}' REGION 'eu-west-1'", "301"),
        (f"s3://{elsewhere}/k", f"IAM_ROLE '{ROLE}'", "301"),
        ("s3://no-such-bucket/k", f"IAM_ROLE '{ROLE}'", "NoSuchBucket"),
    ):
        with pytest.raises(psycopg2.Error, match=told):
            run(f"COPY t FROM '{source}' {options} FORMAT AS CSV")


def test_load_errors_are_seen_by_their_own_user_only(redshift: Make, s3_standin: S3Standin) -> None:
    standin = redshift(users={"one": "1", "two": "2"})
    connection = connect(standin)

    def run(sql: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    run("CREATE TABLE t (a int)")
    with pytest.raises(psycopg2.Error):
        Loader(s3_standin, run).copy(b"x\n")
    assert len(run("SELECT * FROM stl_load_errors")) == 1
    other = connect(standin, user="two", password="2")
    with other.cursor() as cursor:
        cursor.execute("SELECT * FROM stl_load_errors")
        assert cursor.fetchall() == []
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("CREATE TABLE u (a int)")
    connection.close()
    other.close()


def test_a_login_needs_the_right_password_and_database(standin: RedshiftStandin) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect(standin, password="wrong")
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        connect(standin, dbname="other")


def test_it_calls_itself_redshift_8_0_2(standin: RedshiftStandin) -> None:
    connection = connect(standin)
    assert connection.info.server_version == 80002
    with connection.cursor() as cursor:
        # A backslash in a string is an escape, as in PostgreSQL 8.0.
        cursor.execute(r"SELECT 'a\\b', %s", (r"c\d",))
        assert cursor.fetchall() == [(r"a\b", r"c\d")]
    connection.close()


def test_faults_drop_hold_and_answer(standin: RedshiftStandin) -> None:
    connection = connect(standin)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (a int)")
    standin.faults.add(Fault("INSERT", when="after", action="drop"))
    with pytest.raises(psycopg2.OperationalError):
        cursor.execute("INSERT INTO t VALUES (1)")
    assert standin.sql("SELECT count(*) FROM t") == [(1,)]

    connection = connect(standin)
    cursor = connection.cursor()
    standin.faults.add(Fault("INSERT", action="error", error=SqlError("40001", "try again")))
    with pytest.raises(psycopg2.errors.SerializationFailure):
        cursor.execute("INSERT INTO t VALUES (1)")

    hold = standin.faults.add(Fault("INSERT", when="before", action="hold"))
    thread = threading.Thread(target=cursor.execute, args=("INSERT INTO t VALUES (2)",))
    thread.start()
    assert hold.reached.wait(10)
    assert standin.sql("SELECT count(*) FROM t") == [(1,)]
    hold.release()
    thread.join(10)
    assert standin.sql("SELECT count(*) FROM t") == [(2,)]
    connection.close()


def test_it_runs_as_a_process_of_its_own(s3_standin: S3Standin) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.standins.redshift",
        "--s3-endpoint",
        s3_standin.endpoint,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            where = json.loads(process.stdout.readline())
            connection = psycopg2.connect(
                host=where["host"], port=where["port"], dbname=where["db"],
                user=where["user"], password="correct horse", sslmode="prefer",
            )  # fmt: skip
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                assert cursor.fetchone() == (1,)
            connection.close()
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_tls_is_spoken_when_it_has_a_certificate(redshift: Make, certificate: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    standin = redshift(tls=context, require_tls=True)
    connection = connect(standin, sslmode="verify-full", sslrootcert=str(certificate.chain))
    assert connection.info.ssl_in_use
    connection.close()
    with pytest.raises(psycopg2.OperationalError, match="SSL off"):
        connect(standin, sslmode="disable")
