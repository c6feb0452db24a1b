"""Who may change what beside whom: BigQuery's rules of concurrency, which are those of tables.

From the page "Multi-statement transactions": a transaction reads one snapshot; UPDATE, DELETE and
MERGE of one table by two transactions conflict, and one of the two is cancelled; reads and appends
conflict with nothing, nor does a statement that finds no row to change. DuckDB underneath gives the snapshot and the rollback; this adds the rules
that are BigQuery's own.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field

import duckdb

from tests.standins.bigquery.catalog import Catalog, Table
from tests.standins.bigquery.errors import Refused


def aborted(table: str, transaction: str) -> Refused:
    return Refused(
        "invalidQuery",
        f"Transaction is aborted due to concurrent update against table {table}."
        f" Transaction ID: {transaction}",
    )


@dataclass
class Transaction:
    """``alone``: one statement that commits by itself, which waits where others are cancelled."""

    cursor: duckdb.DuckDBPyConnection
    snapshot: int
    alone: bool
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    mutated: dict[str, str] = field(default_factory=dict)


class Isolation:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._changed = threading.Condition()
        self._commits = 0
        self._holders: dict[str, Transaction] = {}
        self._last_mutation: dict[str, int] = {}

    def begin(self, *, alone: bool = False) -> Transaction:
        with self._changed:
            cursor = self._catalog.cursor()
            cursor.execute("BEGIN TRANSACTION")
            return Transaction(cursor, self._commits, alone)

    def mutate(self, mine: Transaction, table: Table) -> None:
        """To be called before an UPDATE, DELETE or MERGE. A statement alone waits for its turn and
        takes a fresh snapshot; in a transaction a conflict raises."""
        key = table.physical
        with self._changed:
            if mine.alone:
                self._changed.wait_for(lambda: key not in self._holders)
                mine.cursor.execute("ROLLBACK")
                mine.cursor.execute("BEGIN TRANSACTION")
                mine.snapshot = self._commits
            elif self._holders.get(key, mine) is not mine or (
                self._last_mutation.get(key, 0) > mine.snapshot
            ):
                raise aborted(table.full_name, mine.id)
            self._holders[key] = mine
            mine.mutated[key] = table.full_name

    def commit(self, mine: Transaction) -> None:
        with self._changed:
            try:
                mine.cursor.execute("COMMIT")
            except duckdb.Error as error:
                # A table altered or dropped beside the transaction, which DuckDB notices here.
                raise aborted(f"({error})", mine.id) from None
            finally:
                self._release(mine)
            self._commits += 1
            for key in mine.mutated:
                self._last_mutation[key] = self._commits

    def rollback(self, mine: Transaction) -> None:
        with self._changed:
            try:
                mine.cursor.execute("ROLLBACK")
            except duckdb.Error:
                pass  # a failed commit has rolled back already
            finally:
                self._release(mine)

    def _release(self, mine: Transaction) -> None:
        for key in mine.mutated:
            if self._holders.get(key) is mine:
                del self._holders[key]
        self._changed.notify_all()
