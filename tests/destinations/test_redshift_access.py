"""Getting in: logins, TLS, permissions, and what is said when Redshift or S3 says no."""

from __future__ import annotations

import http.server
import json
import logging
import os
import re
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hauserpy.config.secret import Secret
from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
)
from hauserpy.fields import catalogue
from hauserpy.ledger import Ledger
from hauserpy.owner import Owner, host_name
from tests.destinations.redshift_world import NOW, PASSWORD, World, events, expected_texts, window
from tests.standins.quiet import QuietServer
from tests.standins.redshift import ACCESS_KEY, Fault, RedshiftStandin, SqlError

KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
CREDENTIALS = f"aws_access_key_id={ACCESS_KEY};aws_secret_access_key={KEY}"


@pytest.fixture
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[BaseException], None]]:
    """Checks that no secret is in an error, in what caused it, or in the log of the test."""
    caplog.set_level(logging.DEBUG)

    def check(error: BaseException) -> None:
        texts = [caplog.text]
        cause: BaseException | None = error
        while cause is not None:
            texts += [str(cause), repr(cause), repr(vars(cause))]
            cause = cause.__cause__
        assert not [s for s in (PASSWORD, KEY, "hunter2") for t in texts if s in t]

    yield check


def test_a_wrong_password_is_exit_5(world: World, silent: Callable[..., None]) -> None:
    settings = world.settings(password=Secret("hunter2"))
    with pytest.raises(AccessDenied, match="password authentication failed") as raised:
        world.destination(settings).ledger()
    silent(raised.value)
    assert world.slept == []


def test_a_database_that_is_not_there_is_exit_2(world: World) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        world.destination(world.settings(db="nosuch")).ledger()


def test_a_host_that_does_not_answer_is_exit_4(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DestinationUnavailable):
        world.destination(world.settings(port=port)).ledger()
    assert len(world.slept) == 5


