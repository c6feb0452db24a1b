"""Fixtures of the destinations' tests."""

from tests.destinations.bigquery_world import bq
from tests.destinations.object_backing import aws_environment
from tests.destinations.redshift_world import together, world
from tests.standins.bigquery.fixtures import bigquery, bigquery_server, dataset
from tests.standins.fixtures import certificate, postgres, redshift
from tests.standins.gcs import gcs_standin
from tests.standins.s3 import s3_standin

__all__ = [
    "aws_environment",
    "bigquery",
    "bigquery_server",
    "bq",
    "certificate",
    "dataset",
    "gcs_standin",
    "postgres",
    "redshift",
    "s3_standin",
    "together",
    "world",
]
