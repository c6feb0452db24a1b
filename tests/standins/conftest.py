"""Fixtures of the stand-ins' own tests."""

from tests.standins.bigquery.fixtures import bigquery, bigquery_server, dataset
from tests.standins.fixtures import certificate, postgres, redshift
from tests.standins.s3 import s3_standin

__all__ = [
    "bigquery",
    "bigquery_server",
    "certificate",
    "dataset",
    "postgres",
    "redshift",
    "s3_standin",
]
