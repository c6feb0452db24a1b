"""Amazon Redshift: parts through S3, then rows, ledger and checkpoint in one transaction."""

from hauserpy.destinations.redshift.destination import Redshift

__all__ = ["Redshift"]