def test_a_host_that_accepts_and_says_nothing_is_exit_4(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = replace(
            world.settings(port=mute.getsockname()[1]),
            connect_timeout=timedelta(milliseconds=50),
        )
        with pytest.raises(DestinationUnavailable, match="no answer within the time-out"):
            world.destination(settings).ledger()


def test_tls_is_required_by_default(world: World) -> None:
    settings = world.settings()
    default = replace(settings, redshift=replace(settings.redshift, ssl_mode="require"))
    assert type(settings.redshift)().ssl_mode == "require"
    with pytest.raises(ConfigError, match="SSL"):
        world.destination(default).ledger()


def test_the_certificate_is_checked_when_that_is_asked_for(
    world: World, redshift: Callable[..., RedshiftStandin], certificate: Any, tmp_path: Any
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    world.standin = redshift(tls=context, require_tls=True)
    world.destination(world.settings(ssl_mode="require")).ledger()
    full = {"ssl_mode": "verify-full", "ssl_root_cert": certificate.chain}
    destination, layout = world.ready(world.settings(**full))
    world.load(destination, layout, 0)
    assert world.texts() == expected_texts(0)
    other = tmp_path / "other.pem"
    other.write_text("")
    with pytest.raises(ConfigError, match=r"certificate|SSL"):
        world.destination(world.settings(**{**full, "ssl_root_cert": other})).ledger()


@pytest.mark.parametrize("authorization", [{"iam_role": "default"}, {"credentials": True}])
def test_copy_reads_s3_by_role_or_by_hausers_credentials(
    world: World, redshift: Callable[..., RedshiftStandin], authorization: dict[str, Any]
) -> None:
    world.standin = redshift(authorized=["default", ACCESS_KEY])
    if "credentials" in authorization:
        authorization = {"iam_role": None, "credentials": Secret(CREDENTIALS)}
    destination, layout = world.ready(world.settings(**authorization))
    world.load(destination, layout, 0)
    assert world.texts() == expected_texts(0)


def test_copy_without_permission_to_read_s3_is_exit_5(
    world: World, redshift: Callable[..., RedshiftStandin], silent: Callable[..., None]
) -> None:
    world.standin = redshift(authorized=["another"])
    settings = world.settings(iam_role=None, credentials=Secret(CREDENTIALS))
    destination, layout = world.ready(settings)
    with pytest.raises(AccessDenied, match="403") as raised:
        world.load(destination, layout, 0)
    silent(raised.value)
    assert world.ledger() == Ledger() and world.objects() == []


def test_no_secret_is_told_when_copy_is_refused(world: World, silent: Callable[..., None]) -> None:
    settings = world.settings(iam_role=None, credentials=Secret(CREDENTIALS))
    destination, layout = world.ready(settings)
    for text in (f"syntax error near 'CREDENTIALS ''{CREDENTIALS}'''", f"bad key {KEY}"):
        world.standin.faults.add(Fault("COPY", action="error", error=SqlError("42601", text)))
        with pytest.raises(HauserpyError) as raised:
            world.load(destination, layout, 0)
        silent(raised.value)
        assert "***" in str(raised.value)


def test_what_may_not_be_created_is_exit_5(
    world: World, redshift: Callable[..., RedshiftStandin]
) -> None:
    world.standin = redshift(users={"owner": "x", "hauser": PASSWORD})
    with pytest.raises(AccessDenied, match="permission denied") as raised:
        world.ready()
    assert raised.value.exit_code == 5 and "Grant" in raised.value.instruction


def test_a_bucket_that_is_not_there_stops_before_redshift(world: World) -> None:
    destination, layout = world.ready(world.settings({"bucket": "no-such-bucket-here"}))
    world.standin.log.clear()
    with pytest.raises(ConfigError, match="NoSuchBucket"):
        world.load(destination, layout, 0)
    assert "BEGIN" not in world.standin.log


def test_a_bucket_in_another_region_is_exit_2(world: World) -> None:
    world.bucket = world.s3.bucket("eu-west-1")
    destination, layout = world.ready()
    with pytest.raises(ConfigError, match="another region"):
        world.load(destination, layout, 0)
    right, layout = world.ready(world.settings({"region": "eu-west-1"}))
    world.load(right, layout, 0)
    assert world.texts() == expected_texts(0)


def test_rows_that_copy_refuses_are_exit_7_with_file_line_column_and_reason(world: World) -> None:
    destination, layout = world.ready()
    staged = world.staged(layout, window(0), events(0))
    # Between prepare and load somebody has narrowed the table.
    world.standin.sql("ALTER TABLE fsexport ALTER COLUMN eventtargettext TYPE varchar(2)")
    entry = world.entry(window(0), staged)
    with pytest.raises(DestinationRefused) as raised:
        destination.load(entry, staged.parts, expected=frozenset(), checkpoint=None)
    assert raised.value.exit_code == 7
    text = str(raised.value)
    assert f"bundle {entry.bundle}" in text and "Nothing was loaded" in text
    assert (
        "part-0001.csv.gz line 1, column eventtargettext (varchar):"
        " String length exceeds DDL length" in text
    )
    assert "0/0" not in text
    assert world.ledger() == Ledger() and world.texts() == [] and world.objects() == []


def test_on_an_older_cluster_the_reasons_come_from_stl_load_errors(
    world: World, redshift: Callable[..., RedshiftStandin]
) -> None:
    world.standin = redshift(sys_views=False)
    destination, layout = world.ready()
    staged = world.staged(layout, window(0), events(0))
    world.standin.sql("ALTER TABLE fsexport ALTER COLUMN eventtargettext TYPE varchar(2)")
    with pytest.raises(DestinationRefused, match=r"line 1, column eventtargettext"):
        destination.load(
            world.entry(window(0), staged), staged.parts, expected=frozenset(), checkpoint=None
        )
    world.standin.sql("ALTER TABLE fsexport ALTER COLUMN eventtargettext TYPE varchar(200)")
    world.load(destination, layout, 0)


def test_a_refusal_without_reasons_says_what_redshift_said(world: World) -> None:
    destination, layout = world.ready()
    told = SqlError("XX000", "Load into table 'fsexport' failed.  Check 'stl_load_errors'.")
    world.standin.faults.add(Fault("COPY", action="error", error=told))
    with pytest.raises(DestinationRefused, match="Load into table"):
        world.load(destination, layout, 0)


@pytest.mark.parametrize(
    ("sqlstate", "message", "error"),
    [
        ("42501", "permission denied for relation fsexport", AccessDenied),
        ("28000", "user is locked", AccessDenied),
        ("XX000", "User arn:x is not authorized to assume IAM Role arn:y", AccessDenied),
        ("XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied", AccessDenied),
        ("XX000", "S3ServiceException:x,Status 301,Error PermanentRedirect", ConfigError),
        ("XX000", "S3ServiceException:x,Status 404,Error NoSuchBucket", ConfigError),
        ("XX000", "S3ServiceException:x,Status 404,Error NoSuchKey", DestinationUnavailable),
        ("XX000", "S3ServiceException:x,Status 503,Error SlowDown", DestinationUnavailable),
        ("XX000", "S3CurlException: timed out, CurlError 28, CanRetry 1", DestinationUnavailable),
        ("53100", "Disk Full", DestinationUnavailable),
        ("25006", "cannot execute COPY in a read-only transaction", DestinationUnavailable),
        ("42601", 'syntax error at or near "credentials"', DestinationRefused),
        ("42703", 'column "pageurl" of relation "fsexport" does not exist', DestinationRefused),
        ("XX000", "Assert", DestinationRefused),
    ],
)
def test_each_refusal_is_named_for_what_there_is_to_do(
    world: World, sqlstate: str, message: str, error: type[HauserpyError]
) -> None:
    destination = world.destination()
    fault = Fault("SELECT c.relname", action="error", error=SqlError(sqlstate, message), times=9)
    world.standin.faults.add(fault)
    with pytest.raises(error) as raised:
        destination.ledger()
    assert type(raised.value) is error and message.rstrip(".") in str(raised.value)


def test_a_signal_handler_runs_while_redshift_is_silent(world: World) -> None:
    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    destination, layout = world.ready()
    fault = world.standin.faults.add(Fault("COPY", when="during", action="hold"))
    threading.Thread(
        target=lambda: fault.reached.wait(30) and os.kill(os.getpid(), signal.SIGUSR1)
    ).start()
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(Stop):
            world.load(destination, layout, 0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert world.ledger() == Ledger() and world.objects() == []
    world.load(destination, layout, 0)
    assert world.texts() == expected_texts(0)


def test_leftovers_of_dead_runs_are_swept_and_those_of_others_kept(world: World) -> None:
    client = world.s3.client()
    nobody = Owner(host_name(), 2**22 + 1, "aaaa").name
    dead = f"in here/{nobody}/part-0001.csv.gz"
    kept = [
        f"in here/{Owner.of_this_process('bbbb').name}/part-0001.csv.gz",
        f"in here/{Owner('elsewhere', 1, 'cccc').name}/part-0001.csv.gz",
        "in here/mine.csv",
        f"{nobody}/part-0001.csv.gz",
    ]
    for key in (dead, *kept):
        client.put_object(Bucket=world.bucket, Key=key, Body=b"")
    world.ready()
    assert sorted(world.objects()) == sorted(kept)
    later = NOW + timedelta(days=20 * 365)
    world.ready(clock=lambda: later)
    assert sorted(world.objects()) == sorted(kept[2:])


def _owned_by_another(world: World, redshift: Callable[..., RedshiftStandin], lacks: str) -> None:
    """The tables of a load, which hauser may fill and does not own; ``lacks`` is a column less."""
    world.standin = redshift(users={"hauser": PASSWORD, "owner": "x"})
    world.ready()
    sql = world.standin.sql
    for (table,) in sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        sql(f"ALTER TABLE {table} OWNER TO owner")
        sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO hauser")
    if lacks:
        sql(f"ALTER TABLE fsexport DROP COLUMN {lacks}")


def test_check_tells_that_only_the_owner_may_add_columns(
    world: World, redshift: Callable[..., RedshiftStandin]
) -> None:
    _owned_by_another(world, redshift, lacks="pagename")
    ok, detail, remedy = checks(world)["Redshift tables"]
    assert not ok and "pagename" in detail and "public.fsexport" in detail
    with pytest.raises(AccessDenied) as raised:
        world.ready()
    assert str(raised.value) == f"{detail} {remedy}"
    found = re.search(r"ALTER TABLE .*?;", remedy)
    assert found is not None
    world.standin.sql(found[0])
    ok, detail, _ = checks(world)["Redshift tables"]
    assert ok and "1 will be added" in detail
    world.ready()


def test_who_may_add_columns_without_being_the_owner_is_let_be(
    world: World, redshift: Callable[..., RedshiftStandin]
) -> None:
    """Redshift grants ALTER as well, and has no function that tells."""
    _owned_by_another(world, redshift, lacks="pagename")
    world.standin.sql("GRANT owner TO hauser")
    try:
        assert checks(world)["Redshift tables"][0]
        columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'fsexport'::regclass"
        names = {name for (name,) in world.standin.sql(columns)}
        assert "pagename" not in names and not any("check" in name for name in names)
    finally:
        world.standin.sql("REVOKE owner FROM hauser")


def test_nobody_need_own_a_table_that_lacks_nothing(
    world: World, redshift: Callable[..., RedshiftStandin]
) -> None:
    _owned_by_another(world, redshift, lacks="")
    world.standin.log.clear()
    assert checks(world)["Redshift tables"][0]
    assert not [s for s in world.standin.log if s.startswith("ALTER")]
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    assert world.texts() == expected_texts(0)


class _Aws(http.server.BaseHTTPRequestHandler):
    """Answers GetClusterCredentials and redshift-serverless GetCredentials."""

    asked: list[str]
    passwords: Iterator[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(body)
        password = next(self.passwords)
        if "Action=GetClusterCredentials" in body:
            answer = (
                '<GetClusterCredentialsResponse xmlns="http://redshift.amazonaws.com/doc/2012-12-01/">'
                "<GetClusterCredentialsResult><DbUser>IAM:hauser</DbUser>"
                f"<DbPassword>{password}</DbPassword><Expiration>2026-11-23T13:00:00Z</Expiration>"
                "</GetClusterCredentialsResult></GetClusterCredentialsResponse>"
            )
        else:
            answer = json.dumps({"dbUser": "IAM:hauser", "dbPassword": password})
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ({"cluster_identifier": "my-cluster"}, r"ClusterIdentifier=my-cluster.*DbUser=hauser"),
        ({"workgroup": "my-group", "user": ""}, r'"workgroupName": ?"my-group"'),
    ],
)
def test_temporary_credentials_are_asked_for_at_each_connection(
    world: World,
    redshift: Callable[..., RedshiftStandin],
    monkeypatch: pytest.MonkeyPatch,
    key: dict[str, str],
    asked: str,
) -> None:
    users = {"IAM:hauser": "first"}
    world.standin = redshift(users=users)
    bodies: list[str] = []
    handler = type("Handler", (_Aws,), {"asked": bodies, "passwords": iter(["first", "second"])})
    server = QuietServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_REDSHIFT", url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS", url)
    now = NOW
    try:
        destination = world.destination(world.settings(password=None, **key), clock=lambda: now)
        layout = destination.prepare(catalogue())
        world.load(destination, layout, 0)
        users["IAM:hauser"] = "second"
        now += timedelta(minutes=6)
        world.load(destination, layout, 1)
    finally:
        server.shutdown()
        server.server_close()
    assert world.texts() == expected_texts(0, 1)
    assert len(bodies) == 2 and re.search(asked, bodies[0])


def checks(world: World, **redshift: Any) -> dict[str, tuple[bool, str, str]]:
    s3 = redshift.pop("s3", None)
    destination = world.destination(world.settings(s3, **redshift))
    return {c.name: (c.ok, c.detail, c.remedy) for c in destination.checks()}


def test_check_tries_everything_and_leaves_nothing(world: World) -> None:
    found = checks(world)
    assert [name for name, (ok, _, _) in found.items() if ok] == [
        "S3 bucket writable",
        "S3 region right",
        "Redshift connection",
        "Redshift schema",
        "Redshift tables",
        "Redshift CREATE TABLE",
        "Redshift COPY from S3",
    ]
    assert len(found) == 7
    assert "NOLOAD" in next(s for s in world.standin.log if s.startswith("COPY"))
    assert world.objects() == []
    assert world.standin.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []
    world.ready()
    assert checks(world)["Redshift tables"][0]


def test_check_names_each_problem_with_its_remedy(
    world: World, redshift: Callable[..., RedshiftStandin]
) -> None:
    problem = {
        name: told for name, told in checks(world, password=Secret("x")).items() if not told[0]
    }
    assert (
        list(problem) == ["Redshift connection"] and "Password" in problem["Redshift connection"][2]
    )

    found = checks(world, s3={"bucket": "no-such-bucket"})
    assert not found["S3 bucket writable"][0] and "Redshift COPY from S3" not in found
    assert found["Redshift CREATE TABLE"][0]

    found = checks(world, s3={"region": "eu-west-1"})
    assert not found["S3 region right"][0] and 'Region = "us-east-1"' in found["S3 region right"][2]

    found = checks(world, iam_role="arn:aws:iam::123456789012:role/other")
    assert not found["Redshift COPY from S3"][0] and "role" in found["Redshift COPY from S3"][2]

    found = checks(world, database_schema="nosuch")
    assert not found["Redshift schema"][0] and "Redshift CREATE TABLE" not in found

    world.standin.sql("CREATE TABLE fsexport (eventstart int)")
    found = checks(world)
    assert not found["Redshift tables"][0] and "eventstart" in found["Redshift tables"][1]

    world.standin = redshift(users={"owner": "x", "hauser": PASSWORD})
    found = checks(world)
    assert not found["Redshift CREATE TABLE"][0]
    world.standin.sql("CREATE TABLE fssync (id int, processed timestamp, bundleendtime timestamp)")
    assert "SELECT on public.fssync" in checks(world)["Redshift tables"][1]
    assert world.objects() == []
