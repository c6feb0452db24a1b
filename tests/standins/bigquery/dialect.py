"""GoogleSQL to DuckDB's SQL, statement by statement, with the checks that BigQuery makes first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType

from tests.standins.bigquery.catalog import PARTITION_TIME, Table
from tests.standins.bigquery.errors import Refused
from tests.standins.bigquery.types import Parameter, parse_timestamp

Resolve = Callable[[str, str, str], Table]


@dataclass
class Statement:
    """One statement, ready for DuckDB. ``kind`` is the REST API's ``statementType``."""

    kind: str
    sql: str
    parameters: dict[str, Any]
    target: Table | None = None
    reads: list[Table] = field(default_factory=list)
    source: str | None = None
    """Of an INSERT: the rows to be inserted, as a SELECT in DuckDB's SQL."""
    columns: list[str] = field(default_factory=list)
    matches: str | None = None
    """Of an UPDATE or DELETE: how many rows it would change, as a SELECT."""
    match_parameters: dict[str, Any] = field(default_factory=dict)
    literals: frozenset[int] = frozenset()
    """Of an INSERT: which columns get a literal, whose type bends to the column's."""


@cache
def split(script: str) -> list[str]:
    """The statements of a script, without their semicolons. Blocks (BEGIN … END) are refused."""
    try:
        tokens = sqlglot.tokenize(script, read="bigquery")
    except SqlglotError as error:
        raise Refused("invalidQuery", f"Syntax error: {error}") from None
    statements, start = [], None
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            if start is not None:
                statements.append(script[start : token.start])
            start = None
        elif start is None:
            start = token.start
    if start is not None:
        statements.append(script[start:])
    return [s.strip() for s in statements]


@cache
def parse(statement: str) -> exp.Expression:
    """The statement's tree, which is shared: to be copied before it is changed."""
    try:
        found = sqlglot.parse_one(statement, read="bigquery")
    except SqlglotError as error:
        raise Refused("invalidQuery", f"Syntax error: {error}") from None
    if isinstance(found, exp.Command) or not isinstance(found, exp.Expression):
        raise Refused("invalidQuery", f"Statement not supported here: {statement[:40]}")
    return found


