"""What a command cannot do without: a token, and a whole destination."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hauserpy.config.names import is_placeholder
from hauserpy.config.secret import Secret
from hauserpy.config.sections import (
    BigQuerySettings,
    GcsSettings,
    LocalSettings,
    Provider,
    RedshiftSettings,
    S3Settings,
)
from hauserpy.errors import ConfigError

_S3_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_GCS_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_HOST = re.compile(r"[^\s'\"\\]+")
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
_ROLES = re.compile(r"default|arn:aws[a-z-]*:iam::[0-9]{12}:role/[^\s',]+(?:,arn:aws[^\s',]+)*")


def check_token(token: Secret | None) -> Secret:
    """Raises ConfigError when there is none, or when no header could carry it."""
    remedy = (
        "Set the environment variable FULLSTORY_API_TOKEN, or FsApiToken in the configuration file."
    )
    if token is None or not token:
        raise ConfigError("there is no Fullstory API token.", remedy)
    if is_placeholder(token.reveal()):
        raise ConfigError("the Fullstory API token is still the example's placeholder.", remedy)
    if not re.fullmatch(r"[!-~]+", token.reveal()):
        raise ConfigError(
            "the Fullstory API token holds white space or characters that are not ASCII.",
            "Copy it again as it was issued. " + remedy,
        )
    return token


def check_destination(
    provider: Provider,
    *,
    storage_only: bool,
    local: LocalSettings,
    s3: S3Settings,
    redshift: RedshiftSettings,
    gcs: GcsSettings,
    bigquery: BigQuerySettings,
    tmp_dir: Path,
) -> None:
    """Raises ConfigError with everything that the chosen destination lacks, all at once."""
    problems: list[str] = []
    if provider is Provider.LOCAL:
        problems += _text("local.SaveDir", str(local.save_dir))
    elif provider is Provider.AWS:
        problems += _bucket("s3.Bucket", s3.bucket, _S3_BUCKET)
        if not storage_only:
            problems += _redshift(redshift)
    else:
        if storage_only or gcs.bucket:
            problems += _bucket("gcs.Bucket", gcs.bucket, _GCS_BUCKET)
        if not storage_only:
            problems += _text("bigquery.Project", bigquery.project, _PROJECT, "a project's id")
            problems += _text(
                "bigquery.Dataset", bigquery.dataset, _DATASET, "letters, digits and _"
            )
    problems += _text("TmpDir", str(tmp_dir))
    if problems:
        stated = f'Provider = "{provider}"'
        if provider is not Provider.LOCAL:
            stated += f" and StorageOnly = {str(storage_only).lower()}"
        raise ConfigError(
            f"{stated}: {'; '.join(problems)}.",
            "Set that in the configuration file or by its variable; `hauserpy config show` tells"
            " what is set and where.",
        )


def _redshift(redshift: RedshiftSettings) -> Iterator[str]:
    yield from _text("redshift.Host", redshift.host, _HOST, "the name of a host")
    yield from _text("redshift.DB", redshift.db)
    temporary = redshift.cluster_identifier or redshift.workgroup
    # A serverless workgroup derives the user from the IAM identity.
    if redshift.user or not redshift.workgroup:
        yield from _text("redshift.User", redshift.user)
    if not redshift.password and not temporary:
        yield (
            "redshift.Password is missing (or ClusterIdentifier or Workgroup, for temporary"
            " credentials)"
        )
    elif redshift.password and not temporary:
        yield from _text("redshift.Password", redshift.password.reveal())
    if redshift.iam_role:
        yield from _text("redshift.IamRole", redshift.iam_role, _ROLES, "a role's ARN or default")
    elif redshift.credentials:
        yield from _text("redshift.Credentials", redshift.credentials.reveal())
    else:
        yield "redshift.IamRole (or Credentials) is missing: COPY reads S3 with it"


def _bucket(name: str, value: str, form: re.Pattern[str]) -> Iterator[str]:
    bucket, _, path = value.partition("/")
    if value.startswith(("s3://", "gs://")):
        yield f"{name} is a bucket's name, without s3:// or gs://"
    elif ".." in path.split("/"):
        yield f"{name} has .. in its path"
    elif value and not is_placeholder(value):
        yield from _text(name, bucket, form, "a bucket's name, and behind a slash a path in it")
    else:
        yield from _text(name, value)


def _text(
    name: str, value: str, form: re.Pattern[str] | None = None, allowed: str = ""
) -> Iterator[str]:
    """What is wrong with a text that must be there. Its value is not repeated: it may be secret."""
    if not value:
        yield f"{name} is missing"
    elif is_placeholder(value):
        yield f"{name} is still the example's placeholder"
    elif form is not None and not form.fullmatch(value):
        yield f"{name} is not {allowed}"
