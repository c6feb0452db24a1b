"""Variables go over the file, by names that follow from the keys."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from hauserpy.config import ExportApi, Provider, Secret, load
from hauserpy.config.keys import KEYS, Key
from hauserpy.errors import ConfigError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str) -> None:
    path = Path("config.toml")
    path.touch(mode=0o600)
    path.write_text(text)


TEXTS = {
    "FsApiToken": (" na1.x\n", Secret("na1.x")),
    "ExportApi": ("segments", ExportApi.SEGMENTS),
    "ApiURL": ("http://localhost:1/v1", "http://localhost:1/v1"),
    "Backoff": ("90ms", timedelta(milliseconds=90)),
    "BackoffStepsMax": ("3", 3),
    "StorageOnly": ("TRUE", True),
    "IncludeMobileAppsFields": ("1", True),
    "FilePrefix": ("12", "12"),
    "Workers": ("all", None),
    "Provider": ("aws", Provider.AWS),
    "local.SaveDir": ("/x", Path("/x")),
    "local.UseStartTime": ("0", False),
    "redshift.Port": ("5440", 5440),
    "redshift.Password": (" p \n", Secret(" p ")),
    "bigquery.PartitionExpiration": ("0", timedelta(0)),
    "s3.Bucket": ("b", "b"),
}


@pytest.mark.parametrize("key", [k for k in KEYS if k.full in TEXTS], ids=lambda k: k.full)
def test_a_variable_sets_its_key_as_the_file_would(key: Key) -> None:
    text, value = TEXTS[key.full]
    settings = load(None, {key.variable: text})
    if value is not None:
        assert key.of(settings) == value
        assert settings.origins[key.full] == f"environment {key.variable}"


@pytest.mark.parametrize("key", KEYS, ids=lambda k: k.full)
def test_every_key_has_a_variable_of_its_own(key: Key) -> None:
    assert [other.full for other in KEYS if other.variable == key.variable] == [key.full]
    settings = load(None, {key.variable: ""})
    assert settings.warnings == ()


@pytest.mark.parametrize(
    "variable",
    ["HAUSERPY_CHECKINTERVAL", "HAUSERPY_CHECK_INTERVAL", "HAUSERPY_check_Interval"],
)
def test_words_may_be_parted_by_underscores(variable: str) -> None:
    assert load(None, {variable: "5m"}).check_interval == timedelta(minutes=5)


def test_sections_are_parted_by_two_underscores() -> None:
    environ = {
        "HAUSERPY_LOCAL__SAVE_DIR": "/a",
        "HAUSERPY_BIG_QUERY__FS_X": "?",
        "HAUSERPY_REDSHIFT__CLUSTER_IDENTIFIER": "c",
        "HAUSERPY_S3__BUCKET": "b",
    }
    settings = load(None, environ)
    assert settings.local.save_dir == Path("/a")
    assert settings.redshift.cluster_identifier == "c"
    assert settings.s3.bucket == "b"


def test_the_environment_goes_over_the_file() -> None:
    write('Backoff = "1s"\nFsApiToken = "file"\n[local]\nSaveDir = "file"')
    settings = load(
        None,
        {
            "FULLSTORY_API_TOKEN": "variable",
            "HAUSERPY_BACKOFF": "2s",
            "HAUSERPY_LOCAL__SAVEDIR": "variable",
        },
    )
    assert settings.backoff == timedelta(seconds=2)
    assert settings.local.save_dir == Path("variable")
    assert settings.require_token().reveal() == "variable"
    assert settings.origins["FsApiToken"] == "environment FULLSTORY_API_TOKEN"


def test_the_environment_goes_over_deprecated_keys_of_the_file_and_the_other_way_round() -> None:
    write('Warehouse = "redshift"\n[s3]\nS3Only = true')
    assert load(None, {"HAUSERPY_PROVIDER": "gcp"}).provider is Provider.GCP
    assert load(None, {"HAUSERPY_STORAGEONLY": "false"}).storage_only is False
    write('Provider = "aws"')
    assert load(None, {"HAUSERPY_WAREHOUSE": "bigquery"}).provider is Provider.GCP


def test_an_empty_variable_counts_as_not_set() -> None:
    write('FsApiToken = "file"\nBackoff = "1s"')
    settings = load(None, {"FULLSTORY_API_TOKEN": "", "HAUSERPY_BACKOFF": ""})
    assert settings.require_token().reveal() == "file"
    assert settings.backoff == timedelta(seconds=1)


def test_a_variable_too_shows_that_segments_are_meant() -> None:
    settings = load(None, {"HAUSERPY_SEGMENT_ID": "x"})
    assert settings.export_api is ExportApi.SEGMENTS
    assert "HAUSERPY_SEGMENT_ID" in settings.notes[0]


def test_lists_are_json() -> None:
    text = '[{"Key": "X-A", "Value": "b"}, {"key": "X-C", "value": "d"}]'
    headers = load(None, {"HAUSERPY_ADDITIONALHTTPHEADER": text}).additional_http_header
    assert [(h.key, h.value.reveal()) for h in headers] == [("X-A", "b"), ("X-C", "d")]


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("HAUSERPY_BACKOFF", "30", "unit is missing"),
        ("HAUSERPY_BACKOFFSTEPSMAX", "many", "not an integer"),
        ("HAUSERPY_BACKOFFSTEPSMAX", "1" * 5000, "not an integer"),
        ("HAUSERPY_BACKOFFSTEPSMAX", "1" * 50, "out of range"),
        ("HAUSERPY_STORAGEONLY", "yes", "true or false"),
        ("HAUSERPY_PROVIDER", "azure", '"aws"'),
        ("HAUSERPY_STARTTIME", "now", "not a time"),
        ("HAUSERPY_ADDITIONALHTTPHEADER", "X: y", "not a list"),
        ("HAUSERPY_REDSHIFT__PORT", "0", "65535"),
        ("HAUSERPY_REDSHIFT__PASSWORD", "x\ud800", "not UTF-8"),
        ("HAUSERPY_REDSHIFT__PASSWORD", "x\udfff", "not UTF-8"),
    ],
)
def test_a_bad_variable_is_refused_by_its_own_name(variable: str, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        load(None, {variable: text})
    assert f"environment {variable}" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("HAUSERPY_CHEKINTERVAL", "HAUSERPY_CHECKINTERVAL"),
        ("HAUSERPY_CHECK_INTERVALS", "HAUSERPY_CHECKINTERVAL"),
        ("HAUSERPY_LOCAL_SAVEDIR", "HAUSERPY_LOCAL__SAVEDIR"),
        ("HAUSERPY_REDSHIFT__HOTS", "HAUSERPY_REDSHIFT__HOST"),
        ("HAUSERPY_CONFIGFILE", "HAUSERPY_CONFIG"),
    ],
)
def test_an_unknown_variable_is_a_warning_with_the_nearest_known_one(
    variable: str, hint: str
) -> None:
    warnings = load(None, {variable: "hunter2"}).warnings
    assert len(warnings) == 1
    assert variable in warnings[0]
    assert f"Did you mean {hint}?" in warnings[0]
    assert "hunter2" not in warnings[0]


def test_other_variables_are_none_of_our_business() -> None:
    assert load(None, {"PATH": "x", "hauserpy_backoff": "x", "FULLSTORY_X": "y"}).warnings == ()


@pytest.mark.parametrize(
    "environ",
    [
        {"HAUSERPY_BACKOFF": "1s", "HAUSERPY_BACK_OFF": "2s"},
        {"FULLSTORY_API_TOKEN": "hunter2", "HAUSERPY_FSAPITOKEN": "hunter3"},
    ],
)
def test_two_variables_for_one_key_must_agree(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="differ") as caught:
        load(None, environ)
    for variable in environ:
        assert variable in str(caught.value)
    assert "hunter" not in str(caught.value)
    same = dict.fromkeys(environ, "3s")
    assert load(None, same).warnings == ()
