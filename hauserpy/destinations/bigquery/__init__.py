"""Google BigQuery: load jobs that cannot double, then rows, ledger and checkpoint in one script."""

from hauserpy.destinations.bigquery.destination import BigQuery

__all__ = ["BigQuery"]
