"""Runs a script of GoogleSQL statements: ASSERT, transactions, DML, DDL, and @@row_count."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
from sqlglot import exp

from tests.standins.bigquery.catalog import PARTITION_TIME, Catalog, Table
from tests.standins.bigquery.dialect import Statement, Translator, parse, split
from tests.standins.bigquery.errors import Refused, not_found
from tests.standins.bigquery.isolation import Isolation, Transaction, aborted
from tests.standins.bigquery.loads import Loader, too_many_partitions
from tests.standins.bigquery.types import Parameter, of_duck

Allow = Callable[[str, Table], None]
"""Raises accessDenied when a permission (``bigquery.tables.getData``) is withheld."""

_ASSERT = re.compile(
    r"ASSERT\s*(?P<condition>.*?)(?:\s+AS\s+'(?P<message>[^'\\]*)')?", re.IGNORECASE | re.DOTALL
)
_IF = re.compile(r"IF\s+(?P<condition>.*?)\s+THEN\s+(?P<first>.+)", re.IGNORECASE | re.DOTALL)
_MUTATES = ("UPDATE", "DELETE", "MERGE", "TRUNCATE_TABLE")


@dataclass
class Outcome:
    """What a script ends with: the last SELECT's rows, the last DML's count."""

    statement_type: str = "SELECT"
    fields: list[dict[str, str]] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    affected: int | None = None
    statements: int = 0


class Scripts:
    def __init__(self, catalog: Catalog, isolation: Isolation, loader: Loader) -> None:
        self.catalog = catalog
        self.isolation = isolation
        self.loader = loader

    def run(
        self,
        text: str,
        *,
        parameters: Mapping[str, Parameter],
        project: str,
        dataset: str | None,
        location: str,
        allow: Allow,
        before: Callable[[str], None] = lambda _: None,
        stopped: Callable[[], bool] = lambda: False,
        dry_run: bool = False,
    ) -> Outcome:
        """Each statement in turn; a transaction left open is rolled back, as is one that fails.

        ``before`` is called with each statement's text before it runs. Raises Refused.
        """
        run = _Run(self, parameters, project, dataset, location, allow, dry_run=dry_run)
        try:
            statements = split(text)
            for statement in statements:
                before(statement)
                if stopped():
                    raise Refused("stopped", "Job execution was cancelled: User requested")
                run.statement(statement)
            if run.open_branch:
                raise Refused("invalidQuery", "Syntax error: IF without END IF")
            if len(statements) != 1:
                run.outcome.statement_type = "SCRIPT"
            run.outcome.statements = len(statements)
            return run.outcome
        except duckdb.Error as error:
            raise _as_refusal(error) from error
        finally:
            if run.transaction is not None:
                self.isolation.rollback(run.transaction)


class _Run:
    def __init__(
        self,
        scripts: Scripts,
        parameters: Mapping[str, Parameter],
        project: str,
        dataset: str | None,
        location: str,
        allow: Allow,
        *,
        dry_run: bool,
    ) -> None:
        self._s = scripts
        self._location = location
        self._allow = allow
        self._dry_run = dry_run
        now = dt.datetime.fromtimestamp(scripts.catalog.clock(), dt.UTC).replace(tzinfo=None)
        self._today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        self._home = (project, dataset)
        self._translator = Translator(self._resolve, parameters, self._home, now)
        self.transaction: Transaction | None = None
        self.outcome = Outcome()
        self._branch: bool | None = None
        """Within IF: whether its statements are run."""

    @property
    def open_branch(self) -> bool:
        return self._branch is not None

    def _resolve(self, project: str, dataset: str, name: str) -> Table:
        found = self._s.catalog.table(project, dataset, name)
        if self._s.catalog.dataset(project, dataset).location != self._location:
            raise Refused(
                "notFound",
                f"Not found: Dataset {project}:{dataset} was not found in location"
                f" {self._location}",
            )
        return found

    def statement(self, text: str) -> None:
        words = [word.upper() for word in text.split(None, 2)[:2]]
        if words == ["END", "IF"]:
            if self._branch is None:
                raise Refused("invalidQuery", "Syntax error: END IF without IF")
            self._branch = None
            return
        if self._branch is False:
            return
        match words:
            case ["BEGIN"] | ["BEGIN", "TRANSACTION"]:
                if self.transaction is not None:
                    raise Refused("invalidQuery", "Nested transactions are not supported")
                self.transaction = self._s.isolation.begin()
            case ["COMMIT", *_]:
                self._s.isolation.commit(self._open("COMMIT"))
                self.transaction = None
            case ["ROLLBACK", *_]:
                self._s.isolation.rollback(self._open("ROLLBACK"))
                self.transaction = None
            case ["ASSERT", *_]:
                self._assert(text)
            case ["IF", *_]:
                self._if(text)
            case ["BEGIN", *_] | [
                "DECLARE" | "SET" | "ELSE" | "ELSEIF" | "LOOP" | "CALL" | "EXECUTE", *_
            ]:  # fmt: skip
                raise Refused("invalidQuery", f"{words[0]} is not modelled by this stand-in")
            case _:
                self._query(text)

    def _open(self, what: str) -> Transaction:
        if self.transaction is None:
            raise Refused("invalidQuery", f"{what} TRANSACTION without an open transaction")
        return self.transaction

    def _assert(self, text: str) -> None:
        found = _ASSERT.fullmatch(text)
        if found is None:
            raise Refused("invalidQuery", f"Syntax error: {text[:40]}")
        if not self._holds(found["condition"]):
            message = found["message"] or "a condition"
            raise Refused("invalidQuery", f"Assertion failed: {message}")

    def _if(self, text: str) -> None:
        """``IF … THEN`` and its first statement; those up to END IF come by themselves."""
        found = _IF.fullmatch(text)
        if found is None or self._branch is not None:
            raise Refused("invalidQuery", f"Syntax error, or not modelled: {text[:40]}")
        self._branch = self._holds(found["condition"])
        self.statement(found["first"])

    def _holds(self, text: str) -> bool:
        """Of a condition; NULL does not hold, and in a dry run everything does."""
        condition = self._translator.expression(text)
        self._check(condition)
        if self._dry_run:
            return True
        ((held,),) = self._cursor().execute(condition.sql, condition.parameters).fetchall()
        return held is True

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self.transaction is not None:
            return self.transaction.cursor
        return self._s.catalog.cursor()

    def _check(self, made: Statement) -> None:
        for table in made.reads:
            self._allow("bigquery.tables.getData", table)
        if made.target is not None:
            self._allow("bigquery.tables.updateData", made.target)

    def _query(self, text: str) -> None:
        tree = parse(text)
        if isinstance(tree, exp.Create | exp.Drop | exp.Alter):
            self._definition(tree)
            return
        made = self._translator.statement(tree)
        self._check(made)
        self.outcome.statement_type = made.kind
        if self._dry_run:
            self._s.catalog.cursor().execute(f"EXPLAIN {made.sql}", made.parameters)
        elif made.kind == "SELECT":
            self._select(made)
        else:
            self._change(made)

    def _select(self, made: Statement) -> None:
        cursor = self._cursor().execute(made.sql, made.parameters)
        self.outcome.fields = [
            {"name": d[0], "type": of_duck(str(d[1])), "mode": "NULLABLE"}
            for d in cursor.description or []
        ]
        self.outcome.rows = cursor.fetchall()

    def _change(self, made: Statement) -> None:
        assert made.target is not None
        alone = self.transaction is None
        mine = self.transaction or self._s.isolation.begin(alone=True)
        try:
            if made.kind in _MUTATES and self._matches(mine, made):
                self._s.isolation.mutate(mine, made.target)
            if made.kind == "INSERT":
                self._check_insert(mine, made)
            counted = mine.cursor.execute(made.sql, made.parameters).fetchall()
            if alone:
                self._s.isolation.commit(mine)
        except duckdb.TransactionException as error:
            raise aborted(f"{made.target.full_name} ({error})", mine.id) from None
        finally:
            if alone:
                self._s.isolation.rollback(mine)
        self._translator.row_count = counted[0][0] if counted else 0
        self.outcome.affected = self._translator.row_count

    def _matches(self, mine: Transaction, made: Statement) -> bool:
        """Whether it changes any row: a DELETE that finds nothing conflicts with nothing."""
        if made.matches is None:
            return True
        ((count,),) = mine.cursor.execute(made.matches, made.match_parameters).fetchall()
        return bool(count)

    def _check_insert(self, mine: Transaction, made: Statement) -> None:
        """BigQuery's own: no silent conversion of types, few partitions, days as partitions."""
        table = made.target
        assert table is not None
        source = mine.cursor.execute(f"SELECT * FROM ({made.source}) LIMIT 0", made.parameters)
        kinds = [of_duck(str(d[1])) for d in source.description or []]
        if len(kinds) != len(made.columns):
            raise Refused(
                "invalidQuery",
                f"Inserted row has wrong column count; Has {len(kinds)}, expected"
                f" {len(made.columns)}",
            )
        names = ", ".join(f"c{n}" for n in range(len(kinds)))
        for n, (column, kind) in enumerate(zip(made.columns, kinds, strict=True)):
            own = table.field(column)
            wanted = "TIMESTAMP" if own is None else own["type"]
            if n not in made.literals and wanted not in (
                kind, {"INTEGER": "FLOAT"}.get(kind, kind),
            ):  # fmt: skip
                raise Refused(
                    "invalidQuery",
                    f"Query column {n + 1} has type {kind} which cannot be inserted into column"
                    f" {column}, which has type {wanted}",
                )
            if table.partition_column is None or column.lower() != table.partition_column.lower():
                continue
            days, off = mine.cursor.execute(
                f"SELECT count(DISTINCT date_trunc('day', c{n})),"
                f" count(*) FILTER (date_trunc('day', c{n}) <> c{n})"
                f" FROM ({made.source}) AS s({names})",
                made.parameters,
            ).fetchall()[0]
            if days > self._s.loader.max_partitions:
                raise too_many_partitions(days, self._s.loader.max_partitions)
            if off and column == PARTITION_TIME:
                raise Refused("invalidQuery", f"{PARTITION_TIME} must be the start of a partition")
        if table.by_ingestion and PARTITION_TIME not in made.columns:
            named = ", ".join(f'"{c}"' for c in [*made.columns, PARTITION_TIME])
            made.sql = (
                f'INSERT INTO "{table.physical}" ({named})'
                f" SELECT *, TIMESTAMP '{self._today}' FROM ({made.source})"
            )

    def _definition(self, tree: exp.Create | exp.Drop | exp.Alter) -> None:
        if self.transaction is not None:
            raise Refused(
                "invalidQuery",
                "DDL statements on permanent tables are not supported in a transaction",
            )
        if str(tree.args.get("kind")).upper() != "TABLE" or isinstance(tree, exp.Alter):
            raise Refused("invalidQuery", "This DDL is not modelled by this stand-in")
        named = tree.this.find(exp.Table)
        project, dataset = named.catalog or self._home[0], named.db or self._home[1]
        home = self._s.catalog.dataset(project, dataset)
        probe = Table(project, dataset, named.name, "", [])
        if home.location != self._location:
            raise not_found("Dataset", f"{project}:{dataset} was not found in {self._location}")
        if isinstance(tree, exp.Drop):
            self._allow("bigquery.tables.delete", probe)
            self.outcome.statement_type = "DROP_TABLE"
            if not self._dry_run:
                try:
                    self._s.catalog.drop_table(project, dataset, named.name)
                except Refused:
                    if not tree.args.get("exists"):
                        raise
            return
        self._allow("bigquery.tables.create", probe)
        self._create(tree, project, dataset, named.name)

    def _create(self, tree: exp.Create, project: str, dataset: str, name: str) -> None:
        if tree.args.get("properties") or tree.args.get("replace"):
            raise Refused("invalidQuery", "Options of CREATE TABLE are not modelled")
        query = tree.args.get("expression")
        made = self._translator.statement(query) if query is not None else None
        self.outcome.statement_type = "CREATE_TABLE" + ("_AS_SELECT" if made else "")
        if made is not None:
            self._check(made)
            source = self._s.catalog.cursor().execute(
                f"SELECT * FROM ({made.sql}) LIMIT 0", made.parameters
            )
            fields = [{"name": d[0], "type": of_duck(str(d[1]))} for d in source.description or []]
        else:
            fields = []
        if isinstance(tree.this, exp.Schema):
            fields = [
                {"name": c.name, "type": c.args["kind"].sql("bigquery")}
                for c in tree.this.expressions
            ]
        if self._dry_run:
            return
        with self._s.catalog.guard:
            try:
                table = self._s.catalog.create_table(
                    project,
                    dataset,
                    {
                        "tableReference": {
                            "projectId": project, "datasetId": dataset, "tableId": name,
                        },
                        "schema": {"fields": fields},
                    },
                )  # fmt: skip
            except Refused as refusal:
                if refusal.reason == "duplicate" and tree.args.get("exists"):
                    return
                raise
            if made is not None:
                self._s.catalog.cursor().execute(
                    f'INSERT INTO "{table.physical}" {made.sql}', made.parameters
                )


def _as_refusal(error: duckdb.Error) -> Refused:
    if "CHECK constraint" in str(error):
        found = re.search(r"length\((.+?)\) <= (\d+)", str(error))
        name, most = found.groups() if found else ("?", "?")
        return Refused(
            "invalidQuery", f"STRING({most}) has maximum length {most}: a value of {name} is longer"
        )
    if isinstance(error, duckdb.ConstraintException):
        name = str(error).rpartition(".")[2]
        return Refused("invalidQuery", f"Required field {name} cannot be null")
    return Refused("invalidQuery", str(error))
