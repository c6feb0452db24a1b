"""The BigQuery stand-in refuses what BigQuery refuses and keeps its semantics, driven by Google's
own client."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery as gbq
from google.resumable_media.requests import ResumableUpload

from tests.standins.bigquery import BigQueryStandIn
from tests.standins.bigquery.fixtures import NOW

ONLY_A = [gbq.SchemaField("a", "INT64")]


@pytest.fixture
def client(bigquery: BigQueryStandIn) -> gbq.Client:
    return gbq.Client(
        project=bigquery.PROJECT,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=bigquery.url),
        location="US",
    )


@pytest.fixture
def table(client: gbq.Client, dataset: str) -> Callable[..., gbq.Table]:
    def make(name: str = "t", schema: list[gbq.SchemaField] = ONLY_A, **more: Any) -> gbq.Table:
        wanted = gbq.Table(f"{client.project}.{dataset}.{name}", schema=schema)
        for key, value in more.items():
            setattr(wanted, key, value)
        return client.create_table(wanted)

    return make


def load(client: gbq.Client, into: Any, content: bytes, **more: Any) -> gbq.LoadJob:
    options = more.pop("options", {})
    size = more.pop("size", len(content))
    config = gbq.LoadJobConfig(
        source_format="NEWLINE_DELIMITED_JSON", **{"create_disposition": "CREATE_NEVER", **options}
    )
    job = client.load_table_from_file(
        io.BytesIO(content), into, size=size, num_retries=0, job_config=config, **more
    )
    job.result(retry=None)
    return job


def lines(*rows: dict[str, Any]) -> bytes:
    return gzip.compress(b"".join(json.dumps(r).encode() + b"\n" for r in rows))


def run(client: gbq.Client, sql: str, **more: Any) -> list[tuple[Any, ...]]:
    found = client.query(sql, retry=None, job_retry=None, **more).result(job_retry=None)
    return [tuple(r.values()) for r in found]


# Jobs


def test_a_job_id_is_good_once(client: gbq.Client, dataset: str) -> None:
    client.query("SELECT 1", job_id="once", job_retry=None).result(job_retry=None)
    with pytest.raises(exceptions.Conflict, match="Already Exists: Job"):
        client.query("SELECT 1", job_id="once", retry=None, job_retry=None)


def test_a_job_id_stays_used_when_its_job_failed(client: gbq.Client, table: Any) -> None:
    into = table()
    with pytest.raises(exceptions.BadRequest):
        load(client, into, b"junk", job_id="spoilt")
    with pytest.raises(exceptions.Conflict):
        load(client, into, lines({"a": 1}), job_id="spoilt")


def test_a_job_is_only_found_in_its_location(bigquery: BigQueryStandIn, client: gbq.Client) -> None:
    bigquery.dataset("far", "europe-west3")
    client.query("SELECT 1", job_id="far-job", location="europe-west3", job_retry=None)
    assert client.get_job("far-job", location="europe-west3").job_id == "far-job"
    with pytest.raises(exceptions.NotFound):
        client.get_job("far-job", location="US")


def test_a_query_in_another_location_does_not_see_the_dataset(
    bigquery: BigQueryStandIn, client: gbq.Client
) -> None:
    bigquery.dataset("away", "europe-west4")
    bigquery.create_table("away", "t", schema={"fields": [{"name": "a", "type": "INT64"}]})
    with pytest.raises(exceptions.NotFound, match="not found in location US"):
        run(client, "SELECT a FROM away.t")


def test_labels_are_checked(client: gbq.Client) -> None:
    config = gbq.QueryJobConfig(labels={"bundle": "Not Fit"})
    with pytest.raises(exceptions.BadRequest, match="Invalid label"):
        client.query("SELECT 1", job_config=config, retry=None, job_retry=None)


def test_withheld_permissions_are_denied(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any
) -> None:
    made = table()
    bigquery.withhold("bigquery.tables.updateData")
    dry = gbq.QueryJobConfig(dry_run=True)
    with pytest.raises(exceptions.Forbidden, match=r"tables\.updateData denied"):
        client.query(f"DELETE FROM `{made}` WHERE TRUE", job_config=dry, retry=None)


def test_a_dry_run_changes_nothing(client: gbq.Client, table: Any, dataset: str) -> None:
    made = table()
    dry = gbq.QueryJobConfig(dry_run=True)
    client.query(f"INSERT INTO `{made}` (a) VALUES (1)", job_config=dry)
    client.query(f"CREATE TABLE {dataset}.probe AS SELECT 1 AS a", job_config=dry)
    assert run(client, f"SELECT count(*) FROM `{made}`") == [(0,)]
    assert [t.table_id for t in client.list_tables(dataset)] == ["t"]
    with pytest.raises(exceptions.BadRequest):
        client.query(f"SELECT nonsense FROM `{made}`", job_config=dry, retry=None)


# Load jobs

ALL_TYPES = [
    gbq.SchemaField("i", "INT64"),
    gbq.SchemaField("f", "FLOAT64"),
    gbq.SchemaField("s", "STRING"),
    gbq.SchemaField("t", "TIMESTAMP"),
    gbq.SchemaField("b", "BOOL"),
    gbq.SchemaField("j", "JSON"),
]


def test_rows_come_back_as_they_were_loaded(client: gbq.Client, table: Any) -> None:
    into = table(schema=ALL_TYPES)
    job = load(
        client,
        into,
        lines(
            {"i": "9007199254740993", "f": 0.5, "s": "", "t": "2026-11-23T04:00:00.25Z", "b": True},
            {"I": 7, "s": None, "t": "2026-11-23 06:00:00+02:00", "j": {"a": [1]}},
        ),
    )
    assert job.output_rows == 2
    when = dt.datetime(2026, 11, 23, 4, tzinfo=dt.UTC)
    assert sorted(run(client, f"SELECT i, f, s, t, b, j FROM `{into}`"), key=lambda r: r[0]) == [
        (7, None, None, when, None, {"a": [1]}),
        (9007199254740993, 0.5, "", when.replace(microsecond=250_000), True, None),
    ]


def test_an_integer_past_2_to_the_53_loses_digits_unless_it_is_text(
    client: gbq.Client, table: Any
) -> None:
    into = table()
    load(client, into, lines({"a": 9007199254740993}, {"a": "9007199254740993"}))
    assert sorted(run(client, f"SELECT a FROM `{into}`")) == [
        (9007199254740992,),
        (9007199254740993,),
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"i": "1.5"}, "integer"),
        ({"i": 1.5}, "integer"),
        ({"i": True}, "integer"),
        ({"i": str(2**63)}, "out of range"),
        ({"f": "x"}, "float"),
        ({"s": {}}, "string"),
        ({"t": "23.11.2026"}, "Invalid timestamp"),
        ({"t": "2026-02-30T00:00:00Z"}, "day is out of range"),
        ({"t": "2026-11-23T04:00:00.1234567Z"}, "Invalid timestamp"),
        ({"unknown": 1}, "No such field: unknown"),
    ],
)
def test_one_bad_row_fails_the_whole_load(
    client: gbq.Client, table: Any, row: dict[str, Any], says: str
) -> None:
    into = table(schema=ALL_TYPES)
    with pytest.raises(exceptions.BadRequest) as caught:
        load(client, into, lines({"i": 1}, row))
    assert says in str(caught.value)
    assert run(client, f"SELECT count(*) FROM `{into}`") == [(0,)]


def test_null_in_a_required_column_is_refused(client: gbq.Client, table: Any) -> None:
    into = table(schema=[gbq.SchemaField("a", "INT64", mode="REQUIRED"), *ALL_TYPES[2:3]])
    with pytest.raises(exceptions.BadRequest) as caught:
        load(client, into, lines({"s": "x"}))
    assert "Only optional fields can be set to NULL" in str(caught.value)
    with pytest.raises(exceptions.BadRequest, match="cannot be null"):
        run(client, f"INSERT INTO `{into}` (s) VALUES ('x')")


@pytest.mark.parametrize("spoil", [lambda b: b[:-9], lambda b: b + b"x", lambda b: b + b])
def test_a_gzip_that_is_not_one_whole_member_is_refused(
    client: gbq.Client, table: Any, spoil: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(exceptions.BadRequest, match="gzip"):
        load(client, table(), spoil(lines({"a": 1})))


def test_dispositions_hold(client: gbq.Client, table: Any, dataset: str) -> None:
    into = table()
    load(client, into, lines({"a": 1}))
    load(client, into, lines({"a": 2}), options={"write_disposition": "WRITE_APPEND"})
    assert sorted(run(client, f"SELECT a FROM `{into}`")) == [(1,), (2,)]
    load(client, into, lines({"a": 3}), options={"write_disposition": "WRITE_TRUNCATE"})
    assert run(client, f"SELECT a FROM `{into}`") == [(3,)]
    with pytest.raises(exceptions.Conflict):
        load(client, into, lines({"a": 4}), options={"write_disposition": "WRITE_EMPTY"})
    with pytest.raises(exceptions.NotFound):
        load(client, f"{client.project}.{dataset}.absent", lines({"a": 1}))


def test_a_schema_that_is_not_the_tables_is_refused(client: gbq.Client, table: Any) -> None:
    into = table()
    for wrong in (gbq.SchemaField("a", "STRING"), gbq.SchemaField("b", "INT64")):
        with pytest.raises(exceptions.BadRequest, match="Provided Schema does not match"):
            load(client, into, lines({"a": 1}), options={"schema": [wrong]})


def test_csv_as_hauser_writes_it_loads_into_one_partition(
    client: gbq.Client, table: Any, dataset: str
) -> None:
    schema = [gbq.SchemaField("a", "INT64"), gbq.SchemaField("s", "STRING")]
    into = table(schema=schema, time_partitioning=gbq.TimePartitioning())
    config = gbq.LoadJobConfig(
        create_disposition="CREATE_NEVER", allow_jagged_rows=True, allow_quoted_newlines=True
    )
    client.load_table_from_file(
        io.BytesIO(gzip.compress(b'1,"x\ny"\n2\n')), f"{into}$20261123", job_config=config
    ).result()
    assert sorted(run(client, f"SELECT a, s, _PARTITIONTIME FROM `{into}`")) == [
        (1, "x\ny", dt.datetime(2026, 11, 23, tzinfo=dt.UTC)),
        (2, None, dt.datetime(2026, 11, 23, tzinfo=dt.UTC)),
    ]
    assert [len(r) for r in run(client, f"SELECT * FROM `{into}`")] == [2, 2]


# Uploads


@pytest.fixture
def texts(table: Any) -> gbq.Table:
    return table("texts", schema=[gbq.SchemaField("s", "STRING")])


def test_a_resumable_upload_goes_in_chunks(
    bigquery: BigQueryStandIn, client: gbq.Client, texts: gbq.Table
) -> None:
    # The client's own chunks are of 100 MB, so this is the class beneath it.
    content = b"".join(json.dumps({"s": str(n) * 250_000}).encode() + b"\n" for n in range(5))
    url = f"{bigquery.url}/upload/bigquery/v2/projects/{client.project}/jobs?uploadType=resumable"
    upload = ResumableUpload(url, 512 * 1024)
    configuration = {
        "load": {
            "destinationTable": texts.reference.to_api_repr(),
            "sourceFormat": "NEWLINE_DELIMITED_JSON",
        }
    }
    session = requests.Session()
    with bigquery.faults.recorded() as seen:
        upload.initiate(
            session, io.BytesIO(content), {"configuration": configuration}, "*/*"
        )  # fmt: skip
        while not upload.finished:
            answer = upload.transmit_next_chunk(session)
    assert [r.status for r in seen if r.method == "PUT"] == [308, 308, 200]
    client.get_job(answer.json()["jobReference"]["jobId"]).result()
    assert run(client, f"SELECT count(*), sum(length(s)) FROM `{texts}`") == [(5, 1_250_000)]


@pytest.mark.parametrize("forgotten", [False, True])
def test_the_job_is_there_though_the_last_answer_was_lost(
    bigquery: BigQueryStandIn, client: gbq.Client, texts: gbq.Table, forgotten: bool
) -> None:
    bigquery.service.uploads.forget_finished = forgotten
    bigquery.faults.add("^PUT /upload", "drop_after")
    name = f"lost-{forgotten}"
    with pytest.raises(requests.ConnectionError):
        load(client, texts, lines({"s": "x"}), size=None, job_id=name)
    client.get_job(name).result()
    assert run(client, f"SELECT s FROM `{texts}`") == [("x",)]


# Tables


def test_a_patch_with_an_old_etag_is_refused(client: gbq.Client, table: Any) -> None:
    mine, theirs = table(), client.get_table(table("u").reference)
    mine = client.get_table(mine.reference)
    theirs = client.get_table(mine.reference)
    mine.schema = [*mine.schema, gbq.SchemaField("b", "STRING")]
    client.update_table(mine, ["schema"])
    theirs.schema = [*theirs.schema, gbq.SchemaField("c", "STRING")]
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_table(theirs, ["schema"], retry=None)
    assert [f.name for f in client.get_table(mine.reference).schema] == ["a", "b"]


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ([gbq.SchemaField("b", "INT64")], "is missing"),
        ([gbq.SchemaField("a", "STRING")], "changed type"),
        ([gbq.SchemaField("a", "INT64", mode="REQUIRED")], "changed mode"),
        ([*ONLY_A, gbq.SchemaField("b", "INT64", mode="REQUIRED")], "Cannot add required"),
        ([*ONLY_A, gbq.SchemaField("A", "INT64")], "Duplicate field"),
    ],
)
def test_a_schema_only_grows_and_relaxes(
    client: gbq.Client, table: Any, schema: list[gbq.SchemaField], says: str
) -> None:
    made = client.get_table(table().reference)
    made.schema = schema
    with pytest.raises(exceptions.BadRequest, match=says):
        client.update_table(made, ["schema"], retry=None)


def test_required_can_be_relaxed(client: gbq.Client, table: Any) -> None:
    made = table(schema=[gbq.SchemaField("a", "INT64", mode="REQUIRED")])
    made = client.get_table(made.reference)
    made.schema = ONLY_A
    client.update_table(made, ["schema"])
    run(client, f"INSERT INTO `{made}` (a) VALUES (NULL)")
    assert run(client, f"SELECT a FROM `{made}`") == [(None,)]


def test_a_table_is_gone_at_its_expiration(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = NOW
    made = table(expires=now + dt.timedelta(hours=1))
    later = (now + dt.timedelta(hours=2)).timestamp()
    monkeypatch.setattr(bigquery.service.catalog, "clock", lambda: later)
    with pytest.raises(exceptions.NotFound):
        client.get_table(made.reference)


def test_ctas_makes_the_table_with_its_rows_once(client: gbq.Client, dataset: str) -> None:
    sql = f"CREATE TABLE IF NOT EXISTS {dataset}.one (a INT64, s STRING) AS SELECT 1, 'x'"
    run(client, sql)
    run(client, sql)
    assert run(client, f"SELECT a, s FROM {dataset}.one") == [(1, "x")]


# STRING(n)


def _limited(bigquery: Any, dataset: str) -> str:
    fields = [
        {"name": "a", "type": "STRING", "maxLength": "3"},
        {"name": "b", "type": "STRING", "mode": "REQUIRED", "maxLength": "1"},
    ]
    bigquery.create_table(dataset, "limited", schema={"fields": fields})
    return f"{bigquery.PROJECT}.{dataset}.limited"


def test_a_limited_text_counts_characters(bigquery: Any, client: gbq.Client, dataset: str) -> None:
    name = _limited(bigquery, dataset)
    assert [f.max_length for f in client.get_table(name).schema] == [3, 1]
    run(client, f"INSERT INTO `{name}` (a, b) VALUES ('ää🙂', 'ö'), (NULL, '')")
    for values in ("'abcd', 'x'", "'abc', 'xy'"):
        with pytest.raises(exceptions.BadRequest, match=r"STRING\(.\) has maximum length"):
            run(client, f"INSERT INTO `{name}` (a, b) VALUES ({values})")
    with pytest.raises(exceptions.BadRequest, match=r"STRING\(3\)"):
        run(client, f"UPDATE `{name}` SET a = 'four' WHERE TRUE")
    assert run(client, f"SELECT a, b FROM `{name}` ORDER BY b") == [(None, ""), ("ää🙂", "ö")]


def test_a_load_job_refuses_a_text_beyond_its_limit(
    bigquery: Any, client: gbq.Client, dataset: str
) -> None:
    name = _limited(bigquery, dataset)
    for rows, good in (([{"a": "ää🙂", "b": "ö"}], True), ([{"a": "four", "b": "x"}], False)):
        config = gbq.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        job = client.load_table_from_file(io.BytesIO(lines), name, job_config=config)
        if good:
            job.result()
            continue
        with pytest.raises(exceptions.BadRequest, match="Rows: 1; errors: 1"):
            job.result()
        assert "maximum length 3 but got a value with length 4" in str(job.errors)


def test_columns_beside_a_limited_text_can_be_added_and_relaxed(
    bigquery: Any, client: gbq.Client, dataset: str
) -> None:
    table = client.get_table(_limited(bigquery, dataset))
    relaxed = [gbq.SchemaField.from_api_repr({**f.to_api_repr(), "mode": "NULLABLE"})
               for f in table.schema]  # fmt: skip
    table.schema = [*relaxed, gbq.SchemaField("c", "INTEGER")]
    made = client.update_table(table, ["schema"])
    assert [(f.name, f.mode, f.max_length) for f in made.schema] == [
        ("a", "NULLABLE", 3), ("b", "NULLABLE", 1), ("c", "NULLABLE", None),
    ]  # fmt: skip
    run(client, f"INSERT INTO `{table.reference}` (a, b, c) VALUES ('abc', NULL, 1)")
    with pytest.raises(exceptions.BadRequest, match=r"STRING\(3\)"):
        run(client, f"INSERT INTO `{table.reference}` (a) VALUES ('abcd')")


# Scripts


def test_a_failed_assertion_rolls_everything_back(client: gbq.Client, table: Any) -> None:
    made = table()
    with pytest.raises(exceptions.BadRequest, match="Assertion failed: too few"):
        run(
            client,
            f"BEGIN TRANSACTION; INSERT INTO `{made}` (a) VALUES (1);"
            f" ASSERT (SELECT COUNT(*) FROM `{made}`) = 2 AS 'too few'; COMMIT TRANSACTION",
        )
    assert run(client, f"SELECT count(*) FROM `{made}`") == [(0,)]


def test_a_transaction_left_open_is_rolled_back(client: gbq.Client, table: Any) -> None:
    made = table()
    run(client, f"BEGIN TRANSACTION; INSERT INTO `{made}` (a) VALUES (1); SELECT 1")
    assert run(client, f"SELECT count(*) FROM `{made}`") == [(0,)]


def test_row_count_is_that_of_the_last_change(client: gbq.Client, table: Any) -> None:
    made = table()
    run(
        client,
        f"INSERT INTO `{made}` (a) VALUES (1), (2), (3);"
        " ASSERT @@row_count = 3 AS 'inserted';"
        f" DELETE FROM `{made}` WHERE a > 1;"
        " ASSERT @@row_count = 2 AS 'deleted'",
    )


@pytest.mark.parametrize(("held", "left"), [("TRUE", 0), ("FALSE", 3), ("NULL", 3)])
def test_a_branch_is_taken_when_its_condition_holds(
    client: gbq.Client, table: Any, held: str, left: int
) -> None:
    made = table()
    run(
        client,
        f"INSERT INTO `{made}` (a) VALUES (1), (2), (3);"
        f" IF {held} THEN DELETE FROM `{made}` WHERE a > 1; DELETE FROM `{made}` WHERE TRUE;"
        f" END IF; INSERT INTO `{made}` (a) VALUES (4)",
    )
    assert run(client, f"SELECT count(*) FROM `{made}`") == [(left + 1,)]


@pytest.mark.parametrize("script", ["IF TRUE THEN SELECT 1", "SELECT 1; END IF"])
def test_a_branch_has_a_beginning_and_an_end(client: gbq.Client, script: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="Syntax error"):
        run(client, script)


def test_no_ddl_inside_a_transaction(client: gbq.Client, dataset: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="DDL"):
        run(client, f"BEGIN TRANSACTION; CREATE TABLE {dataset}.x (a INT64); COMMIT TRANSACTION")


def test_update_and_delete_need_a_where(client: gbq.Client, table: Any) -> None:
    made = table()
    for sql in (f"DELETE FROM `{made}`", f"UPDATE `{made}` SET a = 1"):
        with pytest.raises(exceptions.BadRequest, match="must have a WHERE"):
            run(client, sql)


def test_an_insert_does_not_convert_types(client: gbq.Client, table: Any) -> None:
    numbers, texts = table("n"), table("s", schema=ALL_TYPES)
    with pytest.raises(exceptions.BadRequest, match="cannot be inserted into column a"):
        run(client, f"INSERT INTO `{numbers}` (a) SELECT s FROM `{texts}`")
    with pytest.raises(exceptions.BadRequest, match="cannot be inserted into column j"):
        run(client, f"INSERT INTO `{texts}` (j) SELECT s FROM `{texts}`")
    run(client, f"INSERT INTO `{texts}` (j) SELECT PARSE_JSON(s) FROM `{texts}`")


def test_parameters_are_typed(client: gbq.Client, table: Any) -> None:
    made = table(schema=ALL_TYPES)
    when = dt.datetime(2026, 11, 23, 4, tzinfo=dt.UTC)
    config = gbq.QueryJobConfig(
        query_parameters=[
            gbq.ScalarQueryParameter("i", "INT64", 5),
            gbq.ScalarQueryParameter("t", "TIMESTAMP", when),
            gbq.ScalarQueryParameter("s", "STRING", None),
            gbq.ArrayQueryParameter("several", "STRING", ["x", "y"]),
        ]
    )
    run(
        client,
        f"INSERT INTO `{made}` (i, t, s) VALUES (@i, @t, @s);"
        f" ASSERT 'y' IN UNNEST(@several) AS 'in'; ASSERT 'z' NOT IN UNNEST(@several) AS 'not in'",
        job_config=config,
    )
    assert run(client, f"SELECT i, t, s FROM `{made}`") == [(5, when, None)]
    with pytest.raises(exceptions.BadRequest, match="'q' not found"):
        run(client, "SELECT @q", job_config=config)


def test_ingestion_time_partitions_can_be_inserted_into(client: gbq.Client, table: Any) -> None:
    made = table(time_partitioning=gbq.TimePartitioning())
    run(client, f"INSERT INTO `{made}` (_PARTITIONTIME, a) SELECT TIMESTAMP('2026-11-23'), 1")
    assert run(client, f"SELECT _PARTITIONTIME, a FROM `{made}`") == [
        (dt.datetime(2026, 11, 23, tzinfo=dt.UTC), 1)
    ]
    with pytest.raises(exceptions.BadRequest, match="start of a partition"):
        run(
            client,
            f"INSERT INTO `{made}` (_PARTITIONTIME, a) VALUES (TIMESTAMP('2026-11-23 01:00:00'), 1)",
        )


def test_a_job_touches_a_bounded_number_of_partitions(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bigquery.service.loader, "max_partitions", 2)
    schema = [gbq.SchemaField("t", "TIMESTAMP")]
    source = table("source", schema=schema)
    made = table("days", schema=schema, time_partitioning=gbq.TimePartitioning(field="t"))
    rows = [{"t": f"2026-11-2{n}T00:00:00Z"} for n in range(3)]
    load(client, source, lines(*rows))
    with pytest.raises(exceptions.BadRequest, match="Too many partitions"):
        run(client, f"INSERT INTO `{made}` (t) SELECT t FROM `{source}`")
    with pytest.raises(exceptions.BadRequest, match="Too many partitions"):
        load(client, made, lines(*rows))


def test_a_table_can_demand_a_partition_filter(client: gbq.Client, table: Any) -> None:
    schema = [*ONLY_A, gbq.SchemaField("t", "TIMESTAMP")]
    made = table(
        schema=schema,
        time_partitioning=gbq.TimePartitioning(field="t"),
        require_partition_filter=True,
    )
    with pytest.raises(exceptions.BadRequest, match="partition elimination"):
        run(client, f"DELETE FROM `{made}` WHERE a = 1")
    run(client, f"DELETE FROM `{made}` WHERE a = 1 AND t IS NULL")


# Transactions side by side


def begin(client: gbq.Client, bigquery: BigQueryStandIn, sql: str, name: str) -> tuple[Any, Any]:
    """A script that has done ``sql`` in a transaction and waits before its COMMIT."""
    gate = bigquery.gates.add("^COMMIT", name)
    job = client.query(
        f"BEGIN TRANSACTION; {sql}; COMMIT TRANSACTION", job_id=name, retry=None, job_retry=None
    )
    assert gate.reached.wait(10)
    return job, gate


def test_two_transactions_that_only_append_both_commit(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, dataset: str
) -> None:
    made = table()
    first, gate = begin(client, bigquery, f"INSERT INTO `{made}` (a) VALUES (1)", f"{dataset}-1")
    run(client, f"BEGIN TRANSACTION; INSERT INTO `{made}` (a) VALUES (2); COMMIT TRANSACTION")
    gate.release()
    first.result(job_retry=None)
    assert sorted(run(client, f"SELECT a FROM `{made}`")) == [(1,), (2,)]


def test_a_second_update_of_a_table_is_aborted(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, dataset: str
) -> None:
    made = table()
    run(client, f"INSERT INTO `{made}` (a) VALUES (0)")
    update = f"UPDATE `{made}` SET a = a + 1 WHERE TRUE"
    first, gate = begin(client, bigquery, update, f"{dataset}-2")
    with pytest.raises(exceptions.BadRequest, match="aborted due to concurrent update against"):
        run(client, f"BEGIN TRANSACTION; {update}; COMMIT TRANSACTION")
    gate.release()
    first.result(job_retry=None)
    assert run(client, f"SELECT a FROM `{made}`") == [(1,)]


def test_changes_that_find_no_row_conflict_with_nothing(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, dataset: str
) -> None:
    made = table()
    delete = f"DELETE FROM `{made}` WHERE a = 1; INSERT INTO `{made}` (a) VALUES (1)"
    first, gate = begin(client, bigquery, delete, f"{dataset}-7")
    run(client, f"BEGIN TRANSACTION; {delete}; COMMIT TRANSACTION")
    gate.release()
    first.result(job_retry=None)
    assert run(client, f"SELECT a FROM `{made}`") == [(1,), (1,)]


def test_an_update_behind_anothers_commit_is_aborted(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, dataset: str
) -> None:
    made = table()
    run(client, f"INSERT INTO `{made}` (a) VALUES (0)")
    update = f"UPDATE `{made}` SET a = a + 1 WHERE TRUE"
    gate = bigquery.gates.add("^UPDATE", f"{dataset}-3")
    late = client.query(
        f"BEGIN TRANSACTION; {update}; COMMIT TRANSACTION",
        job_id=f"{dataset}-3", retry=None, job_retry=None,
    )  # fmt: skip
    assert gate.reached.wait(10)
    run(client, f"BEGIN TRANSACTION; {update}; COMMIT TRANSACTION")
    gate.release()
    with pytest.raises(exceptions.BadRequest, match="concurrent update"):
        late.result(retry=None, job_retry=None)


def test_a_transaction_reads_one_snapshot(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, dataset: str
) -> None:
    made = table()
    gate = bigquery.gates.add("^ASSERT", f"{dataset}-4")
    job = client.query(
        f"BEGIN TRANSACTION; SELECT a FROM `{made}`;"
        f" ASSERT (SELECT COUNT(*) FROM `{made}`) = 0 AS 'a snapshot'; COMMIT TRANSACTION",
        job_id=f"{dataset}-4", retry=None, job_retry=None,
    )  # fmt: skip
    assert gate.reached.wait(10)
    run(client, f"INSERT INTO `{made}` (a) VALUES (1)")
    gate.release()
    job.result(job_retry=None)


def test_a_script_runs_on_when_its_client_has_gone(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, dataset: str
) -> None:
    made = table()
    insert = f"INSERT INTO `{made}` (a) VALUES (1)"
    _, gate = begin(client, bigquery, insert, f"{dataset}-5")
    client.close()
    gate.release()
    bigquery.service.jobs.join()
    assert bigquery.sql(f"SELECT a FROM {dataset}.t") == [(1,)]


def test_a_cancelled_job_stops_before_its_next_statement(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, dataset: str
) -> None:
    made = table()
    insert = f"INSERT INTO `{made}` (a) VALUES (1)"
    job, gate = begin(client, bigquery, insert, f"{dataset}-6")
    job.cancel()
    gate.release()
    bigquery.service.jobs.join()
    assert bigquery.sql(f"SELECT a FROM {dataset}.t") == []


# Faults, and the process


def test_faults_befall_the_requests_they_name(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any
) -> None:
    made = table()
    bigquery.faults.add("^GET .*/tables/t$", "status", status=503)
    bigquery.faults.add("^GET .*/tables/t$", "drop_before", skip=1)
    with pytest.raises(exceptions.ServiceUnavailable):
        client.get_table(made.reference, retry=None)
    with pytest.raises(requests.ConnectionError):
        client.get_table(made.reference, retry=None)
    assert client.get_table(made.reference, retry=None).table_id == "t"
    log = [r.status for r in bigquery.faults.log if re.search("^GET .*/tables/t$", str(r))]
    assert log[-3:] == [503, None, 200]


def test_an_answer_can_be_lost_after_the_deed(
    bigquery: BigQueryStandIn, client: gbq.Client, table: Any, dataset: str
) -> None:
    made = table()
    bigquery.faults.add("^DELETE", "drop_after")
    with pytest.raises(requests.ConnectionError):
        client.delete_table(made.reference, retry=None)
    assert bigquery.tables(dataset) == []


def test_it_runs_as_a_process_of_its_own() -> None:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.standins.bigquery", "--dataset", "d"],
        stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        path = f"/bigquery/v2/projects/{BigQueryStandIn.PROJECT}/datasets/d"
        with urllib.request.urlopen(url + path) as answer:
            assert json.load(answer)["location"] == "US"
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.wait(10) == 0
