"""When a key has an effect: with which API, provider or format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hauserpy.config.sections import ExportApi, Provider
from hauserpy.config.settings import Settings
from hauserpy.layout import StageFormat


@dataclass(frozen=True, slots=True)
class Scope:
    """``without`` ends the sentence "… has no effect …"."""

    holds: Callable[[Settings], bool]
    without: Callable[[Settings], str]


def _with_api(settings: Settings) -> str:
    return f'with ExportApi = "{settings.export_api}"'


def _with_provider(settings: Settings) -> str:
    return f'with Provider = "{settings.provider}"'


def _with_storage(settings: Settings) -> str:
    both = settings.storage_only and settings.provider is not Provider.LOCAL
    return _with_provider(settings) + (" and StorageOnly = true" if both else "")


ALWAYS = Scope(lambda _: True, lambda _: "")
SEGMENTS = Scope(lambda s: s.export_api is ExportApi.SEGMENTS, _with_api)
FILES = Scope(
    lambda s: s.keeps_files,
    lambda s: _with_provider(s) + " and StorageOnly = false: a warehouse is loaded in its own way",
)
COLUMNS = Scope(
    lambda s: not s.keeps_files or s.format is not StageFormat.RAW,
    lambda _: 'with Format = "raw", which keeps everything as it is served',
)
LOCAL = Scope(lambda s: s.provider is Provider.LOCAL, _with_provider)
AWS = Scope(lambda s: s.provider is Provider.AWS, _with_provider)
GCP = Scope(lambda s: s.provider is Provider.GCP, _with_provider)
REDSHIFT = Scope(lambda s: s.provider is Provider.AWS and not s.storage_only, _with_storage)
BIGQUERY = Scope(lambda s: s.provider is Provider.GCP and not s.storage_only, _with_storage)
GCS_BUCKET = Scope(
    lambda s: s.storage_only or bool(s.gcs.bucket),
    lambda _: "without a Bucket: rows go to BigQuery directly",
)
TLS = Scope(
    lambda s: s.redshift.ssl_mode not in {"disable", "allow", "prefer"},
    lambda s: f'with SslMode = "{s.redshift.ssl_mode}"',
)
USER = Scope(
    lambda s: not s.redshift.workgroup or bool(s.redshift.cluster_identifier),
    lambda _: "with Workgroup: Serverless makes the user of the IAM identity, as IAMR:<role>",
)
PASSWORD = Scope(
    lambda s: not (s.redshift.cluster_identifier or s.redshift.workgroup),
    lambda _: "with ClusterIdentifier or Workgroup: they give temporary credentials",
)

SECTIONS = {"local": LOCAL, "s3": AWS, "redshift": REDSHIFT, "gcs": GCP, "bigquery": BIGQUERY}
