"""A stand-in for Amazon Redshift: a strict proxy before a real PostgreSQL, and S3 by HTTP.

It speaks the PostgreSQL wire protocol (simple queries, MD5 passwords, TLS), so that an unpatched
client can be pointed at its host and port. ``COPY … FROM 's3://…'`` is parsed by a closed grammar,
reads the manifest and the objects from an S3 endpoint, checks each value as Redshift does, and
becomes ``COPY … FROM STDIN`` in the same backend transaction.

It refuses what Redshift refuses (ON CONFLICT, RETURNING, indexes, two ADD COLUMNs in one ALTER
TABLE, COPY FROM STDIN, JSONB, LOCK modes, savepoints) and keeps its semantics: one snapshot for a
transaction, taken at the first statement that is neither BEGIN nor LOCK; LOCK shuts readers out;
VARCHAR lengths in bytes, 256 when none is given; names folded to lower case, quoted or not; primary
keys are not enforced; TRUNCATE commits; a missing manifest file fails only when mandatory, but none
at all always; `pg_last_copy_count()`; a failed COPY aborts its transaction while `stl_load_errors`
and `sys_load_error_detail` keep the reason, for the user who ran it.

What it does not model: distribution, sort keys and encodings (their clauses are read and dropped),
the parallel load, speed and cost; COPY formats other than CSV; SUPER navigation (`a.b`), which is
stored as JSON text; Redshift's own functions and system tables beyond those named; names over 63
bytes; WLM queues; cancelling a query; IAM itself (roles and access keys are a list); cycles of
SERIALIZABLE are those that PostgreSQL finds, reported as error 1023. A function that PostgreSQL has
and Redshift has not is not noticed. Where Redshift rounds a number inside SUPER, COPY fails here.

Run it for yourself: ``python -m tests.standins.redshift --s3-endpoint URL``.
"""

from tests.standins.redshift.faults import Fault
from tests.standins.redshift.postgres import Postgres
from tests.standins.redshift.server import ACCESS_KEY, ROLE, RedshiftStandin
from tests.standins.redshift.wire import SqlError

__all__ = ["ACCESS_KEY", "ROLE", "Fault", "Postgres", "RedshiftStandin", "SqlError"]
