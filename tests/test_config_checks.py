"""Settings that contradict each other, that have no effect, or that a destination lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hauserpy.config import Provider, Secret, Settings, load
from hauserpy.errors import ConfigError
from hauserpy.layout import StageFormat

Read = Callable[[str], Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reading(text: str) -> Settings:
        path = tmp_path / "c.toml"
        path.touch(mode=0o600)
        path.write_text(text)
        return load(path, {})

    return reading


@pytest.mark.parametrize("provider", ["aws", "gcp"])
@pytest.mark.parametrize("line", ["SaveAsJson = true", 'Format = "raw"', 'Format = "parquet"'])
def test_a_warehouse_takes_no_raw_or_parquet(read: Read, provider: str, line: str) -> None:
    text = f'Provider = "{provider}"\n{line}\n'
    with pytest.raises(ConfigError, match="cannot be loaded into a warehouse"):
        read(text)
    assert read(text + "StorageOnly = true").format is not StageFormat.CSV
    assert read(line).format is not StageFormat.CSV


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            '[redshift]\nCredentials = "x"\nIamRole = "default"',
            "both redshift.Credentials and redshift.IamRole",
        ),
        (
            '[redshift]\nClusterIdentifier = "x"\nWorkgroup = "y"',
            "both redshift.ClusterIdentifier and redshift.Workgroup",
        ),
        ('[redshift]\nExportTable = "a"\nSyncTable = "A"', "is also a table of SyncTable"),
        ('[redshift]\nExportTable = "a_ledger"\nSyncTable = "a"', "is also a table of SyncTable"),
        ('[bigquery]\nExportTable = "a_lock"\nSyncTable = "a"', "is also a table of SyncTable"),
        ("[local]\nUseStartTime = true", "there is no StartTime"),
        ('StartTime = ""\n[local]\nUseStartTime = true', "there is no StartTime"),
    ],
)
def test_what_contradicts_is_refused(read: Read, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        read(text)
    assert caught.value.instruction


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        ('ExportApi = "bundles"\nSegmentId = "x"', ["SegmentId"]),
        ('ExportApi = "bundles"\nExportDuration = "1h"', ["ExportDuration"]),
        ('ExportApi = "bundles"\nExportDelay = "0"', ["ExportDelay"]),
        ('PollTimeout = "1h"', ["PollTimeout"]),
        ('ExportApi = "segments"\nPollTimeout = "1h"\nSegmentId = "x"', []),
        ('Provider = "aws"\nCompression = "gzip"', ["Compression"]),
        ('Provider = "aws"\nFormat = "jsonl"', ["Format"]),
        ('Provider = "aws"\nStorageOnly = true\nFormat = "jsonl"\nCompression = "gzip"', []),
        ('Format = "jsonl"\nCompression = "gzip"\nFilePrefix = "x"', []),
        ('Format = "raw"\nIncludeMobileAppsFields = true', ["IncludeMobileAppsFields"]),
        ("StorageOnly = false", []),
        ("StorageOnly = true", []),
        ('[s3]\nBucket = "x"\nRegion = "y"', []),
        ('Provider = "gcp"\n[gcs]\nBucket = "x"\nEndpoint = "https://h"', []),
        ('Provider = "gcp"\n[gcs]\nEndpoint = "https://h"', ["gcs.Endpoint"]),
        ('Provider = "aws"\n[redshift]\nSslMode = "disable"\nSslRootCert = "x"', ["redshift.SslRootCert"]),
        ('Provider = "aws"\n[redshift]\nPassword = "p"\nWorkgroup = "w"', ["redshift.Password"]),
        ('Provider = "aws"\n[redshift]\nUser = "u"\nWorkgroup = "w"', ["redshift.User"]),
        ('Provider = "aws"\n[redshift]\nUser = "u"\nClusterIdentifier = "c"', []),
        ('Provider = "aws"\n[redshift]\nPassword = "p"', []),
    ],
)  # fmt: skip
def test_a_key_without_effect_is_warned_about_once(read: Read, text: str, idle: list[str]) -> None:
    warnings = read(text).warnings
    assert all("has no effect" in w for w in warnings)
    assert len(warnings) == len(idle)
    for warning, name in zip(warnings, idle, strict=True):
        assert warning.startswith(name)


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        ('[s3]\nBucket = "x"\nRegion = "y"', ["[s3]"]),
        ("StorageOnly = false", ["StorageOnly = false"]),
        ('Provider = "aws"\n[local]\nSaveDir = "x"', ["[local]"]),
        ('Provider = "aws"\n[s3]\nBucket = "x"\n[redshift]\nHost = "y"', []),
        ('Provider = "aws"\nStorageOnly = true\n[redshift]\nHost = "y"', ["[redshift]"]),
        ('Provider = "gcp"\nStorageOnly = true\n[bigquery]\nProject = "y"', ["[bigquery]"]),
        ('[s3]\nBucket = "x"\n[gcs]\n[bigquery]\nProject = "x"', ["[s3]", "[bigquery]"]),
    ],
)
def test_a_section_without_effect_is_noted_once(read: Read, text: str, idle: list[str]) -> None:
    settings = read(text)
    notes = [note for note in settings.notes if "has no effect" in note]
    assert not settings.warnings
    assert len(notes) == len(idle)
    for note, name in zip(notes, idle, strict=True):
        assert note.startswith(name)


def test_a_url_of_the_other_generation_is_warned_about(read: Read) -> None:
    bundles = read('ExportApi = "bundles"\nApiURL = "https://api.fullstory.com"')
    assert "Add /api/v1" in bundles.warnings[0]
    segments = read('ExportApi = "segments"\nApiURL = "https://export.fullstory.com/api/v1"')
    assert 'ExportApi = "bundles"' in segments.warnings[0]


@pytest.mark.parametrize(("endpoint", "count"), [("http://minio:9000", 1), ("http://[::1]:9", 0)])
def test_an_endpoint_in_the_clear_is_warned_about(read: Read, endpoint: str, count: int) -> None:
    settings = read(f'Provider = "aws"\n[s3]\nEndpoint = "{endpoint}"')
    assert len([w for w in settings.warnings if "in the clear" in w]) == count
    idle = read(f'[s3]\nEndpoint = "{endpoint}"')
    assert not [w for w in idle.warnings if "in the clear" in w]


def test_why_a_section_is_idle_is_told(read: Read) -> None:
    text = '\n[redshift]\nHost = "x"'
    local = read('Provider = "local"\nStorageOnly = true' + text).notes[-1]
    assert local.endswith('has no effect with Provider = "local".')
    files = read('Provider = "aws"\nStorageOnly = true' + text).notes[-1]
    assert files.endswith('has no effect with Provider = "aws" and StorageOnly = true.')
    gcp = read('Provider = "gcp"' + text).notes[-1]
    assert gcp.endswith('has no effect with Provider = "gcp".')


@pytest.mark.parametrize("token", [None, Secret("")])
def test_a_token_that_is_missing_is_asked_for_by_both_its_names(token: Secret | None) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(fs_api_token=token).require_token()
    assert "FULLSTORY_API_TOKEN" in str(caught.value)
    assert "FsApiToken" in str(caught.value)


@pytest.mark.parametrize("token", ["<your FullStory API token>", "a b", "a\nb", "ü", "a\x7f"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(fs_api_token=Secret(token)).require_token()
    assert token not in str(caught.value)


def test_a_token_is_given() -> None:
    assert Settings(fs_api_token=Secret("na1.x/y+z==")).require_token().reveal() == "na1.x/y+z=="


REDSHIFT = """
Provider = "aws"
[s3]
Bucket = "bucket/path"
[redshift]
Host = "h"
DB = "d"
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        'Provider = "aws"\nStorageOnly = true\n[s3]\nBucket = "my-bucket/a/b"',
        'Provider = "gcp"\nStorageOnly = true\n[gcs]\nBucket = "my_bucket"',
        'Provider = "gcp"\n[bigquery]\nProject = "example.com:my-project"\nDataset = "d_1"',
        REDSHIFT + 'User = "u"\nPassword = "p"\nIamRole = "default"',
        REDSHIFT + 'User = "u"\nPassword = "p"\nCredentials = "aws_iam_role=arn:aws:iam::1:role/x"',
        REDSHIFT + 'User = "u"\nClusterIdentifier = "c"\nIamRole = "arn:aws:iam::123456789012:role/a/b"',
        REDSHIFT + 'Workgroup = "w"\nIamRole = "arn:aws-cn:iam::123456789012:role/b"',
    ],
)  # fmt: skip
def test_a_whole_destination_is_accepted(read: Read, text: str) -> None:
    read(text).require_destination()


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ('[local]\nSaveDir = "<folder>"', ["local.SaveDir is still the example's placeholder"]),
        ('Provider = "aws"\nStorageOnly = true', ["s3.Bucket is missing"]),
        (
            'Provider = "aws"',
            ["s3.Bucket", "redshift.Host", "redshift.DB", "redshift.User", "redshift.Password",
             "redshift.IamRole (or Credentials)"],
        ),
        (REDSHIFT + 'Workgroup = "w"', ["redshift.IamRole (or Credentials) is missing"]),
        (REDSHIFT + 'ClusterIdentifier = "c"', ["redshift.User is missing", "redshift.IamRole"]),
        (REDSHIFT + 'Workgroup = "w"\nIamRole = "x"', ["redshift.IamRole is not a role's ARN"]),
        (
            REDSHIFT + 'User = "u"\nPassword = "<password>"\nCredentials = "arn:<...>"',
            ["redshift.Password is still", "redshift.Credentials is still"],
        ),
        ('Provider = "gcp"\nStorageOnly = true', ["gcs.Bucket is missing"]),
        ('Provider = "gcp"', ["bigquery.Project is missing", "bigquery.Dataset is missing"]),
        (
            'Provider = "gcp"\n[bigquery]\nProject = "<your project>"\nDataset = "a-b"',
            ["bigquery.Project is still", "bigquery.Dataset is not letters, digits and _"],
        ),
        (
            'Provider = "aws"\nStorageOnly = true\n[s3]\nBucket = "s3://x"',
            ["s3.Bucket is a bucket's name, without s3://"],
        ),
        (
            'Provider = "aws"\nStorageOnly = true\n[s3]\nBucket = "bucket/../x"',
            ["s3.Bucket has .. in its path"],
        ),
        ('Provider = "aws"\nStorageOnly = true\n[s3]\nBucket = "a b"', ["s3.Bucket is not"]),
        ('Provider = "aws"\nStorageOnly = true\n[s3]\nBucket = "<your bucket>/x"', ["placeholder"]),
    ],
)  # fmt: skip
def test_what_a_destination_lacks_is_named_all_at_once(
    read: Read, text: str, lacks: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text).require_destination()
    for one in lacks:
        assert one in caught.value.reason
    assert caught.value.reason.count(";") == len(lacks) - 1
    provider = "local" if "[local]" in text else "aws" if '"aws"' in text else "gcp"
    only = {"local": ""}.get(
        provider, f" and StorageOnly = {'true' if 'StorageOnly' in text else 'false'}"
    )
    assert caught.value.reason.startswith(f'Provider = "{provider}"{only}: ')
    assert "hauserpy config show" in caught.value.instruction


def test_what_a_destination_lacks_never_names_a_secret() -> None:
    settings = Settings()
    broken = replace(
        settings,
        provider=Provider.AWS,
        redshift=replace(settings.redshift, password=Secret("<hunter2>"), iam_role="hunter2"),
    )
    with pytest.raises(ConfigError) as caught:
        broken.require_destination()
    assert "hunter2" not in str(caught.value)
