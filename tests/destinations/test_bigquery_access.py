"""Who may do what on BigQuery: credentials, permissions, `check`, and what a refusal says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hauserpy.destinations import gcp
from hauserpy.destinations.bigquery.jobs import label
from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
)
from hauserpy.ledger import Ledger
from hauserpy.model import Check
from tests.destinations.bigquery_world import World, window


def found(bq: World, **settings: Any) -> dict[str, Check]:
    return {c.name: c for c in bq.destination(bq.settings(**settings)).checks()}


# hauserpy check


def test_everything_is_well_before_the_first_run_and_nothing_is_left(bq: World) -> None:
    checks = found(bq)
    assert [c for c in checks.values() if not c.ok] == []
    assert list(checks) == [
        "BigQuery credentials", "BigQuery dataset", "BigQuery jobs", "BigQuery CREATE TABLE",
        "BigQuery tables", "BigQuery permissions on the tables",
    ]  # fmt: skip
    assert bq.server.tables(bq.dataset) == []
    assert "in US" in checks["BigQuery dataset"].detail


def test_everything_is_well_after_a_load_and_nothing_has_changed(bq: World) -> None:
    destination, layout = bq.ready()
    bq.load(destination, layout, 0)
    before = bq.ledger(), bq.texts()
    checks = found(bq, gcs={"bucket": f"{bq.bucket()}/path"})
    assert [c for c in checks.values() if not c.ok] == []
    assert "fs_sync_lock" in checks["BigQuery permissions on the tables"].detail
    assert (bq.ledger(), bq.texts()) == before
    assert bq.objects() == [] and bq.leftovers() == []


def test_a_table_that_demands_a_partition_filter_is_checked_too(bq: World) -> None:
    bq.ready()
    table = bq.server.service.catalog.table(bq.server.PROJECT, bq.dataset, "fs_export")
    table.resource["requirePartitionFilter"] = True
    assert found(bq)["BigQuery permissions on the tables"].ok


@pytest.mark.parametrize(
    ("permission", "name"),
    [
        ("bigquery.datasets.get", "BigQuery dataset"),
        ("bigquery.jobs.create", "BigQuery jobs"),
        ("bigquery.tables.create", "BigQuery CREATE TABLE"),
        ("bigquery.tables.get", "BigQuery tables"),
        ("bigquery.tables.getData", "BigQuery permissions on the tables"),
        ("bigquery.tables.update", "BigQuery permissions on the tables"),
        ("bigquery.tables.updateData", "BigQuery permissions on the tables"),
        ("storage.objects.create", "Cloud Storage bucket writable"),
        ("storage.objects.delete", "Cloud Storage bucket writable"),
    ],
)
def test_each_missing_permission_is_found_and_named(bq: World, permission: str, name: str) -> None:
    bq.ready()
    bq.server.withhold(permission)
    checks = found(bq, gcs={"bucket": bq.bucket()})
    assert not checks[name].ok
    assert permission in checks[name].detail
    assert "roles/" in checks[name].remedy


def test_a_column_of_the_wrong_type_is_found(bq: World) -> None:
    fields = [{"name": "UserId", "type": "STRING"}]
    bq.server.create_table(bq.dataset, "fs_export", schema={"fields": fields})
    check = found(bq)["BigQuery tables"]
    assert not check.ok and "UserId is string" in check.detail


def test_a_dataset_that_is_not_there_ends_the_check(bq: World) -> None:
    checks = found(bq, dataset="absent")
    assert [(c.name, c.ok) for c in checks.values()][-1] == ("BigQuery dataset", False)
    assert len(checks) == 2


# What a load says


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ({"status": 401, "reason": "authError"}, AccessDenied, "Check CredentialsFile"),
        ({"status": 403, "reason": "accessDenied"}, AccessDenied, "Grant the role"),
        ({"status": 403, "reason": "quotaExceeded"}, DestinationUnavailable, "ask for more quota"),
        ({"status": 400, "reason": "invalid"}, DestinationRefused, "hauserpy check"),
        ({"status": 503, "reason": "backendError"}, DestinationUnavailable, "Run again"),
    ],
)
@pytest.mark.parametrize("pattern", ["^POST .*/tables$", "^POST /upload", "^POST .*/jobs$"])
def test_a_refusal_is_one_of_our_errors_and_nothing_is_loaded(
    bq: World, pattern: str, fault: dict[str, Any], kind: type[HauserpyError], says: str
) -> None:
    destination, layout = bq.ready()
    bq.server.faults.add(pattern, "status", times=1000, **fault)
    with pytest.raises(kind, match=says):
        bq.load(destination, layout, 0)
    bq.server.faults.clear()
    assert bq.ledger() == Ledger()


def test_a_permission_that_is_missing_in_the_transaction_is_told(bq: World) -> None:
    destination, layout = bq.ready()
    bq.server.withhold("bigquery.tables.updateData")
    with pytest.raises(HauserpyError, match=r"tables\.updateData denied"):
        bq.load(destination, layout, 0)


def test_a_load_before_prepare_is_a_bug(bq: World) -> None:
    _, layout = bq.ready()
    staged = bq.staged(layout, window(0), [{}])
    with pytest.raises(RuntimeError, match="prepare"):
        bq.destination().load(
            bq.entry(window(0), staged), staged.parts, expected=frozenset(), checkpoint=None
        )


def test_without_the_storage_client_bundles_are_uploaded_directly(
    bq: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    destination, layout = bq.ready(bq.settings(gcs={"bucket": bq.bucket()}))
    assert "google-cloud-storage is not installed" in caplog.text
    bq.load(destination, layout, 0)
    assert len(bq.texts()) == 3


# Credentials


def test_with_an_endpoint_on_loopback_none_are_needed(
    bq: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    assert bq.destination().ledger() == Ledger()


def test_no_credentials_at_all_is_access_denied(bq: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    settings = bq.settings(endpoint=None)
    with pytest.raises(AccessDenied, match="no Google credentials"):
        bq.destination(settings).ledger()
    (check,) = bq.destination(settings).checks()
    assert not check.ok and "CredentialsFile" in check.remedy


@pytest.mark.parametrize("content", ["", "not json", "{}", '{"type": "service_account"}', "[]"])
def test_a_file_that_is_no_key_is_a_configuration_error_that_does_not_quote_it(
    bq: World, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "key.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match="not the key file") as caught:
        bq.destination(bq.settings(endpoint=None, credentials_file=file)).ledger()
    assert caught.value.__cause__ is None


def test_a_key_whose_key_is_spoilt_is_not_quoted(bq: World, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": "loader@stand-in.iam.gserviceaccount.com",
                "token_uri": "https://oauth2.googleapis.com/token",
                "private_key": "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
            }
        )
    )
    with pytest.raises(ConfigError) as caught:
        bq.destination(bq.settings(endpoint=None, credentials_file=file)).ledger()
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(bq: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.json cannot be read"):
        bq.destination(
            bq.settings(endpoint=None, credentials_file=tmp_path / "absent.json")
        ).ledger()


def key_file(folder: Path) -> Path:
    """A service account's key file, made for the test."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / "key.json"
    file.write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": "loader@stand-in.iam.gserviceaccount.com",
                "token_uri": "https://oauth2.googleapis.com/token",
                "private_key": key.decode(),
            }
        )
    )
    return file


def test_a_key_file_and_impersonation_are_used(tmp_path: Path) -> None:
    file = key_file(tmp_path)
    plain = gcp.credentials(None, file=file)
    assert plain.service_account_email == "loader@stand-in.iam.gserviceaccount.com"
    other = "other@stand-in.iam.gserviceaccount.com"
    made = gcp.credentials(None, file=file, impersonate=other)
    assert made.service_account_email == other


@pytest.mark.parametrize(
    ("text", "made"),
    [("Everyone:2026", "everyone_2026"), ("é", "_"), ("a" * 70, "a" * 63), ("5-_x", "5-_x")],
)
def test_labels_are_made_to_fit(text: str, made: str) -> None:
    assert label(text) == made