class Translator:
    """Turns parsed statements of one job into DuckDB's.

    ``defaults`` are the job's project and default dataset; ``row_count`` what ``@@row_count``
    reads; ``now`` is the job's CURRENT_TIMESTAMP.
    """

    def __init__(
        self,
        resolve: Resolve,
        parameters: Mapping[str, Parameter],
        defaults: tuple[str, str | None],
        now: dt.datetime,
    ) -> None:
        self._resolve = resolve
        self._parameters = parameters
        self._defaults = defaults
        self._now = now
        self.row_count = 0

    def expression(self, text: str) -> Statement:
        """A condition (of ASSERT), as a SELECT of its value."""
        return self.statement(parse(f"SELECT ({text})"))

    def statement(self, tree: exp.Expression) -> Statement:
        tree = tree.copy()
        kind = _kind(tree)
        where = tree.args.get("where")
        if isinstance(tree, exp.Update | exp.Delete) and where is None:
            raise Refused("invalidQuery", f"{kind} must have a WHERE clause")
        target, reads = self._tables(tree)
        if where is not None and target is not None:
            _require_partition_filter(target, where)
        used: dict[str, Any] = {}
        tree = tree.transform(lambda node: self._node(node, used))
        _hide_partition_time(tree, [*reads, *([target] if target else [])])
        made = Statement(kind, tree.sql("duckdb"), used, target, reads)
        if isinstance(tree, exp.Insert):
            self._insert(tree, made)
        if isinstance(tree, exp.Update | exp.Delete) and not tree.args.get("from_"):
            condition = tree.args["where"].this
            names = {p.name for p in condition.find_all(exp.Parameter)}
            made.match_parameters = {n: v for n, v in used.items() if n in names}
            made.matches = (
                f"SELECT count(*) FROM {tree.this.sql('duckdb')} WHERE {condition.sql('duckdb')}"
            )
        return made

    def _insert(self, tree: exp.Insert, made: Statement) -> None:
        assert made.target is not None
        named = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
        made.columns = [c.name for c in named] or [f["name"] for f in made.target.fields]
        for column in made.columns:
            hidden = column == PARTITION_TIME and made.target.by_ingestion
            if not hidden and made.target.field(column) is None:
                raise Refused(
                    "invalidQuery",
                    f"Column {column} is not present in table {made.target.full_name}",
                )
        source = tree.expression
        if isinstance(source, exp.Values):
            first = source.expressions[0].expressions
            made.source = exp.select("*").from_(exp.alias_(source.copy(), "v")).sql("duckdb")
        else:
            first = source.selects if isinstance(source, exp.Query) else []
            made.source = source.sql("duckdb")
        made.literals = frozenset(
            n
            for n, e in enumerate(first)
            if isinstance(e.unalias(), exp.Literal | exp.Null | exp.Neg)
        )

    def _tables(self, tree: exp.Expression) -> tuple[Table | None, list[Table]]:
        named = {c.alias for c in tree.find_all(exp.CTE)}
        into = None
        if isinstance(tree, exp.Insert | exp.Update | exp.Delete | exp.Merge):
            into = tree.this.find(exp.Table)
        elif isinstance(tree, exp.TruncateTable):
            into = tree.expressions[0]
        target: Table | None = None
        reads: list[Table] = []
        for node in list(tree.find_all(exp.Table)):
            if not node.name or (node.name in named and not node.db):
                continue
            project = node.catalog or self._defaults[0]
            dataset = node.db or self._defaults[1]
            if dataset is None:
                raise Refused(
                    "invalid",
                    f'Table "{node.name}" must be qualified with a dataset (e.g. dataset.table).',
                )
            found = self._resolve(project, dataset, node.name)
            if node is into:
                target = found
            else:
                reads.append(found)
                if not node.alias:
                    node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name, True)))
            node.set("this", exp.to_identifier(found.physical, quoted=True))
            node.set("db", None)
            node.set("catalog", None)
        return target, reads

    def _node(self, node: exp.Expression, used: dict[str, Any]) -> exp.Expression:
        if isinstance(node, exp.Parameter):
            if isinstance(node.this, exp.Parameter):
                if node.this.name.lower() != "row_count":
                    raise Refused("invalidQuery", f"System variable @@{node.this.name} not found")
                return exp.Literal.number(self.row_count)
            if isinstance(node.parent, exp.Parameter):
                return node
            if node.name not in self._parameters:
                raise Refused("invalidQuery", f"Query parameter '{node.name}' not found")
            given = self._parameters[node.name]
            used[node.name] = given.value
            return exp.cast(node, given.type, dialect="duckdb")
        if isinstance(node, exp.CurrentTimestamp):
            return exp.cast(exp.Literal.string(str(self._now)), "TIMESTAMP", dialect="duckdb")
        if isinstance(node, exp.Cast) and node.to.is_type(exp.DataType.Type.TIMESTAMPTZ):
            # In place, so that what is inside is translated as well.
            node.set("to", exp.DataType.build("TIMESTAMP", dialect="duckdb"))
            if node.this.is_string:
                node.set("this", exp.Literal.string(str(_moment(node.this.name))))
            return node
        if isinstance(node, exp.UnixToTime):
            scaled = exp.Mul(this=node.this, expression=exp.Literal.number(1_000_000))
            return exp.func("make_timestamp", scaled, dialect="duckdb")
        return node


def _moment(text: str) -> dt.datetime:
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise Refused("invalidQuery", str(error)) from None


def _kind(tree: exp.Expression) -> str:
    kinds = {
        exp.Insert: "INSERT",
        exp.Update: "UPDATE",
        exp.Delete: "DELETE",
        exp.Merge: "MERGE",
        exp.TruncateTable: "TRUNCATE_TABLE",
    }
    for cls, name in kinds.items():
        if isinstance(tree, cls):
            return name
    if isinstance(tree, exp.Create | exp.Drop):
        name = ("CREATE_" if isinstance(tree, exp.Create) else "DROP_") + str(tree.kind).upper()
        return f"{name}_AS_SELECT" if tree.args.get("expression") else name
    if isinstance(tree, exp.Alter):
        return "ALTER_TABLE"
    if isinstance(tree, exp.Query):
        return "SELECT"
    raise Refused("invalidQuery", f"Statement not supported here: {tree.sql('bigquery')[:40]}")


def _hide_partition_time(tree: exp.Expression, tables: list[Table]) -> None:
    if not any(t.by_ingestion for t in tables):
        return
    for star in list(tree.find_all(exp.Star)):
        if not isinstance(star.parent, exp.Count):
            hidden = exp.to_identifier(PARTITION_TIME, quoted=True)
            star.set("except_", [*(star.args.get("except_") or []), hidden])


def _require_partition_filter(table: Table, where: exp.Expression) -> None:
    """A table with ``requirePartitionFilter`` refuses a statement that would scan all of it."""
    needed = table.partition_column
    strict = table.resource.get("requirePartitionFilter") or (table.partitioning or {}).get(
        "requirePartitionFilter"
    )
    if not strict or needed is None:
        return
    if not any(c.name.lower() == needed.lower() for c in where.find_all(exp.Column)):
        raise Refused(
            "invalidQuery",
            f"Cannot query over table '{table.dataset}.{table.name}' without a filter over"
            f" column(s) '{needed}' that can be used for partition elimination",
        )
