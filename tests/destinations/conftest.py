"""Fixtures of the destinations' tests."""

from tests.destinations.redshift_world import together, world
from tests.standins.fixtures import certificate, postgres, redshift
from tests.standins.s3 import s3_standin

__all__ = ["certificate", "postgres", "redshift", "s3_standin", "together", "world"]
