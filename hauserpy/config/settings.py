"""What a run is told to do: typed, frozen settings with their defaults, one attribute a key."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hauserpy.config.required import check_destination, check_token
from hauserpy.config.secret import Secret
from hauserpy.config.sections import (
    BigQuerySettings,
    ExportApi,
    GcsSettings,
    Header,
    LocalSettings,
    Provider,
    RedshiftSettings,
    S3Settings,
)
from hauserpy.layout import Compression, StageFormat

API_URLS: Mapping[ExportApi, str] = {
    ExportApi.BUNDLES: "https://export.fullstory.com/api/v1",
    ExportApi.SEGMENTS: "https://api.fullstory.com",
}


def available_cores() -> int:
    """The cores that this process may run on, which in a container are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def system_temp() -> Path:
    """The system's folder for temporary files, also where it cannot be written: whoever uses it
    says so then, and a run with a TmpDir of its own need not know."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.environ.get("TMPDIR") or Path(os.sep, "tmp"))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured; ``Settings()`` is a run with no file and no variables.

    `hauserpy.config.load` makes one from a file and the environment, checked; one made by hand is
    taken at its word. ``origins`` tells where each value came from, by the key's full name
    (``CheckInterval``, ``redshift.Host``); keys that are not in it have their default.
    """

    fs_api_token: Secret | None = None
    export_api: ExportApi = ExportApi.BUNDLES
    api_url: str = ""
    """Never empty in use: the default of ``export_api`` takes its place. No slash at the end."""
    additional_http_header: tuple[Header, ...] = ()
    backoff: timedelta = timedelta(seconds=30)
    backoff_steps_max: int = 8
    check_interval: timedelta = timedelta(minutes=30)
    start_time: datetime | None = None
    """Aware and in UTC; None: all that is offered (bundles), 30 days back (segments)."""
    segment_id: str = "everyone"
    export_duration: timedelta = timedelta(hours=1)
    export_delay: timedelta = timedelta(hours=24)
    include_mobile_apps_fields: bool = False
    connect_timeout: timedelta = timedelta(seconds=10)
    read_timeout: timedelta = timedelta(seconds=60)
    """The longest silence within an answer."""
    bundle_timeout: timedelta = timedelta(hours=2)
    """The longest that one download may take."""
    retry_after_max: timedelta = timedelta(minutes=15)
    poll_timeout: timedelta = timedelta(hours=6)
    """The longest wait for one export to be made ready (segments)."""

    format: StageFormat = StageFormat.CSV
    compression: Compression = Compression.NONE
    file_prefix: str = ""
    tmp_dir: Path = field(default_factory=system_temp)
    max_record_bytes: int = 16 * 1024 * 1024

    provider: Provider = Provider.LOCAL
    storage_only: bool = False
    workers: int = field(default_factory=available_cores)

    local: LocalSettings = field(default_factory=LocalSettings)
    s3: S3Settings = field(default_factory=S3Settings)
    redshift: RedshiftSettings = field(default_factory=RedshiftSettings)
    gcs: GcsSettings = field(default_factory=GcsSettings)
    bigquery: BigQuerySettings = field(default_factory=BigQuerySettings)

    path: Path | None = field(default=None, compare=False)
    """The file that was read."""
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    api_is_default: bool = field(default=False, compare=False, repr=False)
    """Nothing that was given tells of which generation the export API is."""
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """What was inferred, one sentence each: for the log."""
    warnings: tuple[str, ...] = field(default=(), compare=False, repr=False)
    deprecated: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Warnings about keys that still do what they say, and have a newer name."""

    def __post_init__(self) -> None:
        if not self.api_url:
            object.__setattr__(self, "api_url", API_URLS[self.export_api])

    @property
    def keeps_files(self) -> bool:
        """Whether the destination is files or objects rather than a warehouse's tables."""
        return self.provider is Provider.LOCAL or self.storage_only

    @property
    def plans_from_start(self) -> bool:
        """Whether sync plans from StartTime although there is a checkpoint: a key of [local], which
        has no effect on other destinations."""
        return self.provider is Provider.LOCAL and self.local.use_start_time

    def require_token(self) -> Secret:
        """The API token. Raises ConfigError when there is none, or what is there cannot be one."""
        return check_token(self.fs_api_token)

    def require_destination(self) -> None:
        """Raises ConfigError that names what the chosen destination still lacks: a bucket, a host,
        credentials; or what is still an example's placeholder (``<your bucket>``)."""
        check_destination(
            self.provider,
            storage_only=self.storage_only,
            local=self.local,
            s3=self.s3,
            redshift=self.redshift,
            gcs=self.gcs,
            bigquery=self.bigquery,
            tmp_dir=self.tmp_dir,
        )
