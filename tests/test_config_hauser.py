"""Configuration files written for the Go hauser work unchanged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hauserpy.config import ExportApi, Provider, Settings, load
from hauserpy.errors import ConfigError
from hauserpy.layout import StageFormat

Read = Callable[[str], Settings]

FIRST_GENERATION = """
# In the manner of hauser 0.x: every key, every section, placeholders left where they do no harm.
FsApiToken = "<your FullStory API token>"
Backoff = "30s"
BackoffStepsMax = 8
CheckInterval = "30m"
TmpDir = "/tmp"
ListExportLimit = 20
Warehouse="{warehouse}"
GroupFilesByDay = false
SaveAsJson = false
ExportURL = "https://export.eu1.fullstory.com/api/v1"

[s3]
Bucket = "my-bucket"
Region = "us-east-2"
Timeout = "5m"
S3Only = {only}

[redshift]
User = "<your user>"
Password = "<password>"
Host = "<redshift host details>.redshift.amazonaws.com"
Port = "5439"
DB = "dev"
ExportTable = "fsexport"
SyncTable   = "fssync"
Credentials = "aws_iam_role=arn:aws:iam::<...>"
VarCharMax = 65535
DatabaseSchema = "public"

[gcs]
Bucket = "<your bucket>"
GCSOnly = {only}

[bigquery]
Project = "<your project>"
Dataset = "<your dataset>"
ExportTable = "fs_export"
SyncTable = "fs_sync"
PartitionExpiration = "0"

[local]
SaveDir = "out"
StartTime = 2018-12-27T18:30:00Z
UseStartTime = true
"""

SECOND_GENERATION = """
Provider = "gcp"
FsApiToken = "t"
ExportDuration = "24h0m0s"
ExportDelay = "24h"
SegmentId = "everyone"
StorageOnly = false
StartTime = 2023-01-01T00:00:00Z
IncludeMobileAppsFields = true
AdditionalHttpHeader = [{Key = "X-A", Value = "b"}]
ApiURL = "https://api.fullstory.com"
FilePrefix = "hauser/"
[bigquery]
Project = "my-project"
Dataset = "fullstory"
ExportTable = "fs_export"
SyncTable = "fs_sync"
PartitionExpiration = 0
[gcs]
Bucket = "my-bucket"
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reading(text: str) -> Settings:
        path = tmp_path / "hauser.toml"
        path.touch(mode=0o600)
        path.write_text(text)
        return load(path, {})

    return reading


def test_a_file_of_hauser_0_loads_whole(read: Read) -> None:
    settings = read(FIRST_GENERATION.format(warehouse="local", only="true"))
    assert settings.export_api is ExportApi.BUNDLES
    assert settings.provider is Provider.LOCAL
    assert settings.storage_only is False
    assert settings.api_url == "https://export.eu1.fullstory.com/api/v1"
    assert settings.check_interval == timedelta(minutes=30)
    assert settings.start_time == datetime(2018, 12, 27, 18, 30, tzinfo=UTC)
    assert settings.local.start_time == settings.start_time
    assert settings.local.use_start_time is True
    assert settings.redshift.port == 5439
    assert settings.format is StageFormat.CSV
    settings.require_destination()


def test_a_file_of_hauser_1_loads_whole_and_without_a_warning(read: Read) -> None:
    settings = read(SECOND_GENERATION)
    assert settings.export_api is ExportApi.SEGMENTS
    assert settings.provider is Provider.GCP
    assert settings.export_duration == timedelta(hours=24)
    assert settings.bigquery.partition_expiration == timedelta(0)
    assert settings.warnings == ()
    settings.require_destination()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Warehouse", 'write Provider = "local"'),
        ("s3.S3Only", "write StorageOnly"),
        ("gcs.GCSOnly", "write StorageOnly"),
        ("ListExportLimit", "nothing takes its place"),
        ("ExportURL", "write ApiURL"),
        ("GroupFilesByDay", "remove it"),
        ("local.StartTime", "write StartTime at the top"),
    ],
)
def test_each_deprecated_key_is_warned_about_with_the_new_one(
    read: Read, old: str, new: str
) -> None:
    told = read(FIRST_GENERATION.format(warehouse="local", only="true")).deprecated
    about = [w for w in told if w.startswith(f"{old} (file ") and "is deprecated" in w]
    assert len(about) == 1
    assert new in about[0]


