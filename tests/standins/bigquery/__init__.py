"""A stand-in for BigQuery: its v2 REST surface as far as a loader uses it, over DuckDB and sqlglot.

Google's own unpatched client drives it over HTTP; ``python -m tests.standins.bigquery`` runs it by
itself. It is strict where a loader can go wrong:

- a job id is good once (409 ever after); jobs run on when their client has gone;
- load jobs are all or nothing: gzip CSV and JSON Lines, dispositions, REQUIRED, unknown fields,
  the syntax of each type, partition decorators, uploads multipart and resumable;
- scripts with ASSERT, IF without ELSE, ``@@row_count``, named parameters and transactions: one snapshot, rollback,
  UPDATE/DELETE/MERGE of one table conflict and the later one is aborted, appends never conflict,
  no DDL inside;
- STRING(n), which refuses a longer text, in characters;
- tables by column or ingestion time, schema patches with etag, expirations, locations, withheld
  permissions, error bodies as Google shapes them.

What it does not model: cost and bytes, slots, quotas of rate, the query cache, caching of metadata;
blocks, variables, loops and exception handlers of scripts, sessions and temporary tables; views,
nested and repeated columns, NUMERIC, DATETIME, TIME, BYTES; streaming and the Storage Write API;
copy and extract jobs, INFORMATION_SCHEMA, row and column security; clustering and the deletion of
expired partitions; most of GoogleSQL's functions, and the wording of its errors. A
snapshot is taken at BEGIN, where BigQuery does not say when it takes its own.
"""

from tests.standins.bigquery.faults import Action, Fault, Gate, Request
from tests.standins.bigquery.server import BigQueryStandIn

__all__ = ["Action", "BigQueryStandIn", "Fault", "Gate", "Request"]
