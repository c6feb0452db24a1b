"""The configuration file: what is read, and how what cannot be read is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.config import ExportApi, Provider, Secret, Settings, load
from hauserpy.errors import ConfigError
from hauserpy.layout import Compression, StageFormat

Read = Callable[[str], Settings]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.toml"
    path.touch(mode=0o600)
    return path


@pytest.fixture
def read(file: Path) -> Read:
    def reading(text: str) -> Settings:
        file.write_text(text, encoding="utf-8")
        return load(file, {})

    return reading


def refusal(read: Read, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.exit_code == 2
    assert caught.value.reason
    assert caught.value.instruction
    return str(caught.value)


def test_no_file_and_no_variables_give_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, {})
    assert settings == Settings()
    assert settings.path is None
    assert settings.warnings == ()
    assert settings.api_url == "https://export.fullstory.com/api/v1"
    assert settings.workers == len(os.sched_getaffinity(0))


def test_the_default_file_is_read_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text('Backoff = "1s"')
    settings = load(None, {})
    assert settings.backoff == timedelta(seconds=1)
    assert settings.origins["Backoff"] == "file config.toml"


def test_hauserpy_config_names_the_file(file: Path) -> None:
    file.write_text('Backoff = "1s"')
    assert load(None, {"HAUSERPY_CONFIG": str(file)}).backoff == timedelta(seconds=1)
    assert load(None, {"HAUSERPY_CONFIG": str(file)}).warnings == ()


@pytest.mark.parametrize("named_by", ["argument", "variable"])
def test_a_file_that_is_named_must_be_there(tmp_path: Path, named_by: str) -> None:
    missing = tmp_path / "no.toml"
    with pytest.raises(ConfigError, match=r"no\.toml cannot be read"):
        if named_by == "argument":
            load(missing, {})
        else:
            load(None, {"HAUSERPY_CONFIG": str(missing)})


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})


EVERYTHING = """
FsApiToken = "na1.abc"
ExportApi = "segments"
ApiURL = "https://api.eu1.fullstory.com/"
Backoff = "2s"
BackoffStepsMax = 3
CheckInterval = "5m"
StartTime = 2026-01-02T03:04:05+01:00
SegmentId = "seg"
ExportDuration = "6h"
ExportDelay = "2h"
IncludeMobileAppsFields = true
ConnectTimeout = "1s"
ReadTimeout = "2s"
BundleTimeout = "3s"
RetryAfterMax = "0"
PollTimeout = "5s"
Format = "JSONL"
Compression = "gzip"
FilePrefix = "fs/events-"
TmpDir = "/var/tmp"
MaxRecordBytes = 4096
Provider = "aws"
StorageOnly = false
Workers = 3
[[AdditionalHttpHeader]]
Key = "X-One"
Value = "1"
[[AdditionalHttpHeader]]
key = "X-Two"
VALUE = ""
[local]
SaveDir = "/data"
UseStartTime = true
[s3]
Bucket = "b/path"
Region = "eu-west-1"
Timeout = "10m"
Endpoint = "http://127.0.0.1:9000"
[redshift]
Host = "h"
Port = "5440"
DB = "dev"
User = "u"
Password = "p w"
IamRole = "default"
Workgroup = "wg"
SslMode = "verify-full"
SslRootCert = "/ca.pem"
DatabaseSchema = "public"
ExportTable = "events$2"
SyncTable = "_sync"
VarCharMax = 1000
CustomVarsType = "super"
[gcs]
Bucket = "g"
Endpoint = "http://localhost:4443"
[bigquery]
Project = "p"
Dataset = "d"
ExportTable = "ev ents-1"
SyncTable = "s"
PartitionExpiration = "720h"
Location = "EU"
CredentialsFile = "/key.json"
Impersonate = "a@b.iam.gserviceaccount.com"
Endpoint = "http://localhost:9050"
CustomVarsType = "json"
"""


def test_every_key_is_read(read: Read) -> None:
    s = read(EVERYTHING)
    assert s.fs_api_token == Secret("na1.abc")
    assert s.export_api is ExportApi.SEGMENTS
    assert s.api_url == "https://api.eu1.fullstory.com"
    assert [(h.key, h.value.reveal()) for h in s.additional_http_header] == [
        ("X-One", "1"),
        ("X-Two", ""),
    ]
    assert (s.backoff, s.backoff_steps_max) == (timedelta(seconds=2), 3)
    assert s.check_interval == timedelta(minutes=5)
    assert s.start_time == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert s.start_time.utcoffset() == timedelta(0)
    assert (s.segment_id, s.export_duration, s.export_delay) == (
        "seg",
        timedelta(hours=6),
        timedelta(hours=2),
    )
    assert s.include_mobile_apps_fields is True
    assert [
        t.total_seconds()
        for t in (s.connect_timeout, s.read_timeout, s.bundle_timeout, s.retry_after_max)
    ] == [1, 2, 3, 0]
    assert s.poll_timeout == timedelta(seconds=5)
    assert (s.format, s.compression) == (StageFormat.JSONL, Compression.GZIP)
    assert (s.file_prefix, s.tmp_dir, s.max_record_bytes) == ("fs/events-", Path("/var/tmp"), 4096)
    assert (s.provider, s.storage_only, s.workers) == (Provider.AWS, False, 3)
    assert (s.local.save_dir, s.local.use_start_time) == (Path("/data"), True)
    assert (s.s3.bucket, s.s3.region, s.s3.timeout, s.s3.endpoint) == (
        "b/path",
        "eu-west-1",
        timedelta(minutes=10),
        "http://127.0.0.1:9000",
    )
    r = s.redshift
    assert (r.host, r.port, r.db, r.user, r.password) == ("h", 5440, "dev", "u", Secret("p w"))
    assert (r.credentials, r.iam_role, r.cluster_identifier, r.workgroup) == (
        None,
        "default",
        None,
        "wg",
    )
    assert (r.ssl_mode, r.ssl_root_cert) == ("verify-full", Path("/ca.pem"))
    assert (r.database_schema, r.export_table, r.sync_table) == ("public", "events$2", "_sync")
    assert (r.var_char_max, r.custom_vars_type) == (1000, "super")
    assert (s.gcs.bucket, s.gcs.endpoint) == ("g", "http://localhost:4443")
    b = s.bigquery
    assert (b.project, b.dataset, b.export_table, b.sync_table) == ("p", "d", "ev ents-1", "s")
    assert (b.partition_expiration, b.location) == (timedelta(days=30), "EU")
    assert (b.credentials_file, b.impersonate) == (
        Path("/key.json"),
        "a@b.iam.gserviceaccount.com",
    )
    assert (b.endpoint, b.custom_vars_type) == ("http://localhost:9050", "json")


def test_keys_and_sections_match_in_any_case(read: Read, file: Path) -> None:
    plain = read(EVERYTHING)
    lines = EVERYTHING.splitlines()
    swapped = [
        line.partition("=")[0].swapcase() + "".join(line.partition("=")[1:]) for line in lines
    ]
    assert read("\n".join(swapped)) == plain


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ('Backoff = "1s"\nBACKOFF = "1s"', "both Backoff and BACKOFF"),
        ('[s3]\nBucket = "a"\nbucket = "b"', r"\[s3\] of .* has both Bucket and bucket"),
        ('[s3]\nBucket = "a"\n[S3]\nRegion = "b"', "both s3 and S3"),
    ],
)
def test_one_key_in_two_spellings_is_refused(read: Read, text: str, both: str) -> None:
    with pytest.raises(ConfigError, match=both):
        read(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("CheckIntervall = 3", "Did you mean CheckInterval?"),
        ("check_interval = 3", "Did you mean CheckInterval?"),
        ("fs_api_token = 'x'", "Did you mean FsApiToken?"),
        ("[redshfit]\nHost = 'x'", "Did you mean [redshift]?"),
        ("[redshift]\nHots = 'x'", "Did you mean Host?"),
        ("[redshift]\nProvider = 'aws'", "Provider belongs at the top, above the first [section]"),
        ("Host = 'x'", "Host belongs in [redshift]"),
        ("Bucket = 'x'", "Bucket belongs in [s3] or in [gcs]"),
        ("[local]\nFilePrefixx = 'x'", "Did you mean FilePrefix, at the top of the file?"),
        ("[snowflake]\nx = 1", "The sections are [local], [s3]"),
        ("[gcs]\nxyzzy = 1", "The keys there are Bucket, Endpoint."),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    read: Read, file: Path, text: str, hint: str
) -> None:
    message = refusal(read, text)
    assert "is unknown" in message
    assert (" in [redshift] of " in message) is text.startswith("[redshift]")
    assert (
        "the section [" if "[redshfit]" in text or "snowflake" in text else "the key "
    ) in message
    assert str(file) in message
    assert hint in message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Backoff = ", "line 1"),
        ('Backoff = "1s"\n\nProvider = local', "line 3, column 12"),
        ('Backoff = "1s"\nBackoff = "2s"', "line 2"),
        ('Backoff = "1s\nFormat = "csv"', "a string does not end on its line (at line 1"),
        ("x = " + "[" * 5000, "some.toml"),
        ("x = " + "1" * 5000, "too long"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_place(read: Read, text: str, place: str) -> None:
    message = refusal(read, text)
    assert "is not valid TOML" in message
    assert place in message


def test_what_is_not_utf8_is_refused_with_its_line(file: Path) -> None:
    file.write_bytes(b'Backoff = "1s"\nFilePrefix = "\xff"\n')
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(line 2\)"):
        load(file, {})


def test_a_byte_order_mark_and_windows_line_ends_are_fine(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbfBackoff = "1s"\r\n[local]\r\nSaveDir = "x"\r\n')
    assert load(file, {}).local.save_dir == Path("x")


REFUSED: list[tuple[str, str, str]] = [
    ('Backoff = "30"', 'Backoff = "30"', "unit is missing"),
    ("Backoff = 30", "Backoff = 30", "unit is missing"),
    ('Backoff = "-1s"', 'Backoff = "-1s"', 'from 0 to "168h"'),
    ("Backoff = true", "Backoff = true", "not a duration"),
    ('CheckInterval = "1d"', 'CheckInterval = "1d"', "a day is 24h"),
    ('StorageOnly = "true"', 'StorageOnly = "true"', "leave the quotes out"),
    ('StorageOnly = "yes"', 'StorageOnly = "yes"', "neither true nor false"),
    ('CheckInterval = "0"', 'CheckInterval = "0"', "more than 0"),
    ('ReadTimeout = "0s"', "ReadTimeout", "more than 0"),
    ('Backoff = "169h"', "Backoff", 'from 0 to "168h"'),
    ('BundleTimeout = "8000h"', "BundleTimeout", 'up to "168h"'),
    ('CheckInterval = "9000h"', "CheckInterval", 'up to "8760h"'),
    ('[s3]\nRegion = "x\' y"', "s3.Region", "letters, digits and hyphens"),
    ('[bigquery]\nLocation = "a b"', "bigquery.Location", "letters, digits and hyphens"),
    ("BackoffStepsMax = 0x" + "f" * 5000, "a number of 20000 bits", "out of range"),
    ("BackoffStepsMax = -1", "BackoffStepsMax = -1", "from 0 to 100"),
    ("BackoffStepsMax = true", "BackoffStepsMax = true", "not an integer"),
    ('BackoffStepsMax = "8"', 'BackoffStepsMax = "8"', "leave the quotes out"),
    ("BackoffStepsMax = 1.0", "BackoffStepsMax = 1.0", "not an integer"),
    ("Workers = 0", "Workers = 0", 'at least 1, or "all"|from 1 to 1024, or "all"'),
    ("MaxRecordBytes = 0", "MaxRecordBytes = 0", "from 1024"),
    ('ExportDuration = "10m"', 'ExportDuration = "10m"', "divides 24 hours"),
    ('ExportDuration = "7h"', 'ExportDuration = "7h"', "divides 24 hours"),
    ('ExportDuration = "48h"', 'ExportDuration = "48h"', "divides 24 hours"),
    ('ExportDelay = "59m"', 'ExportDelay = "59m"', 'at least "1h"'),
    ('StartTime = "yesterday"', 'StartTime = "yesterday"', "not a time"),
    ('StartTime = "2026-02-30T00:00:00Z"', "StartTime", "no such time"),
    ('StartTime = "20260102"', "StartTime", "not a time"),
    ("StartTime = 12:00:00", "StartTime = 12:00:00", "not a time"),
    ("StartTime = 1600000000", "StartTime", "not a time"),
    ("StartTime = 1969-12-31T23:59:59Z", "StartTime", "before 1970"),
    ("StartTime = 9999-12-31T23:59:59-23:00", "StartTime", "no such time"),
    ('IncludeMobileAppsFields = "true"', "IncludeMobileAppsFields", "true or false"),
    ('Provider = "azure"', 'Provider = "azure"', '"local", "aws", "gcp"'),
    ('ExportApi = "v2"', 'ExportApi = "v2"', '"bundles", "segments"'),
    ('Format = "xml"', 'Format = "xml"', '"csv", "jsonl", "parquet", "raw"'),
    ('Compression = "zstd"', 'Compression = "zstd"', '"none", "gzip"'),
    ('Warehouse = "snowflake"', 'Warehouse = "snowflake"', '"local", "redshift", "bigquery"'),
    ('FilePrefix = "../x"', "FilePrefix", r"\.\."),
    ('FilePrefix = "a/../x"', "FilePrefix", r"\.\."),
    ('FilePrefix = ".."', "FilePrefix", r"\.\."),
    ('FilePrefix = "/etc/x"', "FilePrefix", "slash"),
    ('FilePrefix = "a\\u0000b"', "FilePrefix", "control character"),
    ('FilePrefix = "a\\\\b"', "FilePrefix", "backslash"),
    ('FilePrefix = "a//b"', "FilePrefix", "without a name"),
    ('FilePrefix = ".hauserpy/x"', "FilePrefix", "ledger"),
    ('TmpDir = "a\\u0000b"', "TmpDir", "NUL"),
    (f'FilePrefix = "{"x" * 513}"', "FilePrefix", "longer than 512 bytes"),
    ("Workers = []", "Workers = a list", "not an integer"),
    ("[s3.Region]\nx = 1", "s3.Region = a table", "not a string"),
    ("TmpDir = 3", "TmpDir = 3", "not a string"),
    ('SegmentId = "a\\nb"', "SegmentId", "control character"),
    ('[redshift]\nExportTable = "x; drop table y"', 'redshift.ExportTable = "x; drop table y"', '";" cannot stand'),
    ("[redshift]\nSyncTable = 'a\"b'", "redshift.SyncTable", "cannot stand"),
    ('[redshift]\nDatabaseSchema = "a.b"', "redshift.DatabaseSchema", r'"\." cannot stand'),
    ('[redshift]\nExportTable = "1x"', "redshift.ExportTable", "begins with"),
    (f'[redshift]\nExportTable = "{"é" * 64}"', "redshift.ExportTable", "longer than 127 bytes"),
    (f'[redshift]\nSyncTable = "{"x" * 121}"', "redshift.SyncTable", "longer than 120 bytes"),
    ("[redshift]\nPort = 0", "redshift.Port = 0", "from 1 to 65535"),
    ('[redshift]\nPort = "65536"', "redshift.Port", "from 1 to 65535"),
    ('[redshift]\nPort = "5439x"', "redshift.Port", "not an integer"),
    ("[redshift]\nVarCharMax = 65536", "redshift.VarCharMax", "from 1 to 65535"),
    ("[redshift]\nVarCharMax = 0", "redshift.VarCharMax", "from 1 to 65535"),
    ('[redshift]\nSslMode = "on"', "redshift.SslMode", '"verify-full"'),
    ('[redshift]\nCustomVarsType = "json"', "redshift.CustomVarsType", '"varchar", "super"'),
    ('[bigquery]\nCustomVarsType = "super"', "bigquery.CustomVarsType", '"string", "json"'),
    ('[bigquery]\nExportTable = "a`b"', "bigquery.ExportTable", "cannot stand"),
    ('[bigquery]\nExportTable = "d.t"', "bigquery.ExportTable", "cannot stand"),
    ('[bigquery]\nExportTable = "t$20260101"', "bigquery.ExportTable", r'"\$" cannot stand'),
    ('[bigquery]\nPartitionExpiration = "-1h"', "bigquery.PartitionExpiration", "not negative"),
    ('[s3]\nEndpoint = "minio:9000"', "s3.Endpoint", "https://"),
    ('[s3]\nEndpoint = "http://h/?x=1"', "s3.Endpoint", "query"),
    ('s3 = "bucket"', "s3", r"\[s3\]"),
    ("AdditionalHttpHeader = 3", "AdditionalHttpHeader", "list of tables"),
    ("AdditionalHttpHeader = [3]", "AdditionalHttpHeader", "not a table"),
    ('AdditionalHttpHeader = [{Key = "a"}]', "AdditionalHttpHeader", "lacks its Key or its Value"),
    ('AdditionalHttpHeader = [{Key = "a", Value = "b", X = "c"}]', "AdditionalHttpHeader", "other"),
    ('AdditionalHttpHeader = [{Key = "a b", Value = "c"}]', "AdditionalHttpHeader", "not the name"),
    ('AdditionalHttpHeader = [{Key = "a", Value = "c\\r\\nX: y"}]', "AdditionalHttpHeader", "control"),
    ('AdditionalHttpHeader = [{Key = "authorization", Value = "c"}]', "AdditionalHttpHeader", "own"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "named", "reason"), REFUSED)
def test_a_bad_value_is_refused_with_key_value_place_and_what_is_allowed(
    read: Read, file: Path, text: str, named: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        read(text)
    assert named in caught.value.reason
    assert str(file) in caught.value.reason
    assert caught.value.instruction


@pytest.mark.parametrize(
    "text",
    [
        "[redshift]\nVarCharMax = 65535\nPort = 1",
        '[redshift]\nVarCharMax = 1\nPort = "65535"',
        f'[redshift]\nExportTable = "{"x" * 127}"\nSyncTable = "{"y" * 120}"',
        'ExportDuration = "15m"\nExportDelay = "1h"',
        'ExportDuration = "24h"\nBackoff = "168h"\nReadTimeout = "168h"',
        "StartTime = 1970-01-01T00:00:00Z",
        f'FilePrefix = "{"x" * 512}"',
        'AdditionalHttpHeader = [{Key = "a", Value = "b\\tc~ "}]',
        "BackoffStepsMax = 0\nWorkers = 1\nMaxRecordBytes = 1024",
        "BackoffStepsMax = 100\nWorkers = 1024\nMaxRecordBytes = 1073741824",
    ],
)
def test_the_last_value_that_is_allowed_is_allowed(read: Read, text: str) -> None:
    assert read(text).origins


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080/api/v1", "http://localhost/api/v1", "http://[::1]:1/api/v1",
     "http://127.9.9.9/api/v1", "https://example.com/api/v1"],
)  # fmt: skip
def test_plain_http_is_for_this_machine(read: Read, url: str) -> None:
    assert read(f'ApiURL = "{url}"').api_url == url


@pytest.mark.parametrize(
    "url",
    ["http://export.fullstory.com/api/v1", "http://127.0.0.1.evil.example/", "http://10.0.0.1/",
     "http://localhost.evil.example/", "HTTP://example.com", "http://127.0.0.1@evil.example/",
     "http://2130706433/", "ftp://localhost/", "export.fullstory.com", "https://", "https://:443",
     "https://h:99999/", "https://h/?key=1", "https://h/#x", "https://h x/", "https://[::1/"],
)  # fmt: skip
def test_the_token_is_not_sent_elsewhere_in_the_clear(read: Read, url: str) -> None:
    assert "ApiURL" in refusal(read, f'ApiURL = "{url}"')


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('StartTime = ""', "start_time", None),
        ("StartTime = 0001-01-01T00:00:00Z", "start_time", None),
        ("StartTime = 2026-01-02", "start_time", datetime(2026, 1, 2, tzinfo=UTC)),
        ('StartTime = "2026-01-02"', "start_time", datetime(2026, 1, 2, tzinfo=UTC)),
        (
            'StartTime = "2026-01-02T03:04:05.5+02:00"',
            "start_time",
            datetime(2026, 1, 2, 1, 4, 5, 500_000, tzinfo=UTC),
        ),
        ('ApiURL = ""', "api_url", "https://export.fullstory.com/api/v1"),
        ('SegmentId = ""', "segment_id", "everyone"),
        ('ExportDuration = "0"', "export_duration", timedelta(hours=1)),
        ("ExportDelay = 0", "export_delay", timedelta(hours=24)),
        ("Backoff = 0", "backoff", timedelta(0)),
        ('TmpDir = ""', "tmp_dir", Settings().tmp_dir),
        ('Workers = "all"', "workers", Settings().workers),
        ('Provider = ""', "provider", Provider.LOCAL),
        ('FsApiToken = ""', "fs_api_token", None),
    ],
)
def test_what_go_takes_for_unset_is_unset(read: Read, text: str, name: str, value: Any) -> None:
    settings = read(text + '\nExportApi = "bundles"')
    assert getattr(settings, name) == value


def test_a_time_without_a_zone_is_utc_and_warned_about(read: Read) -> None:
    settings = read("starttime = 2026-01-02T03:04:05")
    assert settings.start_time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert [w for w in settings.warnings if "no time zone" in w]


def test_a_tilde_is_the_home_folder(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert read('[local]\nSaveDir = "~/fs"').local.save_dir == Path("/home/someone/fs")


@pytest.mark.parametrize("sign", ['SegmentId = ""', 'ExportDuration = "6h"', 'exportdelay = "24h"'])
def test_a_file_of_hauser_1_means_segments_and_this_is_noted(read: Read, sign: str) -> None:
    settings = read(sign)
    assert settings.export_api is ExportApi.SEGMENTS
    assert settings.api_url == "https://api.fullstory.com"
    assert settings.origins["ExportApi"] == "inferred"
    assert "inferred from " + sign.split(maxsplit=1)[0].lower() in settings.notes[0].lower()


def test_any_other_file_means_bundles(read: Read) -> None:
    settings = read('Provider = "local"')
    assert settings.export_api is ExportApi.BUNDLES
    assert "none of SegmentId" in settings.notes[0]
    assert "ExportApi" not in settings.origins


def test_an_export_api_that_is_stated_is_not_inferred(read: Read) -> None:
    settings = read('ExportApi = "bundles"\nExportDuration = "6h"')
    assert settings.export_api is ExportApi.BUNDLES
    assert settings.notes == ()