@pytest.mark.parametrize(
    ("warehouse", "provider"),
    [("local", Provider.LOCAL), ("redshift", Provider.AWS), ("bigquery", Provider.GCP)],
)
@pytest.mark.parametrize("only", ["true", "false"])
def test_warehouse_and_the_only_keys_choose_the_destination(
    read: Read, warehouse: str, provider: Provider, only: str
) -> None:
    settings = read(FIRST_GENERATION.format(warehouse=warehouse, only=only))
    assert settings.provider is provider
    assert settings.storage_only is (only == "true" and provider is not Provider.LOCAL)
    assert settings.keeps_files is (only == "true" or provider is Provider.LOCAL)
    assert settings.origins["Provider"].endswith("hauser.toml (Warehouse)")


def test_one_provider_s_only_key_does_not_speak_for_the_other(read: Read) -> None:
    text = 'Provider = "aws"\n[s3]\nS3Only = false\n[gcs]\nGCSOnly = true'
    assert read(text).storage_only is False


def test_storage_only_and_s3only_either_is_enough(read: Read) -> None:
    settings = read('Provider = "aws"\nStorageOnly = false\n[s3]\nS3Only = true')
    assert settings.storage_only is True


def test_provider_goes_over_warehouse_and_says_so(read: Read) -> None:
    settings = read('Provider = "gcp"\nWarehouse = "redshift"')
    assert settings.provider is Provider.GCP
    assert [w for w in settings.warnings if "Warehouse" in w and "is ignored" in w]


def test_group_files_by_day_is_a_day_long_export(read: Read) -> None:
    (told,) = read('ExportApi = "bundles"\nGroupFilesByDay = true').warnings
    assert "each bundle is one file" in told and "ExportDuration" not in told, "the other API's key"
    settings = read('ExportApi = "segments"\nGroupFilesByDay = true')
    assert settings.export_duration == timedelta(hours=24)
    stated = read('ExportApi = "segments"\nGroupFilesByDay = true\nExportDuration = "6h"')
    assert stated.export_duration == timedelta(hours=6)
    zero = read('ExportApi = "segments"\nGroupFilesByDay = true\nExportDuration = "0"')
    assert zero.export_duration == timedelta(hours=24)
    assert read('ExportApi = "segments"\nGroupFilesByDay = false').export_duration == timedelta(
        hours=1
    )


def test_group_files_by_day_alone_is_no_sign_of_segments(read: Read) -> None:
    settings = read("GroupFilesByDay = true")
    assert settings.export_api is ExportApi.BUNDLES
    assert [w for w in settings.warnings if "GroupFilesByDay" in w and "no effect" in w]


def test_export_url_is_for_bundles(read: Read) -> None:
    url = "https://export.example.com/api/v1"
    assert read(f'ExportURL = "{url}"').api_url == url
    segments = read(f'ExportURL = "{url}"\nExportApi = "segments"')
    assert segments.api_url == "https://api.fullstory.com"
    both = read(f'ExportURL = "{url}"\nApiURL = "https://other.example.com/api/v1"')
    assert both.api_url == "https://other.example.com/api/v1"
    assert [w for w in both.warnings if "ExportURL" in w and "is ignored" in w]


def test_the_older_start_time_yields_to_the_new_one(read: Read) -> None:
    old = "[local]\nStartTime = 2020-01-01T00:00:00Z"
    assert read(old).start_time == datetime(2020, 1, 1, tzinfo=UTC)
    assert read('StartTime = ""\n' + old).start_time == datetime(2020, 1, 1, tzinfo=UTC)
    new = read("StartTime = 2021-01-01T00:00:00Z\n" + old)
    assert new.start_time == datetime(2021, 1, 1, tzinfo=UTC)


def test_the_older_start_time_waits_for_use_start_time_as_in_hauser(read: Read) -> None:
    settings = read("[local]\nStartTime = 2020-01-01T00:00:00Z\nUseStartTime = false")
    assert settings.start_time is None
    assert [w for w in settings.warnings if "no effect with UseStartTime = false" in w]


@pytest.mark.parametrize(("provider", "plans"), [("local", True), ("aws", False), ("gcp", False)])
def test_use_start_time_is_of_local_files_only(read: Read, provider: str, plans: bool) -> None:
    # hauser's own example sets it, whatever the provider.
    given = f'Provider = "{provider}"\nStorageOnly = true\nStartTime = 2026-01-01T00:00:00Z\n'
    assert read(given + "[local]\nUseStartTime = true").plans_from_start == plans


