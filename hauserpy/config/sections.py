"""The parts of the settings: the words that choose, and one frozen dataclass a section."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from hauserpy.config.secret import Secret


class ExportApi(StrEnum):
    BUNDLES = "bundles"
    """Generation 1, Data Export: the account's own bundles."""
    SEGMENTS = "segments"
    """Generation 2, Segment Export: windows that we ask for."""


class Provider(StrEnum):
    LOCAL = "local"
    AWS = "aws"
    GCP = "gcp"


@dataclass(frozen=True, slots=True)
class Header:
    """An extra header for each request to the export API; its value may be a proxy's password."""

    key: str
    value: Secret


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """``[local]``: files in a folder."""

    save_dir: Path = Path("data")
    start_time: datetime | None = None
    use_start_time: bool = False


@dataclass(frozen=True, slots=True)
class S3Settings:
    """``[s3]``: where files go with ``StorageOnly``, and where parts wait for Redshift's COPY."""

    bucket: str = ""
    """The bucket's name, and behind a slash a path in it."""
    region: str = ""
    """Empty: what the AWS SDK finds."""
    timeout: timedelta = timedelta(minutes=5)
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class RedshiftSettings:
    """``[redshift]``."""

    host: str = ""
    port: int = 5439
    db: str = ""
    user: str = ""
    password: Secret | None = None
    credentials: Secret | None = None
    iam_role: str | None = None
    cluster_identifier: str | None = None
    workgroup: str | None = None
    ssl_mode: str = "require"
    ssl_root_cert: Path | None = None
    database_schema: str = "search_path"
    """A schema, or ``search_path``: where the connection's own search path leads."""
    export_table: str = "fsexport"
    sync_table: str = "fssync"
    var_char_max: int = 65535
    custom_vars_type: str = "varchar"


@dataclass(frozen=True, slots=True)
class GcsSettings:
    """``[gcs]``: where files go with ``StorageOnly``; with BigQuery optional."""

    bucket: str = ""
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class BigQuerySettings:
    """``[bigquery]``."""

    project: str = ""
    dataset: str = ""
    export_table: str = "fs_export"
    sync_table: str = "fs_sync"
    partition_expiration: timedelta = timedelta(0)
    """Zero: partitions do not expire."""
    location: str | None = None
    credentials_file: Path | None = None
    impersonate: str | None = None
    endpoint: str | None = None
    custom_vars_type: str = "string"


def split_bucket(text: str) -> tuple[str, str]:
    """The bucket's name, and the path in it with a slash at its end (or nothing), as keys have it.

    hauser lets ``Bucket`` hold a path: ``my-bucket/events`` → ``("my-bucket", "events/")``.
    """
    bucket, _, path = text.partition("/")
    path = path.strip("/")
    return bucket, f"{path}/" if path else ""
