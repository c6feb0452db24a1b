"""Who logs in: a user with a password, or temporary credentials through the AWS SDK.

Temporary credentials are asked for anew for each connection, since they last for an hour at most
(Amazon Redshift API Reference, "GetClusterCredentials"; Redshift Serverless API Reference,
"GetCredentials").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hauserpy.config import Settings
from hauserpy.config.secret import Secret
from hauserpy.destinations import aws

_SECONDS = 3600
_DENIED = (
    "Check the AWS credentials that hauserpy runs with, and that their policy allows {action} on this"
    " user and database."
)
_HOST = re.compile(r"\.([a-z0-9-]+)\.redshift(?:-serverless)?\.amazonaws\.com", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: Secret


def login(settings: Settings) -> Login:
    """Raises AccessDenied, ConfigError or DestinationUnavailable."""
    redshift = settings.redshift
    if redshift.cluster_identifier:
        return _of_cluster(settings, redshift.cluster_identifier)
    if redshift.workgroup:
        return _of_workgroup(settings, redshift.workgroup)
    return Login(redshift.user, redshift.password or Secret(""))


def _of_cluster(settings: Settings, cluster: str) -> Login:
    import boto3

    with aws.explained(
        f"temporary credentials for cluster {cluster} cannot be had",
        denied=_DENIED.format(action="redshift:GetClusterCredentials"),
    ):
        client = boto3.client("redshift", region_name=_region(settings))
        got = client.get_cluster_credentials(
            ClusterIdentifier=cluster,
            DbUser=settings.redshift.user,
            DbName=settings.redshift.db,
            DurationSeconds=_SECONDS,
            AutoCreate=False,
        )
    return Login(got["DbUser"], Secret(got["DbPassword"]))


def _of_workgroup(settings: Settings, workgroup: str) -> Login:
    import boto3

    with aws.explained(
        f"temporary credentials for workgroup {workgroup} cannot be had",
        denied=_DENIED.format(action="redshift-serverless:GetCredentials"),
    ):
        client = boto3.client("redshift-serverless", region_name=_region(settings))
        got = client.get_credentials(
            workgroupName=workgroup, dbName=settings.redshift.db, durationSeconds=_SECONDS
        )
    return Login(got["dbUser"], Secret(got["dbPassword"]))


def _region(settings: Settings) -> str | None:
    """The cluster's own, which its host names; the bucket's may be another."""
    found = _HOST.search(settings.redshift.host)
    return found.group(1) if found else aws.region(settings)