def test_save_as_json_means_raw(read: Read) -> None:
    assert read("SaveAsJson = true").format is StageFormat.RAW
    assert read('SaveAsJson = true\nFormat = "raw"').format is StageFormat.RAW
    assert read('SaveAsJson = false\nFormat = "jsonl"').format is StageFormat.JSONL


def test_save_as_json_and_another_format_contradict(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"SaveAsJson = true .* contradict"):
        read('SaveAsJson = true\nFormat = "csv"')


OPEN_SECTIONS = """
Warehouse = "{warehouse}"
[s3]
Bucket = "<your bucket>"
Region = "<your region>"
S3Only = {only}
[redshift]
Host = "<cluster>.redshift.amazonaws.com"
Port = ""
ExportTable = "<your export table>"
SyncTable = ""
DatabaseSchema = "<your schema>"
[gcs]
Bucket = "<your bucket>"
[bigquery]
Project = "<your project>"
Dataset = "<your dataset>"
ExportTable = "<your export table>"
SyncTable = "<your sync table>"
"""
"""As the examples of hauser are: its users fill in what they use, and leave the rest."""


def test_what_was_left_open_in_sections_that_nobody_uses_is_no_error(read: Read) -> None:
    settings = read(OPEN_SECTIONS.format(warehouse="local", only="false"))
    assert settings.redshift.port == 5439
    assert settings.redshift.export_table == "fsexport"
    assert settings.bigquery.export_table == "fs_export"
    assert settings.s3.region == ""


@pytest.mark.parametrize(
    ("warehouse", "only", "key"),
    [
        ("redshift", "true", 's3.Region = "<your region>"'),
        ("redshift", "false", 's3.Region = "<your region>"'),
        ("bigquery", "false", 'bigquery.ExportTable = "<your export table>"'),
    ],
)
def test_what_was_left_open_in_a_section_that_is_used_is_refused(
    read: Read, warehouse: str, only: str, key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(OPEN_SECTIONS.format(warehouse=warehouse, only=only))
    assert key in str(caught.value)


def test_a_warehouse_left_open_does_not_stand_in_the_way_of_its_bucket(read: Read) -> None:
    text = OPEN_SECTIONS.format(warehouse="redshift", only="true")
    settings = read(text.replace("<your region>", "eu-west-1").replace("<your bucket>", "b-1"))
    settings.require_destination()
    with pytest.raises(ConfigError, match=r"redshift\.Port"):
        read(text.replace("<your region>", "eu-west-1").replace("S3Only = true", "S3Only = false"))


@pytest.mark.parametrize("line", ['[s3]\nS3Only = ""', '[local]\nStartTime = "<when>"'])
def test_an_older_key_that_stands_for_another_is_refused_at_once(read: Read, line: str) -> None:
    with pytest.raises(ConfigError, match="is refused"):
        read(line)


@pytest.mark.parametrize(
    ("text", "api", "is_default"),
    [
        ("", ExportApi.BUNDLES, True),
        ('Provider = "local"\nFilePrefix = "x"', ExportApi.BUNDLES, True),
        ('Warehouse = "local"', ExportApi.BUNDLES, False),
        ("ListExportLimit = 20", ExportApi.BUNDLES, False),
        ('ApiURL = "https://export.fullstory.com/api/v1"', ExportApi.BUNDLES, False),
        ('ExportApi = "bundles"', ExportApi.BUNDLES, False),
        ('ApiURL = "https://api.fullstory.com"', ExportApi.SEGMENTS, False),
        ('ApiURL = "https://api.eu1.fullstory.com/"', ExportApi.SEGMENTS, False),
        ('ApiURL = ""', ExportApi.BUNDLES, True),
        ('ApiURL = "https://gateway.example"\nWarehouse = "local"', ExportApi.BUNDLES, False),
    ],
)
def test_the_generation_is_inferred_from_what_only_one_of_them_has(
    read: Read, text: str, api: ExportApi, is_default: bool
) -> None:
    settings = read(text)
    assert (settings.export_api, settings.api_is_default) == (api, is_default)
    inferred = 'ExportApi is "segments", inferred from ApiURL'
    told = [note for note in settings.notes if note.startswith(inferred)]
    assert len(told) == (api is ExportApi.SEGMENTS)
