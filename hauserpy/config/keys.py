"""The table of every key: its name, section, kind, meaning, and when it has an effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from hauserpy.config import kinds, names, scopes
from hauserpy.config.kinds import Kind
from hauserpy.config.scopes import ALWAYS, Scope
from hauserpy.config.sections import ExportApi, Provider
from hauserpy.config.settings import Settings
from hauserpy.config.urls import api_url, endpoint
from hauserpy.layout import Compression, StageFormat

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the configuration, hauser's or ours.

    ``attribute`` is its name in `Settings`, empty for keys that only stand for another;
    ``instead`` names the key that took the place of a deprecated one.
    """

    name: str
    kind: Kind
    doc: str
    section: str = ""
    attribute: str = ""
    scope: Scope = ALWAYS
    instead: str = ""

    @property
    def full(self) -> str:
        """``CheckInterval``, ``redshift.Host``: how messages and ``config show`` call it."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        """``HAUSERPY_CHECKINTERVAL``, ``HAUSERPY_REDSHIFT__HOST``."""
        return f"HAUSERPY_{self.full.replace('.', '__').upper()}"

    def of(self, settings: Settings) -> Any:
        """Its value in ``settings``."""
        owner = getattr(settings, self.section) if self.section else settings
        return getattr(owner, self.attribute)


def _timeout(span: timedelta) -> bool:
    # A socket takes no time-out of 25 days or more.
    return timedelta(0) < span <= 7 * DAY


def _pause(span: timedelta) -> bool:
    return timedelta(0) <= span <= 7 * DAY


def _cuts_a_day(span: timedelta) -> bool:
    return HOUR / 4 <= span <= DAY and DAY % span == timedelta(0)


TIMEOUT = kinds.duration('a duration such as "30s" or "1h30m", more than 0, up to "168h"', _timeout)
PAUSE = kinds.duration('a duration such as "30s" or "1h30m", from 0 to "168h"', _pause)
INTERVAL = kinds.duration(
    'a duration such as "30s" or "1h30m", more than 0, up to "8760h"',
    lambda span: timedelta(0) < span <= 365 * DAY,
)
EXPIRY = kinds.duration(
    'a duration such as "720h", not negative; 0 is for ever', lambda span: span >= timedelta(0)
)
EXPORT_DURATION = kinds.duration(
    'a duration from "15m" to "24h" that divides 24 hours, such as "15m", "1h", "6h"',
    _cuts_a_day,
    zero_is_default=True,
)
EXPORT_DELAY = kinds.duration(
    'a duration of at least "1h"', lambda span: span >= HOUR, zero_is_default=True
)
REDSHIFT_TABLE = kinds.text(
    names.redshift_name, names.REDSHIFT_NAME.format(limit=127), default=True
)
REDSHIFT_STEM = kinds.text(
    partial(names.redshift_name, limit=127 - names.LONGEST_SUFFIX),
    names.REDSHIFT_NAME.format(limit=127 - names.LONGEST_SUFFIX),
    default=True,
)
BIGQUERY_TABLE = kinds.text(
    names.bigquery_table, names.BIGQUERY_TABLE.format(limit=1024), default=True
)
BIGQUERY_STEM = kinds.text(
    partial(names.bigquery_table, limit=1024 - names.LONGEST_SUFFIX),
    names.BIGQUERY_TABLE.format(limit=1024 - names.LONGEST_SUFFIX),
    default=True,
)
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
WAREHOUSES = {"local": Provider.LOCAL, "redshift": Provider.AWS, "bigquery": Provider.GCP}

API = (
    Key("FsApiToken", kinds.secret(spaces=False), "The API key. FULLSTORY_API_TOKEN sets it too.", attribute="fs_api_token"),
    Key("ExportApi", kinds.choice(ExportApi, empty=True), "The API's generation.", attribute="export_api"),
    Key("ApiURL", api_url(), "Where the API is; the default goes with ExportApi.", attribute="api_url"),
    Key("AdditionalHttpHeader", kinds.headers(), "Extra headers for each request to the API.", attribute="additional_http_header"),
    Key("Backoff", PAUSE, "The first pause after a failed request; it doubles, with full jitter.", attribute="backoff"),
    Key("BackoffStepsMax", kinds.whole(0, 100), "How often a request is tried, in all.", attribute="backoff_steps_max"),
    Key("CheckInterval", INTERVAL, "How often `sync --watch` asks for new bundles.", attribute="check_interval"),
    Key("StartTime", kinds.moment(), "Where to begin: what ends before this is not synced.", attribute="start_time"),
    Key("SegmentId", kinds.text(default=True), "The segment to export.", attribute="segment_id", scope=scopes.SEGMENTS),
    Key("ExportDuration", EXPORT_DURATION, "The length of one export's window.", attribute="export_duration", scope=scopes.SEGMENTS),
    Key("ExportDelay", EXPORT_DELAY, "How old events must be before they are exported.", attribute="export_delay", scope=scopes.SEGMENTS),
    Key("IncludeMobileAppsFields", kinds.flag(), "Whether the fields of mobile apps get columns.", attribute="include_mobile_apps_fields", scope=scopes.COLUMNS),
    Key("ConnectTimeout", TIMEOUT, "The longest wait for a connection.", attribute="connect_timeout"),
    Key("ReadTimeout", TIMEOUT, "The longest silence within an answer.", attribute="read_timeout"),
    Key("BundleTimeout", TIMEOUT, "The longest that one download may take.", attribute="bundle_timeout"),
    Key("RetryAfterMax", PAUSE, "The longest Retry-After that is waited out.", attribute="retry_after_max"),
    Key("PollTimeout", TIMEOUT, "The longest wait for one export to be made.", attribute="poll_timeout", scope=scopes.SEGMENTS),
)  # fmt: skip

FILES = (
    Key("Format", kinds.choice(StageFormat, empty=True), "The format of files and objects.", attribute="format", scope=scopes.FILES),
    Key("Compression", kinds.choice(Compression, empty=True), "Of files and objects.", attribute="compression", scope=scopes.FILES),
    Key("SaveAsJson", kinds.flag(), 'hauser\'s word for Format = "raw".'),
    Key("FilePrefix", kinds.text(names.file_prefix, "a string without .., that begins with no slash"), "What file names begin with.", attribute="file_prefix"),
    Key("TmpDir", kinds.path(), "Where downloads and parts wait.", attribute="tmp_dir"),
    Key("MaxRecordBytes", kinds.whole(1024, 2**30), "The largest record that is accepted, in bytes.", attribute="max_record_bytes"),
)  # fmt: skip

RUN = (
    Key("Provider", kinds.choice(Provider, empty=True), "Where rows go.", attribute="provider"),
    Key("StorageOnly", kinds.flag(), "Files into S3 or GCS, and no warehouse.", attribute="storage_only"),
    Key("Workers", kinds.whole(1, 1024, all_word="all"), "How many processes transform.", attribute="workers"),
)  # fmt: skip

LOCAL = (
    Key("SaveDir", kinds.path(), "The folder of the files.", "local", "save_dir"),
    Key("StartTime", kinds.moment(), "hauser's older place for StartTime.", "local", "start_time", instead="StartTime"),
    Key("UseStartTime", kinds.flag(), "Plan from StartTime, not from the checkpoint.", "local", "use_start_time"),
)  # fmt: skip

S3 = (
    Key("Bucket", kinds.text(), "A bucket, and behind a slash a path in it.", "s3", "bucket"),
    Key("Region", kinds.text(names.place, "letters, digits and hyphens", default=True), "The bucket's region.", "s3", "region"),
    Key("Timeout", TIMEOUT, "The longest silence of S3 within a request.", "s3", "timeout"),
    Key("Endpoint", endpoint(), "A compatible store in place of S3.", "s3", "endpoint"),
)  # fmt: skip

REDSHIFT = (
    Key("Host", kinds.text(), "The cluster's or workgroup's host.", "redshift", "host"),
    Key("Port", kinds.whole(1, 65535, as_text=True), "Its port.", "redshift", "port"),
    Key("DB", kinds.text(), "The database.", "redshift", "db"),
    Key("User", kinds.text(), "Who logs in; with Workgroup, the IAM identity.", "redshift", "user", scope=scopes.USER),
    Key("Password", kinds.secret(), "The user's password.", "redshift", "password", scope=scopes.PASSWORD),
    Key("Credentials", kinds.secret(), "What COPY reads S3 with, as hauser has it.", "redshift", "credentials"),
    Key("IamRole", kinds.optional(), "What COPY reads S3 with: the role's ARN, or default.", "redshift", "iam_role"),
    Key("ClusterIdentifier", kinds.optional(), "Log in with temporary credentials of this cluster.", "redshift", "cluster_identifier"),
    Key("Workgroup", kinds.optional(), "Log in with temporary credentials of this serverless workgroup.", "redshift", "workgroup"),
    Key("SslMode", kinds.choice(SSL_MODES, empty=True), "libpq's sslmode.", "redshift", "ssl_mode"),
    Key("SslRootCert", kinds.path(optional=True), "The certificates that the server's is checked against.", "redshift", "ssl_root_cert", scope=scopes.TLS),
    Key("DatabaseSchema", REDSHIFT_TABLE, "A schema, or search_path.", "redshift", "database_schema"),
    Key("ExportTable", REDSHIFT_TABLE, "The table of the events.", "redshift", "export_table"),
    Key("SyncTable", REDSHIFT_STEM, "The table of the checkpoints, for one ExportTable alone.", "redshift", "sync_table"),
    Key("VarCharMax", kinds.whole(1, 65535), "The bytes of a VARCHAR column that is created.", "redshift", "var_char_max"),
    Key("CustomVarsType", kinds.choice(("varchar", "super"), empty=True), "The type of CustomVars in a new table.", "redshift", "custom_vars_type"),
)  # fmt: skip

GCS = (
    Key("Bucket", kinds.text(), "A bucket, and behind a slash a path in it.", "gcs", "bucket"),
    Key("Endpoint", endpoint(), "A stand-in for Google Cloud Storage.", "gcs", "endpoint", scope=scopes.GCS_BUCKET),
)  # fmt: skip

BIGQUERY = (
    Key("Project", kinds.text(), "The project.", "bigquery", "project"),
    Key("Dataset", kinds.text(), "The dataset.", "bigquery", "dataset"),
    Key("ExportTable", BIGQUERY_TABLE, "The table of the events.", "bigquery", "export_table"),
    Key("SyncTable", BIGQUERY_STEM, "The table of the checkpoints, for one ExportTable alone.", "bigquery", "sync_table"),
    Key("PartitionExpiration", EXPIRY, "How long a new table keeps a day.", "bigquery", "partition_expiration"),
    Key("Location", kinds.optional(names.place, "letters, digits and hyphens"), "Where jobs run.", "bigquery", "location"),
    Key("CredentialsFile", kinds.path(optional=True), "A service account's key.", "bigquery", "credentials_file"),
    Key("Impersonate", kinds.optional(), "The service account to act as.", "bigquery", "impersonate"),
    Key("Endpoint", endpoint(), "A stand-in for BigQuery.", "bigquery", "endpoint"),
    Key("CustomVarsType", kinds.choice(("string", "json"), empty=True), "The type of CustomVars in a new table.", "bigquery", "custom_vars_type"),
)  # fmt: skip

DEPRECATED = (
    Key("Warehouse", kinds.choice(tuple(WAREHOUSES), empty=True), "hauser's older word for Provider.", instead="Provider"),
    Key("ListExportLimit", kinds.whole(-(2**63), 2**63 - 1), "Without effect."),
    Key("ExportURL", api_url(), "hauser's older word for ApiURL.", instead="ApiURL"),
    Key("GroupFilesByDay", kinds.flag(), "hauser's older word for ExportDuration.", instead="ExportDuration"),
    Key("S3Only", kinds.flag(), "hauser's older word for StorageOnly.", "s3", instead="StorageOnly"),
    Key("GCSOnly", kinds.flag(), "hauser's older word for StorageOnly.", "gcs", instead="StorageOnly"),
)  # fmt: skip

KEYS = (*API, *FILES, *RUN, *LOCAL, *S3, *REDSHIFT, *GCS, *BIGQUERY, *DEPRECATED)
BY_NAME = {(key.section, key.name.lower()): key for key in KEYS}
